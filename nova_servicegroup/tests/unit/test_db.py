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


from collections.abc import Callable
from concurrent import futures
import datetime
import threading
import types
from typing import Any

import fixtures

from nova_servicegroup import background
from nova_servicegroup import dates
from nova_servicegroup.drivers import db
from nova_servicegroup.drivers.db import ages
from nova_servicegroup.drivers.db import driver
from nova_servicegroup.drivers.db import reading
from nova_servicegroup import exceptions
from nova_servicegroup.plugin import records
from nova_servicegroup import services
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import fake_nova

UTC = datetime.timezone.utc
#: The time at which the databases' clock begins.
WALL = 1_800_000_000.0
HOUR = 3600.0
#: Steps of a clock that NTP corrects, in seconds.
STEPS = (130, 200, 310)
LONG = 20.0


class Record(dict[str, Any]):
    """A record with the cell that it was read from."""

    def __init__(self, values: dict[str, Any], cell: str) -> None:
        super().__init__(values)
        self._context = types.SimpleNamespace(cell_uuid=cell)


class Cells:
    """Services table of several cells; see services.Table.

    :ivar beats: the time of each host's heartbeat, by cell
    :ivar behind: the seconds by which the clock of each cell is slow
    :ivar during: called while a cell is read
    :ivar reads: the cells that were read
    """

    def __init__(self, *cells: str | None) -> None:
        self.wall = WALL
        self.behind: dict[str | None, float] = {}
        self.beats: dict[str | None, dict[str, float | None]] = {
            cell: {} for cell in cells
        }
        self.reads: list[str | None] = []
        self.listed = 0
        self.during: Callable[[str | None], None] = lambda cell: None
        self.error: exceptions.BackendError | None = None

    def cells(self) -> list[str | None]:
        self.listed += 1
        if self.error is not None:
            raise self.error
        return list(self.beats)

    def heartbeats(self, cell: str | None, group: str) -> services.Heartbeats:
        self.reads.append(cell)
        self.during(cell)
        found = self.beats[cell].items() if group == 'compute' else ()
        rows = [(f'{cell}-{host}', host, beat) for host, beat in found]
        return services.Heartbeats(self.wall - self.behind.get(cell, 0), rows)

    def records(self, group: str) -> list[services.ServiceRef]:
        return [
            {'host': host} for each in self.beats.values() for host in each
        ]


class DriverTest(base.TestCase):
    """A driver, its table, and a clock."""

    options = ''
    cells: tuple[str | None, ...] = (None,)

    def setUp(self) -> None:
        super().setUp()
        self.table = Cells(*self.cells)
        #: Seconds by which this process's time of day is ahead.
        self.wrong = 0.0
        clock = types.SimpleNamespace(monotonic=self.clock)
        for module in (driver, reading):
            self.useFixture(fixtures.MockPatchObject(module, 'time', clock))
        self.useFixture(
            fixtures.MockPatchObject(
                reading, 'time_of_day', lambda: self.table.wall + self.wrong
            )
        )
        self.useFixture(
            fixtures.MockPatchObject(reading, 'TableReader', self._reader)
        )
        self.read_when_asked()
        self.driver = self.make()

    def _reader(self, *args: Any) -> reading.TableReader:
        """Return a reader with the test's clock."""
        return self.reader_class(*args, clock=self.clock)

    reader_class = reading.TableReader

    def make(self, options: str = '') -> db.DatabaseDriver:
        made = db.DatabaseDriver(self.make_conf(options or self.options))
        made.table = self.table
        return made

    def pass_time(self, seconds: float) -> None:
        self.table.wall += seconds
        self.clock.advance(seconds)

    def beat(
        self, *hosts: str, age: float = 0.0, cell: str | None = None
    ) -> None:
        """Write heartbeats that came so many seconds ago."""
        cell = cell or self.cells[0]
        self.table.beats[cell] |= dict.fromkeys(hosts, self.table.wall - age)

    def record(self, host: str, cell: str | None = None) -> dict[str, Any]:
        """Return the record of a host as Nova has just read it."""
        cell = cell or self.cells[0]
        beat = self.table.beats[cell].get(host)
        values = {
            'host': host,
            'topic': 'compute',
            'uuid': f'{cell}-{host}',
            'last_seen_up': None if beat is None else _naive(beat),
            'created_at': _naive(WALL - 99 * HOUR),
            'updated_at': None,
        }
        return values if cell is None else Record(values, cell)

    def up(self, *hosts: str, cell: str | None = None) -> list[str]:
        return [
            host
            for host in hosts
            if self.driver.is_up(self.record(host, cell))
        ]

    def at_once(
        self, host: str, threads: int = 8
    ) -> list['futures.Future[bool]']:
        """Ask about a host in several threads that start together."""
        together = threading.Barrier(threads)

        def ask() -> bool:
            together.wait(LONG)
            return self.driver.is_up(self.record(host))

        pool = futures.ThreadPoolExecutor(threads)
        self.addCleanup(pool.shutdown)
        return [pool.submit(ask) for _ in range(threads)]


class RecordTest(DriverTest):
    """Verdicts from the values of a record."""

    def verdict(self, **values: Any) -> bool:
        record = {**self.record('a'), 'uuid': 'unknown', **values}
        return self.driver.is_up(record)

    def test_the_age_of_the_last_heartbeat_decides(self) -> None:
        self.beat('a', age=60)
        self.beat('b', age=60.1)
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_never_seen_is_as_old_as_the_record(self) -> None:
        self.assertFalse(self.verdict())
        self.assertTrue(self.verdict(created_at=_naive(WALL - 5)))
        self.assertFalse(self.verdict(created_at=None))

    def test_a_record_that_the_table_lacks_is_judged_by_itself(self) -> None:
        """It is judged by this process's clock, as by Nova's own driver."""
        self.wrong = -24 * HOUR
        for age, up in ((5, True), (60, True), (61, False), (-61, False)):
            seen = _naive(WALL + self.wrong - age)
            self.assertIs(up, self.verdict(last_seen_up=seen), age)

    def test_a_record_that_the_table_has_is_judged_by_the_table(self) -> None:
        self.wrong = -24 * HOUR
        self.beat('a', age=HOUR)
        seen = _naive(self.table.wall + self.wrong)
        self.assertFalse(self.verdict(last_seen_up=seen))

    def test_a_record_newer_than_the_reading_is_as_young_as_it_says(
        self,
    ) -> None:
        self.wrong = -24 * HOUR
        self.up('a')
        self.assertTrue(self.verdict(created_at=_naive(WALL - 5)))

    def test_enabling_a_dead_host_does_not_make_it_up(self) -> None:
        self.beat('a', age=300)
        self.assertFalse(self.verdict(updated_at=_naive(WALL)))

    def test_times_may_be_aware_or_text(self) -> None:
        naive = _naive(WALL - 30)
        aware = naive.replace(tzinfo=UTC)
        for seen in (naive, aware, naive.isoformat(), aware.isoformat()):
            self.assertTrue(self.verdict(last_seen_up=seen), seen)
        old = naive - datetime.timedelta(seconds=60)
        for seen in (old, old.replace(tzinfo=UTC), old.isoformat()):
            self.assertFalse(self.verdict(last_seen_up=seen), seen)

    def test_a_record_that_cannot_be_judged_is_no_evidence(self) -> None:
        self.assertTrue(self.verdict(last_seen_up='some day'))
        self.assertFalse(self.verdict(last_seen_up='some day', host=None))

    def test_updated_time_is_what_the_record_has(self) -> None:
        now = _naive(WALL)
        for value in (None, now, now.replace(tzinfo=UTC), 'some day'):
            record = {**self.record('a'), 'updated_at': value}
            self.assertIs(value, self.driver.updated_time(record))
        self.assertRaises(KeyError, self.driver.updated_time, {'host': 'a'})


class HeldTest(DriverTest):
    def updated(self, host: str) -> datetime.datetime | None:
        return self.driver.updated_time(self.record(host))

    def test_who_is_held_is_updated_now(self) -> None:
        """Programs take a host whose update is old for one that failed."""
        self.beat('a', 'b', 'c', age=70)
        self.assertEqual(['a'], self.up('a'))
        updated = self.updated('a')
        age = dates.time_ago(0.0) - updated
        self.assertLess(age.total_seconds(), 5)
        self.pass_time(60)
        self.assertEqual([], self.up('a'))
        self.assertIsNone(self.updated('a'))

    def test_who_is_up_while_nothing_can_be_read_is_updated_now(self) -> None:
        """Their records are old when the database is just back."""
        self.beat('a', 'b')
        self.beat('dead', age=70)
        self.up('a', 'b', 'dead')
        self.table.during = self._fail
        self.pass_time(58)
        self.up('a')
        self.pass_time(10)
        self.assertEqual(['a', 'b'], self.up('a', 'b', 'dead'))
        age = dates.time_ago(0.0) - self.updated('a')
        self.assertLess(age.total_seconds(), 5)
        self.assertIsNone(self.updated('dead'))

    def _fail(self, cell: str | None) -> None:
        raise exceptions.BackendError('database', 'away')

    def test_who_is_written_by_a_slow_clock_is_updated_when_it_came(
        self,
    ) -> None:
        """A conductor's clock is slow: its heartbeats look old and are not."""
        self.useFixture(fixtures.MockPatchObject(dates, 'time_ago', self._ago))
        self.beat('a', 'b', 'dead')
        self.up('a', 'b', 'dead')
        for _ in range(7):
            self.pass_time(10)
            self.beat('a', age=200)
            self.beat('b')
            self.assertIn('a', self.up('a', 'b', 'dead'))
        self.pass_time(3)
        for host, expected in (('a', 13), ('b', 3), ('dead', 73)):
            beat = self.table.beats[None][host]
            record = {**self.record(host), 'updated_at': _naive(beat)}
            updated = self.driver.updated_time(record)
            age = self.table.wall - updated.replace(tzinfo=UTC).timestamp()
            self.assertEqual(expected, age, host)
            self.assertEqual(host == 'a', updated.tzinfo is not None)

    def _ago(self, seconds: float) -> datetime.datetime:
        return _naive(self.table.wall - seconds).replace(tzinfo=UTC)


class OptionsTest(DriverTest):
    def test_without_a_report_interval_nothing_is_raised(self) -> None:
        self.driver = self.make('[DEFAULT]\nreport_interval = 0\n')
        self.beat('a', age=60)
        self.beat('b', age=61)
        self.assertEqual(['a'], self.up('a', 'b'))
        states = [each.state for each in self.driver.view('compute').members]
        self.assertEqual(['up', 'down'], states)
        self.assertNotIn('ERROR', self.log.output)

    def test_a_raised_down_time_counts(self) -> None:
        self.driver = self.make('[DEFAULT]\nservice_down_time = 5\n')
        self.beat('a', age=25)
        self.beat('b', age=26)
        self.assertEqual(['a'], self.up('a', 'b'))


class ReadsTest(DriverTest):
    """The number of reads of the table."""

    def test_a_fresh_record_reads_nothing(self) -> None:
        self.beat('a', 'b')
        self.up('a', 'b')
        self.assertEqual([None], self.table.reads)
        for _ in range(59):
            self.pass_time(1)
            self.beat('a', 'b')
            self.assertEqual(['a', 'b'], self.up('a', 'b'))
        self.assertEqual(([None], 1), (self.table.reads, self.table.listed))

    def test_one_read_serves_all_late_hosts(self) -> None:
        self.beat('a', 'b', 'c', age=300)
        for _ in range(3):
            self.assertEqual([], self.up('a', 'b', 'c'))
        self.assertEqual([None], self.table.reads)

    def test_eight_threads_at_once_in_a_stall_read_once(self) -> None:
        for age, expected in ((75, True), (HOUR, False)):
            self.driver = self.make('[servicegroup]\nread_timeout = 20\n')
            self.table.reads.clear()
            begun, go = threading.Event(), threading.Event()
            self.table.during = lambda cell, begun=begun, go=go: (
                begun.set(),
                go.wait(LONG),
            )
            self.beat('a', 'b', 'c', age=age)
            asked = self.at_once('a')
            self.assertTrue(begun.wait(LONG))
            go.set()
            verdicts = {each.result(LONG) for each in asked}
            self.assertEqual({expected}, verdicts)
            self.assertEqual([None], self.table.reads)


class LateTest(DriverTest):
    """Verdicts while heartbeats are late."""

    def test_a_host_that_is_late_with_most_is_held(self) -> None:
        self.beat('a', 'b', 'c', age=75)
        self.beat('dead', age=300)
        self.assertEqual(['a', 'b', 'c'], self.up('a', 'b', 'c', 'dead'))

    def test_two_late_hosts_are_not_most(self) -> None:
        self.beat('a', 'b', age=75)
        self.assertEqual([], self.up('a', 'b'))

    def test_a_host_seen_dead_stays_dead_when_others_get_late(self) -> None:
        self.beat('dead', age=61)
        self.beat('a', 'b', 'c')
        self.assertEqual([], self.up('dead'))
        for second in range(120):
            self.pass_time(1)
            self.assertEqual(
                ['a', 'b', 'c'], self.up('a', 'b', 'c', 'dead'), second
            )

    def test_a_wrong_clock_of_this_process_changes_nothing(self) -> None:
        for self.wrong in (-300, 0, 300):
            self.table.beats = {None: {}}
            self.driver = self.make()
            self.beat('a', age=5)
            self.beat('b', age=60)
            self.beat('dead', age=61)
            for _ in range(2):
                found = self.up('a', 'b', 'dead')
                self.assertEqual(['a', 'b'], found, self.wrong)

    def test_one_record_an_hour_in_the_future_counts_from_its_arrival(
        self,
    ) -> None:
        self.beat('odd', age=-HOUR)
        self.beat('dead', age=70)
        for second in range(2 * int(HOUR)):
            self.beat('a', 'b', 'c')
            expected = ['a', 'b', 'c'] + (['odd'] if second <= 60 else [])
            found = self.up('a', 'b', 'c', 'dead', 'odd')
            self.assertEqual(expected, found, second)
            self.pass_time(1)

    def test_a_database_clock_set_back_makes_nobody_down_and_brings_none_back(
        self,
    ) -> None:
        for step in STEPS:
            self.table.beats = {None: {}}
            self.driver = self.make()
            self.beat('a', 'b', 'c', age=5)
            self.beat('dead', age=70)
            # After the step, its heartbeat looks new.
            self.beat('older', age=step)
            self.up('a', 'b', 'c', 'dead', 'older')
            self.table.wall -= step
            for second in range(900):
                self.pass_time(1)
                if second % 10 == 0:
                    self.beat('a', 'b', 'c')
                self.assertEqual(
                    ['a', 'b', 'c'],
                    self.up('a', 'b', 'c', 'dead', 'older'),
                    (step, second),
                )


class NoAccessTest(DriverTest):
    """A process without access to a database, such as nova-compute."""

    def setUp(self) -> None:
        super().setUp()
        self.driver.table = services.NoTable('there is none')

    def test_a_late_record_is_held_for_the_hold_time(self) -> None:
        self.beat('a')
        for age in (0, 60, 61, 120):
            self.pass_time(age - (self.table.wall - WALL))
            self.assertEqual(['a'], self.up('a'), age)
        self.pass_time(0.1)
        self.assertEqual([], self.up('a'))

    def test_the_options_set_how_long_a_late_record_is_held(self) -> None:
        self.driver = self.make(
            '[DEFAULT]\nservice_down_time = 30\n'
            '[servicegroup]\nhold_time = 300\n'
        )
        self.driver.table = services.NoTable('there is none')
        self.beat('a', age=330)
        self.beat('b', age=331)
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_a_view_has_the_error(self) -> None:
        view = self.driver.view('compute')
        self.assertEqual(((), None), (view.members, view.age))
        self.assertIsInstance(view.error, exceptions.NoAccess)


class MuteTest(DriverTest):
    """A database that takes longer than read_timeout."""

    def setUp(self) -> None:
        super().setUp()
        self.begun, self.go = threading.Event(), threading.Event()
        self.addCleanup(self.go.set)
        self.is_mute = False
        fake = types.SimpleNamespace(OneAtATime=self._make_one)
        self.useFixture(fixtures.MockPatchObject(reading, 'background', fake))

    def _make_one(self, *args: Any) -> Any:
        """Return one that takes no real time while the database is mute."""
        one = background.OneAtATime(*args)
        ask = one.ask

        def ask_at_once(wait: float) -> Any:
            if not self.is_mute:
                return ask(LONG)
            try:
                return ask(0.0)
            finally:
                self.assertTrue(self.begun.wait(LONG))

        one.ask = ask_at_once  # type: ignore[method-assign]
        return one

    def mute(self) -> None:
        self.is_mute = True
        self.table.during = self._hang

    def _hang(self, cell: str | None) -> None:
        self.begun.set()
        self.go.wait(LONG)

    def test_a_mute_database_makes_no_live_host_down(self) -> None:
        self.beat('a', 'b')
        self.beat('dead', age=70)
        self.up('a', 'b', 'dead')
        self.mute()
        self.pass_time(61)
        self.assertEqual(['a', 'b'], self.up('a', 'b', 'dead'))
        # It is asked once.
        self.pass_time(10)
        self.assertEqual(['a', 'b'], self.up('a', 'b', 'dead'))
        self.assertEqual(2, len(self.table.reads))

    def test_a_mute_database_makes_no_unseen_host_down(self) -> None:
        self.mute()
        self.beat('a', age=75)
        self.assertEqual(['a'], self.up('a'))

    def test_a_view_is_what_was_read_last(self) -> None:
        self.beat('a')
        self.driver.view('compute')
        self.mute()
        self.pass_time(5)
        view = self.driver.view('compute')
        self.assertEqual(['a'], [each.host for each in view.members])
        self.assertEqual(5.0, view.age)
        self.assertIsInstance(view.error, exceptions.BackendTimeout)


class CellsTest(DriverTest):
    """Two cells, and cell0."""

    cells = ('cell0', 'one', 'two')

    def lose(self, lost: str) -> None:
        """Make reads of one cell fail."""

        def during(cell: str | None) -> None:
            if cell == lost:
                raise exceptions.BackendError('services table', 'away')

        self.table.during = during

    def test_services_in_cell0_are_seen(self) -> None:
        self.beat('a', age=60, cell='cell0')
        self.beat('b', age=61, cell='cell0')
        self.assertEqual(['a'], self.up('a', 'b', cell='cell0'))
        self.assertEqual(
            [('a', 'cell0', 'up'), ('b', 'cell0', 'down')],
            [
                (each.host, each.cell, each.state)
                for each in self.driver.view('compute').members
            ],
        )

    def test_a_cell_that_is_away_makes_none_of_its_hosts_down(self) -> None:
        self.beat('a', cell='one')
        self.up('a', cell='one')
        self.lose('one')
        self.pass_time(61)
        self.assertEqual(['a'], self.up('a', cell='one'))

    def test_hosts_of_other_cells_are_judged_as_ever(self) -> None:
        self.beat('a', cell='one')
        self.beat('b', 'c', cell='two')
        self.up('a', cell='one')
        self.up('b', 'c', cell='two')
        self.lose('one')
        self.pass_time(61)
        self.beat('b', cell='two')
        self.assertEqual(['a'], self.up('a', cell='one'))
        self.assertEqual(['b'], self.up('b', 'c', cell='two'))

    def test_each_cell_is_late_by_itself(self) -> None:
        for number, cell in enumerate(self.cells):
            self.beat(f'host{number}', age=75, cell=cell)
            self.assertEqual([], self.up(f'host{number}', cell=cell))

    def plain(self, *hosts: str, cell: str) -> list[str]:
        """Return the hosts that are up, by records without a cell."""
        return [
            host
            for host in hosts
            if self.driver.is_up(dict(self.record(host, cell)))
        ]

    def test_plain_dicts_without_a_cell_are_judged_by_uuid(self) -> None:
        self.beat('a', 'b', 'c', age=75, cell='one')
        self.beat('d', 'e', 'f', age=5, cell='two')
        # In one cell it is late with most, in the other alone.
        self.beat('both', age=75, cell='one')
        self.beat('both', age=76, cell='two')
        self.assertEqual([], self.plain('both', cell='two'))
        late = ('a', 'b', 'c', 'both')
        self.assertEqual(list(late), self.plain(*late, cell='one'))
        self.assertEqual(
            ['d', 'e', 'f'], self.plain('d', 'e', 'f', 'both', cell='two')
        )

    def test_no_plain_dict_is_judged_by_the_clock_of_another_cell(
        self,
    ) -> None:
        self.table.behind['one'] = HOUR
        self.beat('a', age=HOUR, cell='one')
        self.beat('b', age=HOUR, cell='two')
        for _ in range(2):
            self.assertEqual(['a'], self.plain('a', cell='one'))
            self.assertEqual([], self.plain('b', cell='two'))

    def test_cells_are_read_once_for_all_plain_dicts(self) -> None:
        self.beat('a', 'b', age=300, cell='one')
        for _ in range(3):
            self.assertEqual([], self.plain('a', 'b', cell='one'))
        self.assertEqual(sorted(self.cells), sorted(self.table.reads))

    def test_a_plain_dict_that_is_new_is_up_if_any_cell_has_it(self) -> None:
        self.beat('a', cell='one')
        record = {**self.record('a', 'one'), 'uuid': 'new'}
        self.assertTrue(self.driver.is_up(dict(record)))
        record['last_seen_up'] = _naive(WALL - HOUR)
        record['host'] = 'unknown'
        self.assertFalse(self.driver.is_up(dict(record)))

    def test_a_late_host_is_held_while_the_cells_are_not_known(self) -> None:
        self.table.error = exceptions.BackendError('API database', 'away')
        self.beat('a', age=120, cell='one')
        self.beat('b', age=121, cell='one')
        self.assertEqual(['a'], self.plain('a', 'b', cell='one'))

    def test_a_view_has_the_error_of_a_cell_that_is_away(self) -> None:
        self.beat('a', cell='one')
        self.beat('b', cell='two')
        self.driver.view('compute')
        self.pass_time(10)
        self.lose('one')
        view = self.driver.view('compute')
        self.assertEqual(['a', 'b'], [each.host for each in view.members])
        self.assertIn('away', str(view.error))
        # The age of a view is that of its oldest cell.
        self.assertEqual(10.0, view.age)

    def test_a_view_has_one_host_of_two_cells_twice(self) -> None:
        self.beat('a', cell='one')
        self.beat('a', age=70, cell='two')
        self.assertEqual(
            {('one', 'up'), ('two', 'down')},
            {
                (each.cell, each.state)
                for each in self.driver.view('compute').members
            },
        )


class NovasCellsTest(base.TestCase):
    """Cells with the table of the plugin, and real databases."""

    def test_services_in_cell0_are_seen(self) -> None:
        nova = self.useFixture(fake_nova.FakeCells())
        self.driver = db.DatabaseDriver(self.make_conf())
        self.addCleanup(self.driver.close)
        self.driver.table = records.ServicesTable()
        for cell, age in (('cell0', 5), ('cell1', 600)):
            (record,) = nova.tables[cell].add(1, age=age)
            nova.tables[cell].set(record, host=f'of-{cell}')
        self.assertEqual(
            [('of-cell0', 'up'), ('of-cell1', 'down')],
            [
                (each.host, each.state)
                for each in self.driver.view('compute').members
            ],
        )
        found = self.driver.read_records('compute')
        verdicts = {each['host']: self.driver.is_up(each) for each in found}
        self.assertEqual({'of-cell0': True, 'of-cell1': False}, verdicts)


class ViewTest(DriverTest):
    def members(self) -> list[tuple[Any, ...]]:
        return [
            (each.host, each.state, each.proof_age, each.reason)
            for each in self.driver.view('compute').members
        ]

    def test_a_view_has_all_rows_of_the_table(self) -> None:
        self.beat('b', age=5)
        self.beat('A', age=99)
        self.table.beats[None]['c'] = None
        self.assertEqual(
            [
                ('A', 'down', 99.0, 'no heartbeat for 99 s'),
                ('b', 'up', 5.0, None),
                ('c', 'down', None, 'never a heartbeat'),
            ],
            self.members(),
        )

    def test_a_view_has_the_reason_of_a_held_host(self) -> None:
        self.beat('a', 'b', 'c', age=75)
        reason = f'no heartbeat for 75 s, but {ages.LATE}'
        expected = [(host, 'held', 75.0, reason) for host in 'abc']
        self.assertEqual(expected, self.members())

    def test_ages_in_a_view_grow(self) -> None:
        self.beat('a', age=5)
        self.members()
        self.pass_time(0.5)
        self.assertEqual([('a', 'up', 5.5, None)], self.members())

    def test_several_threads_may_view_several_groups(self) -> None:
        together = threading.Barrier(4)
        self.beat('a')

        def look(group: str) -> Any:
            together.wait(LONG)
            return self.driver.view(group)

        with futures.ThreadPoolExecutor(4) as pool:
            views = list(pool.map(look, 2 * ['compute', 'conductor']))
        self.assertEqual(4 * [None], [each.error for each in views])
        self.assertEqual([1, 0, 1, 0], [len(each.members) for each in views])

    def test_a_check_counts_the_computes(self) -> None:
        self.beat('a', 'b')
        self.assertIn('2 computes', self.driver.check())


class JoinTest(DriverTest):
    def test_a_member_saves_heartbeats_on_the_timer(self) -> None:
        service = base.FakeService(7)
        self.driver.join('a', 'compute', service)
        self.assertEqual(0, service.saved)
        self.assertEqual(7, service.timers[0]['interval'])
        self.assertEqual(5, service.timers[0]['initial_delay'])
        service.fire()
        self.assertEqual(1, service.saved)

    def test_a_failed_save_does_not_end_the_timer(self) -> None:
        service = base.FakeService()
        self.driver.join('a', 'compute', service)
        service.error = exceptions.BackendError('nova-conductor', 'timeout')
        service.fire()
        service.error = None
        service.fire()
        self.assertEqual(1, service.saved)
        self.assertIn('recovered', self.log.output)

    def test_a_service_that_does_not_report_joins_nothing(self) -> None:
        service = base.FakeService(0)
        self.driver.join('a', 'compute', service)
        self.assertEqual([], service.timers)

    def test_leave_ends_the_beat(self) -> None:
        service = base.FakeService()
        self.driver.join('a', 'compute', service)
        self.driver.leave('a', 'compute')
        service.fire()
        self.assertEqual(0, service.saved)


def _naive(at: float) -> datetime.datetime:
    """Return a time as in Nova's records."""
    return datetime.datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
