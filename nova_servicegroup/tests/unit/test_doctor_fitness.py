# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Tests of the check of fitness, and of degraded members."""

import dataclasses
from typing import Any

import fixtures

from nova_servicegroup.checks import loading
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import fitness
from nova_servicegroup.drivers import views
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import test_watcher
from nova_servicegroup.watch import inventory

OK, WARNING = finding.Level.OK, finding.Level.WARNING


class ChecksTest(base.TestCase):
    """Tests which checks run."""

    def judge(self, shown: bool = True, **options: Any) -> list[Any]:
        self.useFixture(fixtures.MockPatchObject(loading, 'find', self.find))
        conf = self.make_conf()
        for name, value in options.items():
            conf.set_override(name, value, 'servicegroup')
        return list(fitness.judge(conf, 'zk', shown))

    def find(self, name: str) -> None:
        if name == 'mount':
            raise RuntimeError('not installed')

    def test_they_are_named_with_their_interval(self) -> None:
        (found,) = self.judge()
        self.assertEqual(
            (OK, 'Each nova-compute checks rpc, virt, storage every 30 s.'),
            (found.level, found.what),
        )

    def test_one_that_cannot_be_loaded(self) -> None:
        (found,) = self.judge(checks=['rpc', 'mount', 'mount'])
        self.assertEqual(WARNING, found.level)
        self.assertIn('mount cannot be loaded here: not inst', found.what)

    def test_none_is_run(self) -> None:
        (found,) = self.judge(checks=[])
        self.assertIn('empty', found.what)
        (found,) = self.judge(shown=False, checks=['mount'])
        self.assertEqual(
            (OK, 'With zk, no nova-compute checks itself.'),
            (found.level, found.what),
        )

    def test_they_are_not_used(self) -> None:
        found = self.judge(pass_over_unfit=False)
        self.assertEqual([OK, OK], [each.level for each in found])
        self.assertIn('pass_over_unfit is false', found[1].what)

    def test_the_driver_knows_whether_others_see_them(self) -> None:
        driver = test_watcher.Driver()
        asked = self.api_of(driver)
        subject = finding.Subject(self.make_conf(), None, lambda _: asked)
        self.assertIn('no nova-compute', fitness.check(subject)[0].what)
        driver.shows_marks = True
        found = fitness.check(subject)
        self.assertNotIn('no nova-compute', found[0].what)


class GroupTest(base.TestCase):
    """Tests the results of checks in a group."""

    def judge(self, ignored: tuple[str, ...] = (), **states: str) -> list[Any]:
        driver = test_watcher.Driver()
        driver.tell(**states)
        driver.ignored = ignored
        reader = inventory.Reader(self.api_of(driver), 'compute')
        return list(fitness.judge_group('compute', reader.read()))

    def test_none_is_degraded(self) -> None:
        self.assertEqual([], self.judge(a='up', b='held', c='down'))

    def test_degraded_members_and_their_reasons(self) -> None:
        (found,) = self.judge(a='degraded', b='up', c='degraded')
        self.assertEqual(
            (WARNING, 'compute: 2 degraded: a (rpc), c (rpc).'),
            (found.level, found.what),
        )

    def test_draining_is_no_finding(self) -> None:
        self.assertEqual([], self.judge(a='draining', b='up'))

    def test_a_whole_group_that_is_marked_and_ignored(self) -> None:
        (found,) = self.judge(a='up', b='up', c='up', ignored=('rpc',))
        self.assertEqual(
            (
                WARNING,
                'compute: the check rpc fails on so many that it is ignored.',
            ),
            (found.level, found.what),
        )

    def test_one_that_an_operator_has_forced_down(self) -> None:
        condition = test_watcher.unfit('degraded')
        member = views.Member('a', 'compute', True, condition=condition)
        entry = inventory.Entry('a', 'compute', 'forced down', member)
        seen = inventory.Inventory({'a': entry}, views.View((), 0.0))
        self.assertEqual([], list(fitness.judge_group('compute', seen)))
        seen = dataclasses.replace(
            seen, entries={'a': dataclasses.replace(entry, state='degraded')}
        )
        self.assertEqual(1, len(list(fitness.judge_group('compute', seen))))
