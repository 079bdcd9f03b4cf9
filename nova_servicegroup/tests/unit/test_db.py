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


from collections.abc import Sequence
from concurrent import futures
import datetime
import math
import threading
import time
import types
from typing import Any

import fixtures
from oslo_utils import fixture
from oslo_utils import timeutils

from nova_servicegroup.drivers import db
from nova_servicegroup.drivers.db import driver
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

UTC = datetime.timezone.utc


class Record(dict[str, Any]):
    """A record that was read from a cell."""

    def __init__(self, values: dict[str, Any], cell: str) -> None:
        super().__init__(values)
        self._context = types.SimpleNamespace(cell_uuid=cell)


class DatabaseDriverTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = datetime.datetime(2026, 1, 1, 12, 0, 0)
        self.wall = self.useFixture(fixture.TimeFixture(self.now))
        self.driver = db.DatabaseDriver(self.make_conf())
        timed = types.SimpleNamespace(monotonic=self.clock)
        self.useFixture(fixtures.MockPatchObject(driver, 'time', timed))

    def record(self, age: float | None, **values: Any) -> dict[str, Any]:
        seen = None if age is None else self.ago(age)
        return {
            'host': 'a',
            'topic': 'compute',
            'last_seen_up': seen,
            'created_at': self.ago(9999),
            'updated_at': None,
            **values,
        }

    def ago(self, seconds: float) -> datetime.datetime:
        return timeutils.utcnow() - datetime.timedelta(seconds=seconds)

    def test_the_age_of_the_last_heartbeat_decides(self) -> None:
        self.assertTrue(self.driver.is_up(self.record(0)))
        self.assertTrue(self.driver.is_up(self.record(60)))
        self.assertFalse(self.driver.is_up(self.record(60.1)))

    def test_from_the_future_is_as_bad_as_from_the_past(self) -> None:
        self.assertTrue(self.driver.is_up(self.record(-60)))
        self.assertFalse(self.driver.is_up(self.record(-61)))

    def test_never_seen_is_as_old_as_the_record(self) -> None:
        self.assertFalse(self.driver.is_up(self.record(None)))
        new = self.record(None, created_at=self.ago(5))
        self.assertTrue(self.driver.is_up(new))
        self.assertFalse(self.driver.is_up(self.record(None, created_at=None)))

    def test_enabling_a_dead_host_does_not_make_it_up(self) -> None:
        record = self.record(300, updated_at=self.ago(0))
        self.assertFalse(self.driver.is_up(record))

    def test_times_may_be_aware_or_text(self) -> None:
        aware = self.ago(30).replace(tzinfo=UTC)
        for seen in (aware, aware.isoformat(), '2026-01-01T11:59:30.000000'):
            self.assertTrue(
                self.driver.is_up(self.record(0, last_seen_up=seen)), seen
            )
        old = aware - datetime.timedelta(seconds=60)
        for seen in (old, old.isoformat()):
            self.assertFalse(
                self.driver.is_up(self.record(0, last_seen_up=seen)), seen
            )

    def fleet(self, *ages: float) -> list[dict[str, Any]]:
        return [
            self.record(age, host=f'host{number}')
            for number, age in enumerate(ages)
        ]

    def up(self, records: list[dict[str, Any]]) -> list[bool]:
        return [self.driver.is_up(each) for each in records]

    def test_what_is_late_for_all_is_not_counted(self) -> None:
        late = self.fleet(75, 78, 80, 300)
        self.driver.records = lambda group: late
        self.assertEqual([True, True, True, False], self.up(late))

    def test_nor_where_this_clock_is_wrong(self) -> None:
        for error in (-300, 300):
            self.driver = db.DatabaseDriver(self.make_conf())
            hosts = self.fleet(error, error + 5, error + 9, error + 70)
            self.driver.records = lambda group, hosts=hosts: hosts
            self.assertEqual([True, True, True, False], self.up(hosts))

    def test_two_hosts_are_judged_by_this_clock(self) -> None:
        late = self.fleet(75, 78)
        self.driver.records = lambda group: late
        self.assertEqual([False, False], self.up(late))

    def test_so_are_those_of_a_cell_of_their_own(self) -> None:
        late = self.fleet(75, 78, 80)
        for number, each in enumerate(late):
            late[number] = Record(each, f'cell{number}')
        self.driver.records = lambda group: late
        self.assertEqual([False, False, False], self.up(late))

    def two_cells(self) -> list[Record]:
        """Return records of a cell whose heartbeats are late, and another."""
        late, well = self.fleet(75, 78, 80, 150), self.fleet(1, 2, 3)
        return [
            Record({**each, 'uuid': f'{cell}-{each["host"]}'}, cell)
            for cell, found in (('late', late), ('well', well))
            for each in found
        ]

    def test_a_plain_dict_is_judged_with_its_cell(self) -> None:
        records = self.two_cells()
        self.driver.records = lambda group: records
        plain = [dict(each) for each in records]
        expected = [True, True, True, False, True, True, True]
        self.assertEqual(expected, self.up(plain))

    def test_cells_are_read_once_for_all_that_are_known(self) -> None:
        records = self.two_cells()
        reads = self.reads(records)
        plain = [dict(each) for each in records[-3:]]
        for _ in range(3):
            self.up(plain)
        self.assertEqual(['compute'], reads)

    def test_a_mute_database_delays_a_verdict_by_the_bound(self) -> None:
        released = threading.Event()
        self.addCleanup(released.set)
        self.driver = db.DatabaseDriver(
            self.make_conf('[servicegroup]\nread_timeout = 0.1\n')
        )
        self.driver.records = lambda group: released.wait(60) and []
        begun = time.monotonic()
        late = self.record(300, uuid='unknown')
        self.assertFalse(self.driver.is_up(late))
        self.assertLess(time.monotonic() - begun, 30)

    def test_the_group_is_read_once_and_only_for_one_that_is_late(
        self,
    ) -> None:
        reads = self.reads([])
        self.up(self.fleet(5, 9))
        self.assertEqual([], reads)
        self.up(self.fleet(300, 300))
        self.assertEqual(['compute'], reads)

    def test_who_looks_seldom_looks_at_all_before_one_is_down(self) -> None:
        for others, expected in (((77, 78), True), ((1, 5), False)):
            self.driver = db.DatabaseDriver(self.make_conf())
            self.up(self.fleet(1, 2, 3))
            self.pass_time(75)
            reads = self.reads(self.fleet(76, *others))
            self.assertIs(expected, self.driver.is_up(self.fleet(76)[0]))
            self.assertEqual(['compute'], reads)

    def test_but_not_for_each(self) -> None:
        self.up(self.fleet(1, 2, 3, 4, 5, 6, 7))
        self.pass_time(75)
        reads = self.reads([])
        for _ in range(3):
            self.up(self.fleet(76, 77, 78))
        self.assertEqual(['compute'], reads)
        self.pass_time(11)
        # The first are down by now.
        self.up(self.fleet(87, 88, 89))
        self.assertEqual(['compute'], reads)
        self.up(self.fleet(87, 88, 89, 90))
        self.assertEqual(['compute'] * 2, reads)

    def test_also_if_it_began_with_one_that_was_late(self) -> None:
        reads = self.reads(self.fleet(5, 6, 7, 300))
        self.assertFalse(self.driver.is_up(self.fleet(0, 0, 0, 300)[3]))
        self.pass_time(75)
        self.reads(self.fleet(80, 81, 82, 375))
        self.assertTrue(self.driver.is_up(self.fleet(80)[0]))
        self.assertEqual(['compute'], reads)

    def test_a_small_group_is_read_once(self) -> None:
        reads = self.reads(self.fleet(5, 300))
        for _ in range(3):
            self.up(self.fleet(5, 300))
            self.pass_time(20)
        self.assertEqual(['compute'], reads)

    def pass_time(self, seconds: float) -> None:
        self.wall.advance_time_seconds(seconds)
        self.clock.advance(seconds)

    def reads(self, records: Sequence[dict[str, Any]]) -> list[str]:
        """Let the driver read these; return the list of groups it reads."""
        reads: list[str] = []
        self.driver.records = lambda group: reads.append(group) or records
        return reads

    def test_updated_time_is_aware_or_none(self) -> None:
        record = self.record(0, updated_at=self.now)
        self.assertEqual(
            self.now.replace(tzinfo=UTC), self.driver.updated_time(record)
        )
        self.assertIsNone(self.driver.updated_time(self.record(0)))

    def test_a_raised_down_time_counts(self) -> None:
        driver = db.DatabaseDriver(
            self.make_conf('[DEFAULT]\nservice_down_time = 5\n')
        )
        self.assertTrue(driver.is_up(self.record(25)))
        self.assertFalse(driver.is_up(self.record(26)))

    def test_join_saves_heartbeats_on_the_timer(self) -> None:
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

    def test_a_view_has_what_the_table_has(self) -> None:
        self.driver.records = lambda group: [
            self.record(5, host='b'),
            self.record(99, host='a'),
        ]
        view = self.driver.view('compute')
        self.assertEqual(
            [('a', 'down', 99.0), ('b', 'up', 5.0)],
            [(each.host, each.state, each.proof_age) for each in view.members],
        )
        self.assertIsNone(view.error)

    def test_a_view_without_access_says_so(self) -> None:
        view = self.driver.view('compute')
        self.assertEqual(((), None), (view.members, view.age))
        self.assertIsInstance(view.error, exceptions.BackendError)

    def test_a_view_of_a_mute_database_is_bounded(self) -> None:
        self.useFixture(fixtures.MockPatchObject(driver, '_VIEW_WAIT', 0.1))
        self.driver.records = lambda group: self.fleet(5)
        self.driver.view('compute')
        released = threading.Event()
        self.addCleanup(released.set)
        self.driver.records = lambda group: released.wait(60) and []
        self.driver._tables.get()['compute']._due = -math.inf
        view = self.driver.view('compute')
        self.assertEqual(['host0'], [each.host for each in view.members])
        self.assertIsInstance(view.error, exceptions.BackendTimeout)

    def test_several_threads_may_look_at_several_groups(self) -> None:
        together = threading.Barrier(4)

        def slow(group: str) -> list[dict[str, Any]]:
            time.sleep(0.05)
            return self.fleet(5)

        def look(group: str) -> Any:
            together.wait(60)
            return self.driver.view(group)

        self.driver.records = slow
        with futures.ThreadPoolExecutor(4) as pool:
            views = list(pool.map(look, 2 * ['compute', 'conductor']))
        self.assertEqual(4 * [None], [each.error for each in views])
        self.assertEqual(4 * [1], [len(each.members) for each in views])

    def test_who_is_late_with_all_others_is_held(self) -> None:
        late = self.fleet(75, 78, 80, 300)
        self.driver.records = lambda group: late
        self.assertEqual(
            ['held', 'held', 'held', 'down'],
            [each.state for each in self.driver.view('compute').members],
        )
