# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

import unittest

from nova_servicegroup.tests.ministack import releases
from nova_servicegroup.tests.nova_own import comparison
from nova_servicegroup.tests.nova_own import insides
from nova_servicegroup.tests.nova_own import running
from nova_servicegroup.tests.nova_own import selection

PASSED = comparison.Outcome(comparison.PASSED)
FAILED = comparison.Outcome(comparison.FAILED, 'why')
SKIPPED = comparison.Outcome(comparison.SKIPPED)


class ComparisonTest(unittest.TestCase):
    def told(self, package, without, insides=()):
        return comparison.differences(package, without, insides)

    def test_the_same_is_no_difference(self):
        both = {'a': PASSED, 'b': SKIPPED}
        self.assertEqual([], self.told(both, both))

    def test_what_passes_need_not_run_without(self):
        self.assertEqual([], self.told({'a': PASSED}, {}))

    def test_all_else_must(self):
        for ours in (FAILED, SKIPPED):
            found = self.told({'a': ours}, {})
            self.assertEqual(['a was not run without the package'], found)

    def test_one_that_fails_is_a_difference(self):
        for without in (PASSED, SKIPPED):
            (line,) = self.told({'a': FAILED}, {'a': without})
            self.assertTrue(line.startswith('a failed, and '), line)

    def test_one_that_fails_without_the_package_tells_nothing(self):
        for ours in (FAILED, PASSED):
            (line,) = self.told({'a': ours}, {'a': FAILED})
            self.assertIn('failed without the package', line)

    def test_one_that_is_skipped_with_the_package_only(self):
        (line,) = self.told({'a': SKIPPED}, {'a': PASSED})
        self.assertEqual('a skipped, and passed without the package', line)

    def test_one_that_is_not_run_with_the_package(self):
        self.assertEqual(['a is not there'], self.told({}, {'a': PASSED}))

    def test_one_of_the_list_fails_and_only_with_the_package(self):
        found = self.told({'a': FAILED}, {'a': PASSED}, {'a'})
        self.assertEqual([], found)
        (line,) = self.told({'a': FAILED}, {'a': FAILED}, {'a'})
        self.assertIn('failed without the package', line)

    def test_one_of_the_list_passes(self):
        (line,) = self.told({'a': PASSED}, {'a': PASSED}, {'a'})
        self.assertIn('take it off the list', line)

    def test_one_of_the_list_is_not_there(self):
        self.assertEqual(['a is not there'], self.told({}, {}, {'a'}))


class ListTest(unittest.TestCase):
    def test_each_of_the_list_is_run(self):
        for name in insides.REASONS:
            module = name.rsplit('.', 2)[0]
            self.assertIn(module, selection.UNIT)


class SelectionTest(unittest.TestCase):
    def test_a_release_is_spared_what_it_lacks(self):
        for name, since in selection.SINCE.items():
            for series in releases.known():
                found = selection.of([name, 'other'], series)
                self.assertIn('other', found)
                self.assertEqual(series >= since, name in found)

    def test_each_name_is_in_a_release(self):
        chosen = {*selection.UNIT, *selection.FUNCTIONAL, *selection.LONG}
        for name, since in selection.SINCE.items():
            self.assertIn(name, chosen)
            self.assertIn(since, releases.known())


class EnvironmentTest(unittest.TestCase):
    THREADS = 'OS_NOVA_DISABLE_EVENTLET_PATCHING'

    def test_tests_run_as_the_services_of_the_release_do(self):
        for series, release in releases.known().items():
            found = running.environment({}, release)
            self.assertEqual(series >= '34', self.THREADS in found)

    def test_it_sets_options_of_nova(self):
        release = releases.find('29')
        found = running.environment({'etcd.ttl': '4'}, release)
        self.assertEqual('4', found['OS_ETCD__TTL'])
