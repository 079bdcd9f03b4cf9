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


"""Readings of one group in one cell, and the verdicts that follow."""

import types
from typing import Any

import fixtures

from nova_servicegroup.drivers.db import ages
from nova_servicegroup.drivers.db import reading
from nova_servicegroup import exceptions
from nova_servicegroup import pace
from nova_servicegroup import services
from nova_servicegroup.tests import base

#: The time at which the database's clock begins.
WALL = 1_800_000_000.0
HOUR = 3600.0
#: Steps of a clock that NTP corrects, in seconds.
STEPS = (130, 200, 310)


class LimitsTest(base.TestCase):
    def test_limits_come_from_the_options(self) -> None:
        conf = self.make_conf(
            '[DEFAULT]\nreport_interval = 5\nservice_down_time = 30\n'
            '[servicegroup]\nhold_time = 90\n'
        )
        self.assertEqual(ages.Limits(5.0, 30.0, 90.0), reading.limits(conf))

    def test_limits_without_an_interval_are_novas_defaults(self) -> None:
        conf = self.make_conf('[DEFAULT]\nreport_interval = 0\n')
        self.assertEqual(ages.Limits(10.0, 60.0, 60.0), reading.limits(conf))


class ReaderTest(base.TestCase):
    """A reader, its database, and a clock.

    The observer's own time of day is an hour wrong.
    """

    def setUp(self) -> None:
        super().setUp()
        self.wall = WALL
        self.beats: dict[str, float | None] = {}
        self.reads = 0
        self.error: Exception | None = None
        self.wrong = HOUR
        self.useFixture(
            fixtures.MockPatchObject(
                reading, 'time_of_day', lambda: self.wall + self.wrong
            )
        )
        self.read_when_asked()
        self.reader = self.make()

    def make(self) -> reading.TableReader:
        self.table = types.SimpleNamespace(heartbeats=self._read)
        return reading.TableReader(
            types.SimpleNamespace(conf=self.make_conf(), table=self.table),
            None,
            'x',
            pace.Patience(2.0),
            clock=self.clock,
        )

    def _read(self, cell: str | None, group: str) -> services.Heartbeats:
        self.reads += 1
        if self.error is not None:
            raise self.error
        rows = [(f'id-{host}', host, at) for host, at in self.beats.items()]
        return services.Heartbeats(self.wall, rows)

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.clock.advance(seconds)

    def beat(self, *hosts: str, age: float = 0.0) -> None:
        self.beats |= dict.fromkeys(hosts, self.wall - age)

    def up(self, *hosts: str) -> list[str]:
        """Return the hosts that are up, by records as in the table."""
        return [
            host
            for host in hosts
            if self.is_fresh_of(host, self.beats[host])
            or self.reader.is_up(host, self.beats[host])
        ]

    def is_fresh_of(self, host: str, beat: float) -> bool:
        """Return whether a host is up without a read, as the driver does."""
        return self.reader.is_fresh(beat, {'host': host})

    def lose(self) -> None:
        self.error = exceptions.BackendError('services table', 'away')


class FreshTest(ReaderTest):
    """Verdicts without a read."""

    def is_fresh(self, age: float) -> bool:
        return self.is_fresh_of('a', self.wall - age)

    def test_nothing_is_fresh_before_the_first_read(self) -> None:
        self.assertFalse(self.is_fresh(0.0))

    def test_a_heartbeat_in_time_reads_nothing(self) -> None:
        self.reader.observer.refresh()
        for seconds in (0, 30, 29):
            self.pass_time(seconds)
            self.assertTrue(self.is_fresh(0.0))
            self.assertTrue(self.is_fresh(22.0))
            self.assertFalse(self.is_fresh(22.1))
            self.assertTrue(self.is_fresh(-5.0))
            self.assertFalse(self.is_fresh(-5.1))
        self.assertEqual(1, self.reads)

    def test_the_database_clock_is_read_each_minute(self) -> None:
        self.reader.observer.refresh()
        self.pass_time(60)
        self.assertFalse(self.is_fresh(0.0))
        self.reader.observer.refresh()
        self.assertTrue(self.is_fresh(0.0))

    def test_nothing_is_fresh_while_the_database_clock_is_doubted(
        self,
    ) -> None:
        self.reader.observer.refresh()
        self.wall -= 200
        for _ in range(27):
            self.pass_time(10)
            self.reader.observer.refresh()
            self.assertFalse(self.is_fresh(0.0))
        self.pass_time(10)
        self.reader.observer.refresh()
        self.assertTrue(self.is_fresh(0.0))

    def test_a_heartbeat_from_the_future_is_not_fresh(self) -> None:
        self.beat('A', age=-HOUR)
        self.reader.observer.refresh()
        self.assertFalse(self.is_fresh(0.0))

    def test_a_step_of_less_than_a_second_is_ignored(self) -> None:
        self.reader.observer.refresh()
        self.wall -= 0.9
        self.pass_time(10)
        self.reader.observer.refresh()
        self.assertTrue(self.is_fresh(0.0))


class VerdictTest(ReaderTest):
    def test_a_host_that_reports_again_is_up_in_the_next_outage(self) -> None:
        self.beat('a', age=300)
        self.beat('b', 'c')
        self.assertEqual(['b', 'c'], self.up('a', 'b', 'c'))
        self.pass_time(30)
        self.beat('a', 'b', 'c')
        self.assertEqual(['a', 'b', 'c'], self.up('a', 'b', 'c'))
        self.lose()
        self.pass_time(70)
        self.assertEqual(['a', 'b', 'c'], self.up('a', 'b', 'c'))
        self.error = None
        self.beat('b', 'c')
        self.pass_time(2)
        self.assertEqual(['a', 'b', 'c'], self.up('a', 'b', 'c'))

    def test_the_table_decides(self) -> None:
        self.beat('a', age=60)
        self.beat('b', age=61)
        self.assertEqual(['a'], self.up('a', 'b'))
        self.assertEqual(1, self.reads)

    def test_a_record_may_be_younger_than_what_was_read(self) -> None:
        self.beat('a', age=300)
        self.assertEqual([], self.up('a'))
        self.pass_time(0.5)
        self.beat('a')
        self.assertEqual(['a'], self.up('a'))
        self.assertEqual(1, self.reads)

    def test_a_record_may_be_older_than_what_was_read(self) -> None:
        self.beat('a')
        self.up('a')
        self.assertTrue(self.reader.is_up('a', WALL - HOUR))

    def test_a_step_back_makes_nobody_down_and_brings_none_back(self) -> None:
        for step in STEPS:
            self.beats = {}
            self.reader = self.make()
            self.beat('a', 'b', 'c', age=5)
            self.beat('dead', age=70)
            self.assertEqual(['a', 'b', 'c'], self.up(*self.beats))
            self.wall -= step
            for second in range(900):
                self.pass_time(1)
                if second % 10 == 0:
                    self.beat('a', 'b', 'c')
                self.assertEqual(
                    ['a', 'b', 'c'], self.up(*self.beats), (step, second)
                )

    def test_one_an_hour_in_the_future_counts_from_its_arrival(self) -> None:
        self.beat('odd', age=-HOUR)
        self.beat('a', 'b', 'c', age=5)
        self.beat('dead', age=70)
        for second in range(60):
            self.beat('a', 'b', 'c')
            expected = ['odd', 'a', 'b', 'c']
            self.assertEqual(expected, self.up(*self.beats), second)
            self.pass_time(1)
        self.pass_time(1)
        self.beat('a', 'b', 'c')
        self.assertEqual(['a', 'b', 'c'], self.up(*self.beats))

    def test_a_heartbeat_from_the_future_is_no_proof_when_its_time_comes(
        self,
    ) -> None:
        self.beat('odd', age=-HOUR)
        self.up('odd')
        self.pass_time(61)
        for _ in range(120):
            self.assertEqual([], self.up('odd'), self.wall - WALL)
            self.pass_time(60)

    def test_a_dead_host_stays_dead_when_others_get_late(self) -> None:
        self.beat('a', 'b', 'c', age=5)
        self.beat('dead', age=70)
        self.assertEqual(['a', 'b', 'c'], self.up(*self.beats))
        for _ in range(200):
            self.pass_time(1)
            self.assertNotIn('dead', self.up(*self.beats))

    def test_all_hosts_are_held_while_all_are_late(self) -> None:
        self.beat('a', 'b', 'c')
        self.up('a', 'b', 'c')
        for age in range(1, 121):
            self.pass_time(1)
            self.assertEqual(['a', 'b', 'c'], self.up(*self.beats), age)
        self.pass_time(1)
        self.assertEqual([], self.up(*self.beats))

    def test_a_single_host_is_down_after_the_down_time(self) -> None:
        self.beat('a', 'b', 'c', 'd')
        self.up(*self.beats)
        for age in range(1, 62):
            self.pass_time(1)
            self.beat('a', 'b', 'c')
            self.assertEqual(age <= 60, 'd' in self.up(*self.beats), age)

    def test_a_database_that_is_away_makes_no_live_host_down(self) -> None:
        self.beat('a', 'b')
        self.beat('dead', age=70)
        self.up(*self.beats)
        self.lose()
        for second in range(60):
            self.pass_time(1)
            self.assertEqual(['a', 'b'], self.up(*self.beats), second)
        self.assertIn('away', str(self.reader.observer.error))

    def test_a_database_that_never_answered_makes_no_host_down(self) -> None:
        self.lose()
        self.beat('a', age=70)
        for _ in range(60):
            self.assertEqual(['a'], self.up('a'))
            self.pass_time(1)
        self.pass_time(1)
        self.assertEqual([], self.up('a'))

    def test_this_clock_decides_if_the_database_never_answers(self) -> None:
        self.wrong = 0.0
        self.lose()
        self.up_for_long()
        self.beat('a', age=60)
        self.assertEqual(['a'], self.up('a'))
        self.beat('a', age=61)
        self.assertEqual([], self.up('a'))

    def up_for_long(self) -> None:
        """Ask until the observer presumes no host up any more."""
        self.beat('a', age=HOUR)
        for _ in range(62):
            self.up('a')
            self.pass_time(1)

    def test_a_wrong_clock_of_the_reader_changes_nothing(self) -> None:
        for self.wrong in (-300, 0, 300):
            self.beats = {}
            self.reader = self.make()
            self.beat('a', age=60)
            self.beat('b', age=61)
            self.assertEqual(['a'], self.up('a', 'b'), self.wrong)


class TableTest(ReaderTest):
    """Values of the table that are kept."""

    def test_rows_and_ages(self) -> None:
        self.beat('CTL1', age=7)
        self.beats['b'] = None
        self.reader.observer.refresh()
        self.assertEqual({'ctl1': 7.0}, self.reader.ages.by_host)
        self.assertEqual(
            [('id-CTL1', 'CTL1', WALL - 7), ('id-b', 'b', None)],
            list(self.reader.rows),
        )

    def test_a_read_that_takes_long_is_dated_to_its_middle(self) -> None:
        read = self.table.heartbeats

        def slow(*how: Any) -> services.Heartbeats:
            self.clock.advance(2)
            found = read(*how)
            self.clock.advance(2)
            return found

        self.table.heartbeats = slow
        self.beat('a', age=18)
        self.reader.observer.refresh()
        self.assertEqual({'a': 18.0}, self.reader.ages.by_host)
        # It is 20 s old now.
        self.clock.advance(2)
        self.assertTrue(self.is_fresh_of('a', WALL - 18))
        self.clock.advance(0.1)
        self.assertFalse(self.is_fresh_of('a', WALL - 18))
