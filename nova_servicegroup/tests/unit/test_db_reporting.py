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


import functools
import itertools
import threading
from typing import Any

import fixtures

from nova_servicegroup.drivers.common import backoff
from nova_servicegroup.drivers.db import collector
from nova_servicegroup.drivers.db import intake
from nova_servicegroup.drivers.db import registration
from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import routes
from nova_servicegroup import exceptions
from nova_servicegroup import reporter
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import services_table

LONG = 20.0
DOWN = 60.0
#: The number of late heartbeats after which Nova writes the next.
LATE = 4


class FakeClient:
    """A client of collectors that answers, or fails, as a test wants.

    :ivar knows_time: whether it may send heartbeats that ask for no answer
    """

    def __init__(self) -> None:
        self.knows_time = False
        self.sent: list[tuple[int, float]] = []
        self.timeouts: list[float] = []
        self.asked: list[int] = []
        self.there = True
        self.behind = False
        self.error: Exception | None = None
        self.release = threading.Event()
        self.release.set()
        self.begun = threading.Event()

    def __call__(self, transport: Any) -> 'FakeClient':
        return self

    def beat(self, record: int, timeout: float) -> bool:
        self.asked.append(record)
        self.timeouts.append(timeout)
        self.begun.set()
        self.release.wait(LONG)
        if self.error is not None:
            raise self.error
        return self.there

    def send(self, record: int, timeout: float) -> None:
        self.sent.append((record, timeout))
        if self.error is not None:
            raise self.error


class FakeCollector:
    """A collector that counts its calls."""

    error: Exception | None = None

    def __init__(self, *args: Any) -> None:
        self.args = args
        self.started = self.stopped = 0

    def start(self) -> None:
        if self.error is not None:
            raise self.error
        self.started += 1

    def stop(self) -> None:
        self.stopped += 1


class ReportingTest(base.TestCase):
    """A service with a clock that a test moves."""

    def setUp(self) -> None:
        super().setUp()
        for module, name in (
            (backoff, 'CircuitBreaker'),
            (reporter, 'Reporter'),
        ):
            timed = functools.partial(getattr(module, name), clock=self.clock)
            self._patch(module, name, timed)
        self.set_time()
        self.client = FakeClient()
        self.addCleanup(self.client.release.set)
        self._patch(relay, 'Client', self.client)
        self.collectors: list[FakeCollector] = []
        self._patch(collector, 'Collector', self._collector)
        self.service = base.FakeService()

    def _patch(self, module: Any, name: str, fake: Any) -> None:
        self.useFixture(fixtures.MockPatchObject(module, name, fake))

    def _collector(self, *args: Any) -> FakeCollector:
        self.collectors.append(FakeCollector(*args))
        return self.collectors[-1]

    def join(self) -> registration.Registration:
        """Return the registration of the service, started."""
        made = registration.Registration(
            'a', 'compute', self.service, DOWN, registration.Workers()
        )
        made.start()
        return made

    def give_transport(self) -> None:
        self.service.transport = lambda: 'a transport'
        self.service.new_transport = lambda options: ('its own', options)

    def give_database(self) -> services_table.ServicesTable:
        """Give the service a database with its record in it."""
        made = self.useFixture(services_table.InMemory())
        self.service.database = made.engine
        (self.service.record_id,) = made.table.add(1)
        return made.table

    def beat(self, times: int = 1) -> None:
        """Fire the service's timer."""
        for _ in range(times):
            self.service.fire()
            self.clock.advance(self.service.report_interval)

    def lines(self, words: str, level: str = 'INFO') -> list[str]:
        return [line for line in self.log_lines(level) if words in line]


class NovaTest(ReportingTest):
    """A service with neither a database nor a message queue."""

    def test_nova_writes_the_heartbeats(self) -> None:
        self.join()
        self.beat(3)
        self.assertEqual((3, 0), (self.service.saved, self.service.noted))

    def test_errors_of_nova_are_logged_once(self) -> None:
        self.service.error = exceptions.BackendError('Nova', 'away')
        self.join()
        self.beat(3)
        self.assertEqual(1, len(self.lines('lost contact', 'WARNING')))

    def test_no_heartbeat_after_stop(self) -> None:
        made = self.join()
        made.stop()
        self.beat()
        self.assertEqual(0, self.service.saved)


class DirectTest(ReportingTest):
    """A service that has access to the database."""

    def test_it_writes_its_own_heartbeats(self) -> None:
        table = self.give_database()
        self.give_transport()
        self.join()
        self.beat(3)
        self.assertEqual(10, table.get(self.service.record_id)['report_count'])
        self.assertEqual((0, 3), (self.service.saved, self.service.noted))
        self.assertEqual([], self.client.asked)

    def test_a_deleted_record_is_an_error_at_every_beat(self) -> None:
        table = self.give_database()
        table.delete(self.service.record_id)
        self.join()
        self.beat(2)
        self.assertEqual(2, len(self.lines('is gone', 'ERROR')))
        self.assertEqual((0, 0), (self.service.saved, self.service.noted))

    def test_a_database_that_is_away_is_logged_once(self) -> None:
        table = self.give_database()
        services_table.SERVICES.drop(self.service.database)
        self.join()
        self.beat(3)
        self.assertEqual(1, len(self.lines('lost contact', 'WARNING')))
        self.assertEqual(0, self.service.noted)
        table.create()
        table.add(1, id=self.service.record_id)
        self.beat()
        self.assertEqual(1, len(self.lines('recovered')))
        self.assertEqual(1, self.service.noted)


class Relayed(ReportingTest):
    """A service that has a collector write its heartbeats."""

    def setUp(self) -> None:
        super().setUp()
        self.service.record_id = 42
        self.give_transport()
        self.notes_when_saving: list[int] = []
        save = self.service.save_heartbeat

        def note_and_save() -> None:
            self.notes_when_saving.append(self.service.noted)
            save()

        self.service.save_heartbeat = note_and_save

    def late(self) -> None:
        """Make a collector late after it has written one heartbeat."""
        self.trouble(exceptions.BackendTimeout('collector', 'late'))

    def trouble(self, error: Exception) -> None:
        """Make a collector fail after it has written one heartbeat."""
        self.join()
        self.beat()
        self.client.error = error


class RelayTest(Relayed):
    """A service whose heartbeats all ask for an answer."""

    def test_a_collector_writes_the_heartbeats(self) -> None:
        self.join()
        self.beat(3)
        self.assertEqual([42, 42, 42], self.client.asked)
        self.assertEqual((0, 3), (self.service.saved, self.service.noted))

    def test_all_waits_together_are_shorter_than_an_interval(self) -> None:
        self.join()
        self.beat(50)
        self.assertLessEqual(max(self.client.timeouts), 7.0)
        self.client.error = exceptions.BackendTimeout('collector', 'late')
        self.beat(6)
        # There is time left for Nova to write.
        self.assertEqual([4.0, 4.0], self.client.timeouts[-2:])

    def test_waits_are_random(self) -> None:
        self.join()
        self.beat(50)
        waits = self.client.timeouts
        self.assertLess(min(waits), 3.0)
        self.assertGreaterEqual(min(waits), 2.0)
        self.assertGreater(max(waits), 6.0)

    def test_a_service_whose_last_ones_were_late_waits_longer(self) -> None:
        self.join()
        for _ in range(60):
            self.client.error = exceptions.BackendTimeout('collector', 'late')
            self.beat(3)
            self.client.error = None
            self.beat()
        for late, least in enumerate((2.0, 3.0, 4.0)):
            waits = self.client.timeouts[late::4]
            self.assertGreaterEqual(min(waits), least)
            self.assertLess(min(waits), least + 1)
            self.assertLessEqual(max(waits), 7.0)

    def test_the_shortest_wait_is_a_second(self) -> None:
        self.service.report_interval = 1
        self.join()
        self.beat(20)
        self.assertEqual({1.0}, set(self.client.timeouts))

    def test_nova_writes_at_once_if_no_collector_listens(self) -> None:
        self.client.error = exceptions.BackendError('collector', 'away')
        self.join()
        self.beat()
        self.assertEqual([42], self.client.asked)
        self.assertEqual(1, self.service.saved)
        # It may have been written, so Nova writes a newer one.
        self.assertEqual([1], self.notes_when_saving)
        self.assertEqual([], self.log_lines('WARNING'))

    def test_late_collectors_have_more_time_at_the_start(self) -> None:
        self.client.error = exceptions.BackendTimeout('collector', 'late')
        self.join()
        # All other hosts may have started with it.
        beats = LATE + int(DOWN / self.service.report_interval)
        self.beat(beats)
        self.assertEqual([], self.notes_when_saving)
        self.beat()
        self.assertEqual([beats + 1], self.notes_when_saving)

    def test_nova_does_not_write_while_the_queue_is_unreachable(self) -> None:
        self.trouble(exceptions.BackendUnreachable('collector', 'away'))
        self.beat(20)
        self.assertEqual((21, 0), (len(self.client.asked), self.service.saved))
        self.assertEqual(1, len(self.lines('lost contact', 'WARNING')))
        self.client.error = None
        self.beat()
        self.assertEqual(1, len(self.lines('recovered')))
        self.assertEqual(22, len(self.client.asked))

    def test_nova_does_not_write_at_once_when_the_queue_is_back(self) -> None:
        self.trouble(exceptions.BackendUnreachable('collector', 'away'))
        self.beat(20)
        self.client.error = exceptions.BackendTimeout('collector', 'late')
        self.beat(LATE - 1)
        self.assertEqual(0, self.service.saved)
        self.beat()
        self.assertEqual(1, self.service.saved)

    def test_nova_writes_after_the_queue_was_unreachable_for_long(
        self,
    ) -> None:
        self.trouble(exceptions.BackendUnreachable('collector', 'away'))
        self.beat(29)
        self.assertEqual(0, self.service.saved)
        self.beat()
        self.assertEqual(1, self.service.saved)

    def test_nova_does_not_write_while_collectors_are_just_late(self) -> None:
        self.late()
        self.beat(LATE - 1)
        self.assertEqual(0, self.service.saved)
        # Each may have been written, so Nova writes a newer one.
        self.assertEqual(LATE, self.service.noted)
        self.assertEqual(1, len(self.lines('lost contact', 'WARNING')))

    def test_nova_writes_before_late_is_too_late(self) -> None:
        self.late()
        self.beat(LATE)
        self.assertEqual(1, self.service.saved)

    def test_collectors_that_were_behind_have_more_time(self) -> None:
        self.client.behind = True
        self.late()
        beats = int(DOWN / self.service.report_interval)
        # The first is left out.
        self.beat(LATE - 1 + beats)
        self.assertEqual(0, self.service.saved)
        self.beat()
        self.assertEqual(1, self.service.saved)

    def test_every_other_heartbeat_is_put_off_while_one_is_behind(
        self,
    ) -> None:
        self.client.behind = True
        self.join()
        self.beat(6)
        self.assertEqual(3, len(self.client.asked))
        self.client.behind = False
        self.beat(6)
        self.assertEqual(9, len(self.client.asked))

    def test_none_is_put_off_where_few_would_be_left(self) -> None:
        self.client.behind = True
        self.service.report_interval = DOWN / 3
        self.join()
        self.beat(6)
        self.assertEqual(6, len(self.client.asked))

    def test_none_is_put_off_without_an_answer(self) -> None:
        self.client.behind = True
        self.late()
        self.beat()
        self.assertEqual(1, len(self.client.asked))
        self.beat(LATE - 1)
        self.assertEqual(LATE, len(self.client.asked))

    def slow_nova(self, seconds: float) -> list[float]:
        """Make Nova take so long to write; return when it writes."""
        save, saved = self.service.save_heartbeat, []

        def slow() -> None:
            self.clock.advance(seconds)
            saved.append(self.clock())
            save()

        self.service.save_heartbeat = slow
        return saved

    def test_a_slow_nova_writes_no_more_than_it_must(self) -> None:
        saved = self.slow_nova(2.0)
        self.late()
        self.beat(240)
        for one, next_one in itertools.pairwise(saved):
            self.assertLess(next_one - one, DOWN)
            self.assertGreater(next_one - one, DOWN / 4)

    def test_a_failing_nova_is_asked_less_and_less(self) -> None:
        tried = self.slow_nova(2.0)
        self.service.error = exceptions.ServiceGroupError('no')
        self.late()
        begun = self.clock()
        self.beat(240)
        self.assertLess(len(tried), 12)
        # In the end, every 300 to 450 s.
        self.assertGreaterEqual(len(tried), (self.clock() - begun) / 450)

    def test_the_timing_of_nova_restarts_after_an_answer(self) -> None:
        self.slow_nova(2.0)
        self.late()
        self.beat(240)
        self.client.error = None
        self.beat()
        saved = self.service.saved
        self.client.error = exceptions.BackendTimeout('collector', 'late')
        self.beat(LATE)
        self.assertEqual(saved + 1, self.service.saved)

    def test_a_quick_nova_writes_all_without_collectors(self) -> None:
        self.late()
        self.beat(60)
        self.assertEqual(61 - LATE, self.service.saved)

    def test_late_collectors_are_asked_at_every_beat(self) -> None:
        self.late()
        self.beat(60)
        self.assertEqual(61, len(self.client.asked))

    def test_nova_that_fails_is_not_quick(self) -> None:
        self.late()
        self.service.error = exceptions.BackendError('Nova', 'away')
        self.beat(LATE)
        self.service.error = None
        self.beat(2)
        self.assertEqual(0, self.service.saved)
        self.assertEqual(1, len(self.notes_when_saving))

    def test_absent_collectors_are_asked_now_and_then(self) -> None:
        self.client.error = exceptions.BackendError('collector', 'away')
        self.join()
        gaps, last = [], 0
        for number in range(1, 1001):
            before = len(self.client.asked)
            self.beat()
            if len(self.client.asked) > before:
                gaps.append(number - last)
                last = number
        self.assertEqual(1000, self.service.saved)
        # In the end, at the first beat after 150 to 300 s.
        self.assertLess(len(gaps), 90)
        self.assertEqual([1, 1], gaps[:2])
        self.assertLessEqual(max(gaps), 31)
        self.assertGreaterEqual(min(gaps[-10:]), 15)

    def test_collectors_that_are_back_are_found(self) -> None:
        self.client.error = exceptions.BackendError('collector', 'away')
        self.join()
        self.beat(100)
        self.client.error = None
        self.beat(31)
        saved = self.service.saved
        self.beat(3)
        self.assertEqual(saved, self.service.saved)

    def test_each_change_of_the_writer_is_logged_once(self) -> None:
        self.join()
        self.beat(3)
        self.client.error = exceptions.BackendError('collector', 'away')
        self.beat(5)
        self.client.error = None
        self.beat(31)
        self.assertEqual(
            [
                'Member a of group compute (db): a collector writes the '
                'heartbeats.',
                'Member a of group compute (db): no collector answers '
                '(collector: away); nova-conductor writes the heartbeats.',
                'Member a of group compute (db): a collector writes the '
                'heartbeats.',
            ],
            self.log_lines('INFO'),
        )

    def test_a_deleted_record_is_an_error_at_every_beat(self) -> None:
        self.client.there = False
        self.join()
        self.beat(3)
        self.assertEqual(
            3, len(self.lines('nova-compute service on host a', 'ERROR'))
        )
        self.assertEqual((0, 0), (self.service.saved, self.service.noted))
        self.client.there = True
        self.beat()
        self.assertEqual(1, self.service.noted)

    def test_a_failure_of_both_ways_is_logged_once(self) -> None:
        self.client.error = exceptions.BackendError('collector', 'away')
        self.service.error = exceptions.BackendError('Nova', 'away')
        self.join()
        self.beat(3)
        self.assertEqual(1, len(self.lines('Nova: away', 'WARNING')))
        self.service.error = None
        self.beat()
        self.assertEqual(1, len(self.lines('recovered')))

    def test_an_error_of_any_kind_leads_to_nova(self) -> None:
        for error in (KeyError('now'), TypeError('text'), RuntimeError()):
            self.client.error = error
            self.join()
            before = self.service.saved
            self.beat(60)
            self.assertEqual(60, self.service.saved - before)
            self.service.stop()

    def test_refusals_may_go_on_for_thousands_of_heartbeats(self) -> None:
        self.client.error = exceptions.BackendError('collector', 'away')
        self.join()
        # The wait between two questions would overflow a float.
        self.beat(40_000)
        self.assertEqual(40_000, self.service.saved)

    def test_collectors_that_write_nothing_are_not_believed(self) -> None:
        self.service.read_heartbeat = lambda: self.service.saved
        self.join()
        # The first check is in the first minute, and takes three more beats.
        for _ in range(12):
            if not self.service.saved:
                self.beat()
        self.assertEqual(1, self.service.saved)
        self.assertEqual(
            1, len(self.lines('its record shows none', 'WARNING'))
        )
        asked = len(self.client.asked)
        self.beat(14)
        self.assertEqual(asked, len(self.client.asked))
        self.beat(600)
        # Nova writes most heartbeats.
        self.assertGreater(self.service.saved, 400)

    def test_collectors_that_say_that_a_record_is_gone_are_not_believed(
        self,
    ) -> None:
        self.service.read_heartbeat = lambda: self.service.saved
        self.client.there = False
        self.join()
        self.beat(30)
        self.assertEqual([], self.log_lines('ERROR'))
        self.assertEqual(30, self.service.saved)

    def test_collectors_are_believed_if_the_record_is_gone(self) -> None:
        def read() -> None:
            raise exceptions.RecordDeleted('nova-compute', 'a')

        self.service.read_heartbeat = read  # type: ignore[attr-defined]
        self.client.there = False
        self.join()
        self.beat(3)
        self.assertEqual(3, len(self.lines('is gone', 'ERROR')))
        self.assertEqual(0, self.service.saved)

    def test_collectors_that_write_are_believed(self) -> None:
        self.service.read_heartbeat = lambda: self.service.noted
        self.join()
        self.beat(600)
        self.assertEqual((600, 0), (self.service.noted, self.service.saved))

    def test_a_heartbeat_that_hangs_is_awaited_and_not_repeated(self) -> None:
        self.service.report_interval = 0.1
        self.client.release.clear()
        self.join()
        self.beat(3)
        self.assertEqual([42], self.client.asked)
        self.assertEqual(0, self.service.saved)
        self.assertEqual(1, len(self.lines('no answer yet', 'WARNING')))
        self.service.report_interval = LONG
        self.client.release.set()
        self.beat()
        self.assertEqual(1, len(self.lines('recovered')))
        self.assertEqual([42], self.client.asked)
        self.assertEqual(1, self.service.noted)


class SilentTest(Relayed):
    """A service most of whose heartbeats do not ask for an answer."""

    def setUp(self) -> None:
        super().setUp()
        self.client.knows_time = True
        self.useFixture(
            fixtures.MockPatchObject(routes.random, 'random', lambda: 1.0)
        )

    def test_a_collector_writes_the_heartbeats(self) -> None:
        self.join()
        self.beat(10)
        self.assertEqual([42] * 4, self.client.asked)
        # Each expires before the next.
        self.assertEqual([(42, 7.0)] * 6, self.client.sent)
        self.assertEqual((0, 10), (self.service.saved, self.service.noted))
        self.assertEqual(1, len(self.log_lines('INFO')))

    def test_refused_heartbeats_are_written_by_nova_at_once(self) -> None:
        self.trouble(exceptions.BackendError('collector', 'away'))
        self.beat()
        self.assertEqual(
            (1, 1), (len(self.client.asked), len(self.client.sent))
        )
        self.assertEqual(1, self.service.saved)
        # It may have been written, so Nova writes a newer one.
        self.assertEqual([2], self.notes_when_saving)

    def test_lost_heartbeats_are_noticed_when_one_asks(self) -> None:
        self.join()
        self.beat()
        self.client.error = exceptions.BackendTimeout('collector', 'late')
        self._patch(self.client, 'send', lambda *how: None)
        self.beat(3)
        self.assertEqual(0, self.service.saved)
        self.beat()
        self.assertEqual(1, self.service.saved)
        self.assertEqual(3, len(self.client.timeouts))
        self.assertEqual(4.0, self.client.timeouts[-1])

    def test_a_deleted_record_is_an_error_at_every_beat(self) -> None:
        self.join()
        self.beat(7)
        self.client.there = False
        self.beat(2)
        self.assertEqual([], self.lines('is gone', 'ERROR'))
        self.beat(3)
        self.assertEqual(3, len(self.lines('is gone', 'ERROR')))
        self.client.there = True
        self.beat(2)
        self.assertEqual(1, len(self.lines('recovered')))
        self.assertEqual((0, 11), (self.service.saved, self.service.noted))

    def test_a_collector_that_is_behind_is_asked_each_time(self) -> None:
        self.client.behind = True
        self.join()
        self.beat(6)
        self.assertEqual(
            (3, 0), (len(self.client.asked), len(self.client.sent))
        )

    def test_collectors_that_write_nothing_are_not_believed(self) -> None:
        self.service.read_heartbeat = lambda: self.service.saved
        self.join()
        self.beat(17)
        self.assertGreater(self.service.saved, 0)
        self.assertEqual(
            1, len(self.lines('its record shows none', 'WARNING'))
        )

    def test_the_record_is_read_after_answers_only(self) -> None:
        looks: list[int] = []

        def read() -> int:
            looks.append(len(self.client.asked))
            return self.service.noted

        self.service.read_heartbeat = read  # type: ignore[attr-defined]
        self.join()
        self.beat(600)
        self.assertEqual((0, 600), (self.service.saved, self.service.noted))
        self.assertLess(len(looks), 2 * 6000 / 240)
        self.assertEqual(sorted(set(looks)), looks)


class LeavingTest(ReportingTest):
    """A service that stops."""

    def setUp(self) -> None:
        super().setUp()
        self.left = 0
        self.leave_on_stop = True
        self.service.save_departure = self._leave  # type: ignore[attr-defined]

    def _leave(self) -> None:
        self.left += 1

    def join(self) -> registration.Registration:
        made = registration.Registration(
            'a',
            'compute',
            self.service,
            DOWN,
            registration.Workers(),
            self.leave_on_stop,
        )
        made.start()
        return made

    def test_nova_writes_that_a_service_has_left(self) -> None:
        self.give_transport()
        self.join()
        self.beat()
        self.service.stop()
        self.assertEqual(1, self.left)

    def test_a_service_with_a_database_writes_that_it_has_left(self) -> None:
        table = self.give_database()
        self.join()
        self.beat()
        self.service.stop()
        seen = table.get(self.service.record_id)['last_seen_up']
        self.assertEqual('1970-01-02 00:00:00', str(seen))
        self.assertEqual(0, self.left)

    def test_without_leave_on_stop_nothing_is_written(self) -> None:
        self.leave_on_stop = False
        made = self.join()
        self.beat()
        self.service.stop()
        self.beat()
        self.assertEqual((0, 1), (self.left, self.service.saved))
        # A member leaves when asked, unless its service has stopped.
        made.stop()
        self.assertEqual(0, self.left)

    def test_a_member_that_is_asked_to_leave_does_in_any_case(self) -> None:
        self.leave_on_stop = False
        self.join().stop()
        self.assertEqual(1, self.left)

    def test_a_hanging_heartbeat_does_not_delay_leaving(self) -> None:
        self._patch(reporter, 'STOP_WAIT', 0.01)
        self.give_transport()
        self.client.release.clear()
        self.join()
        beating = threading.Thread(target=self.service.fire, daemon=True)
        beating.start()
        self.assertTrue(self.client.begun.wait(LONG))
        self.service.stop()
        self.assertEqual(1, self.left)
        self.client.release.set()
        beating.join(LONG)

    def test_a_failure_to_leave_is_logged(self) -> None:
        def fail() -> None:
            raise exceptions.BackendTimeout('nova-conductor', 'no reply')

        self.service.save_departure = fail  # type: ignore[attr-defined]
        self.join()
        self.service.stop()
        self.assertEqual(
            1, len(self.lines('its membership will expire', 'WARNING'))
        )


class CollectingTest(ReportingTest):
    """A service that writes the heartbeats of others."""

    def test_a_conductor_collects_from_its_start_to_its_stop(self) -> None:
        self.give_database()
        self.give_transport()
        self.service.collects = True
        self.join()
        (made,) = self.collectors
        self.assertEqual((1, 0), (made.started, made.stopped))
        self.assertEqual(
            ('its own', intake.CONDUCTOR.transport_options), made.args[0]
        )
        self.assertEqual(('a', 'threading', intake.CONDUCTOR), made.args[2:])
        self.service.stop()
        self.assertEqual((1, 1), (made.started, made.stopped))

    def test_a_conductor_collects_until_it_leaves(self) -> None:
        self.give_database()
        self.give_transport()
        self.service.collects = True
        self.join().stop()
        self.assertEqual(1, self.collectors[0].stopped)

    def test_a_conductor_starts_if_its_collector_does_not(self) -> None:
        self._patch(FakeCollector, 'error', OSError('no queue'))
        self.give_database()
        self.give_transport()
        self.service.collects = True
        self.join()
        self.assertEqual(1, len(self.service.timers))
        self.assertIn('its collector does not start', self.log.output)

    def test_a_conductor_starts_if_its_collector_cannot_be_made(self) -> None:
        def refuse(options: Any) -> Any:
            raise AttributeError('rpc has no create_transport')

        self.give_database()
        self.service.new_transport = refuse
        self.service.collects = True
        self.join()
        self.assertEqual(1, len(self.service.timers))
        self.assertIn('its collector does not start', self.log.output)

    def test_a_short_interval_means_shorter_batches(self) -> None:
        self.give_database()
        self.give_transport()
        self.service.collects = True
        self.service.report_interval = 2
        self.join()
        self.assertEqual(0.2, self.collectors[0].args[-1].gather)

    def test_no_other_service_collects(self) -> None:
        for lacking in ('collects', 'database', 'transport'):
            self.service = base.FakeService()
            self.service.collects = lacking != 'collects'
            if lacking != 'database':
                self.give_database()
            if lacking != 'transport':
                self.give_transport()
            self.join()
            self.service.stop()
            self.assertEqual([], self.collectors, lacking)
