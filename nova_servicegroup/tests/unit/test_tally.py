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

"""A soak adds its runs up, and says how much they prove."""

import pathlib

import fixtures

from benchmarks import tally
from nova_servicegroup.tests import base


class UpperBoundTest(base.TestCase):
    def test_rule_of_three(self) -> None:
        self.assertEqual(0.01, tally.upper_bound(0, 300.0))

    def test_it_is_close_to_that_of_a_poisson_distribution(self) -> None:
        for events, exact in ((1, 4.744), (3, 7.754), (10, 16.962)):
            found = tally.upper_bound(events, 1.0)
            self.assertAlmostEqual(1.0, found / exact, delta=0.005)

    def test_nothing_is_known_without_a_member_hour(self) -> None:
        self.assertIsNone(tally.upper_bound(0, 0.0))


class CountTest(base.TestCase):
    def test_a_row(self) -> None:
        took = [float(each) for each in range(1, 201)]
        count = tally.Count(30.0, 0, 2, took)
        expected = [30.0, 0, 0.1, 202, 2, 101.0, 199.0, 200.0]
        self.assertEqual(expected, count.row())

    def test_a_row_of_nothing(self) -> None:
        expected = [0.0, 0, None, 0, 0, None, None, None]
        self.assertEqual(expected, tally.Count().row())

    def test_counts_add_up(self) -> None:
        sum_ = tally.Count(1.5, 1, 0, [10.0]) + tally.Count(2.0, 2, 1, [9.0])
        self.assertEqual(tally.Count(3.5, 3, 1, [10.0, 9.0]), sum_)


class TallyTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        place = self.useFixture(fixtures.TempDir()).path
        self.file = pathlib.Path(place, 'new', 'soak.json')

    def run_once(self, hours: float, *took: float) -> tally.Tally:
        found = tally.Tally(self.file, '1.0')
        count = found.of('our zk', 'loss')
        count.hours += hours
        count.took += took
        found.save()
        return found

    def test_runs_add_up(self) -> None:
        self.run_once(100.0, 10.0)
        found = self.run_once(200.0, 12.0, 11.0)
        expected = tally.Count(300.0, 0, 0, [10.0, 12.0, 11.0])
        self.assertEqual(expected, found.of('our zk', 'loss'))
        self.assertEqual(['1.0'], found.versions)

    def test_false_downs_are_counted_and_kept(self) -> None:
        found = self.run_once(1.0)
        log = self.file.with_name('its.log')
        log.write_text(f'compute-1 is up\ncompute-2{300 * " "}compute-1\n\n')
        found.add_false_down('our zk', 'loss', 'compute-1', 1.5, [log])
        found.save()
        again = self.run_once(1.0)
        self.assertEqual(1, again.of('our zk', 'loss').downs)
        (event,) = again.events
        self.assertEqual('compute-1', event['host'])
        first, last = event['logs']
        self.assertEqual('compute-1 is up', first)
        self.assertEqual(['compute-2', '...', 'compute-1'], last.split())

    def test_rows_have_a_sum_of_each_driver(self) -> None:
        found = self.run_once(1.0)
        found.of('our zk', 'CPU').hours += 2.0
        found.of('our mc', 'CPU').hours += 4.0
        hours = {(name, kind): each for name, kind, each, *_ in found.rows()}
        self.assertEqual(
            {
                ('our zk', 'loss'): 1.0,
                ('our zk', 'CPU'): 2.0,
                ('our zk', 'all'): 3.0,
                ('our mc', 'CPU'): 4.0,
                ('our mc', 'all'): 4.0,
            },
            hours,
        )

    def test_without_a_file_nothing_is_kept(self) -> None:
        found = tally.Tally(None, '1.0')
        found.of('our zk', 'loss').hours += 1.0
        found.save()
        self.assertEqual([], tally.Tally(None, '1.0').rows())
