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


from collections.abc import Callable
import threading
from unittest import mock

from nova_servicegroup import exceptions
from nova_servicegroup import heartbeat
from nova_servicegroup import reporter
from nova_servicegroup.tests import base


LONG = 20.0


class Beat:
    """Beats, or fails as it is told, when it is released."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.count = 0
        self.put_off = 0.0
        self.begun = threading.Event()
        self.release = threading.Event()
        self.release.set()
        self.ended: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        self.count += 1
        self.begun.set()
        self.release.wait(LONG)
        self.ended()
        if self.error is not None:
            raise self.error
        return self.put_off


class Member(heartbeat.Renewable):
    """Is renewed and left by a Beat each."""

    def __init__(self) -> None:
        self.beating = Beat()
        self.leaving = Beat()
        self.urgent = False

    def beat(self) -> float:
        return self.beating()

    def leave(self) -> None:
        self.leaving()

    def is_urgent(self) -> bool:
        return self.urgent


class Connection:
    """Counts how often it is discarded."""

    def __init__(self) -> None:
        self.discards = 0

    def discard(self) -> None:
        self.discards += 1


class ReporterTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.member = Member()
        self.beat, self.leave = self.member.beating, self.member.leaving
        self.wall = base.Clock(1_800_000_000.0)
        self.reporter = reporter.Reporter(
            'Member a', self.member, clock=self.clock, wall=self.wall
        )
        self.service = base.FakeService()

    def test_it_beats_on_the_services_timer(self) -> None:
        self.reporter.start(self.service, 10)
        timer = self.service.timers[0]
        self.assertEqual(10, timer['interval'])
        self.assertEqual(5, timer['initial_delay'])
        self.assertFalse(timer['stop_on_exception'])
        self.service.fire()
        self.assertEqual(1, self.beat.count)

    def test_a_short_interval_does_not_wait_longer_than_itself(self) -> None:
        self.reporter.start(self.service, 2)
        self.assertEqual(2, self.service.timers[0]['initial_delay'])

    def test_a_beat_may_put_the_next_one_off(self) -> None:
        self.reporter.start(self.service, 10)
        self.beat.put_off = 20.0
        for _ in range(6):
            self.service.fire()
            self.clock.advance(10)
        self.assertEqual(2, self.beat.count)

    def test_trouble_is_logged_once_and_its_end_once(self) -> None:
        self.beat.error = exceptions.BackendError('zk', 'is away')
        for _ in range(3):
            self.reporter.run()
            self.clock.advance(10)
        self.assertEqual(1, len(self.log_lines('WARNING')))
        self.assertIn('zk: is away', self.log.output)
        self.beat.error = None
        self.reporter.run()
        self.reporter.run()
        self.assertEqual(
            ['Member a: recovered, the heartbeat works again after 30.0 s.'],
            self.log_lines('INFO'),
        )

    def test_a_deleted_record_is_an_error_at_every_beat(self) -> None:
        self.beat.error = exceptions.RecordDeleted('nova-compute', 'a')
        self.reporter.run()
        self.reporter.run()
        lines = self.log_lines('ERROR')
        self.assertEqual(2, len(lines))
        self.assertIn('nova-compute service on host a is gone', lines[0])

    def test_no_exception_leaves_it(self) -> None:
        self.beat.error = ZeroDivisionError('a bug')
        self.reporter.run()
        self.assertIn('a bug', self.log.output)
        self.beat.error = None
        self.reporter.run()
        self.assertIn('recovered', self.log.output)

    def test_beats_and_what_became_of_them_are_counted(self) -> None:
        for error in (
            None,
            exceptions.BackendError('zk', 'is away'),
            exceptions.RecordDeleted('nova-compute', 'a'),
            None,
            ZeroDivisionError('a bug'),
        ):
            self.beat.error = error
            self.reporter.run()
            if error is None:
                last = self.wall.advance(10)
        self.reporter.stop()
        self.reporter.run()
        self.assertEqual(
            heartbeat.Counts(
                beats=5,
                failures=3,
                lost=2,
                recovered=1,
                last_success=last - 10,
            ),
            self.reporter.counts,
        )

    def test_stop_leaves_once_and_ends_the_beat(self) -> None:
        self.reporter.start(self.service, 10)
        self.service.stop()
        self.reporter.stop()
        self.assertEqual(1, self.leave.count)
        self.reporter.run()
        self.assertEqual(0, self.beat.count)

    def test_a_failed_beat_is_repeated_sooner(self) -> None:
        self.reporter.start(self.service, 3, retry_interval=0.5)
        self.assertEqual(0.5, self.service.timers[0]['interval'])
        counts = []
        lost = exceptions.BackendError('zk', 'is away')
        for error in (None, lost, None):
            self.beat.error, before = error, self.beat.count
            for _ in range(12):
                self.service.fire()
                self.clock.advance(0.5)
            counts.append(self.beat.count - before)
        # Of the twelve, a beat is due in every sixth.
        self.assertEqual([2, 12, 2], counts)

    def test_an_urgent_beat_does_not_wait_until_it_is_due(self) -> None:
        self.reporter.start(self.service, 10, retry_interval=0.5)
        counts = []
        for self.member.urgent in (False, True, False):
            before = self.beat.count
            for _ in range(3):
                self.service.fire()
                self.clock.advance(0.5)
            counts.append(self.beat.count - before)
        self.assertEqual([1, 3, 0], counts)

    def test_a_tick_counts_as_progress(self) -> None:
        self.reporter.start(self.service, 10, retry_interval=1)
        self.service.fire()
        self.clock.advance(1)
        self.service.fire()
        self.assertEqual(1, self.beat.count)
        self.assertEqual(self.clock.now, self.reporter.last_run)

    def test_trouble_while_leaving_stays_inside(self) -> None:
        self.leave.error = exceptions.BackendError('zk', 'is away')
        self.reporter.stop()
        self.assertIn('its membership will expire', self.log.output)

    def begin(self) -> threading.Thread:
        """Return the thread of a heartbeat that has begun, and hangs."""
        self.beat.release.clear()
        self.addCleanup(self.beat.release.set)
        made = threading.Thread(target=self.reporter.run, daemon=True)
        made.start()
        self.assertTrue(self.beat.begun.wait(LONG))
        return made

    def test_a_stop_leaves_after_the_heartbeat_that_is_under_way(
        self,
    ) -> None:
        order: list[str] = []
        self.beat.ended = lambda: order.append('heartbeat')
        self.leave.ended = lambda: order.append('leave')
        beating = self.begin()
        stopping = threading.Thread(target=self.reporter.stop, daemon=True)
        stopping.start()
        stopping.join(0.05)
        self.assertTrue(stopping.is_alive())
        self.beat.release.set()
        for each in (beating, stopping):
            each.join(LONG)
        self.assertEqual(['heartbeat', 'leave'], order)

    def test_a_stop_leaves_though_a_heartbeat_hangs(self) -> None:
        self.begin()
        with mock.patch.object(reporter, 'STOP_WAIT', 0.01):
            self.reporter.stop()
        self.assertEqual(1, self.leave.count)

    def test_stop_leaves_only_where_that_is_wanted(self) -> None:
        self.reporter.start(self.service, 10, leave_on_stop=False)
        self.service.stop()
        self.reporter.run()
        self.assertEqual((0, 0), (self.leave.count, self.beat.count))


class ProgressGateTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.member = Member()
        self.connection = Connection()
        self.reporter = reporter.Reporter(
            'Member a', self.member, clock=self.clock
        )
        self.gate = reporter.ProgressGate(
            self.reporter, self.connection, 60, clock=self.clock
        )

    def test_it_keeps_still_while_the_timer_runs(self) -> None:
        for _ in range(100):
            self.clock.advance(10)
            self.reporter.run()
            self.gate.check()
        self.assertEqual(0, self.connection.discards)

    def test_failing_beats_are_progress(self) -> None:
        self.member.beating.error = exceptions.BackendError('zk', 'is away')
        self.test_it_keeps_still_while_the_timer_runs()

    def test_it_gives_up_once_when_the_timer_stands_still(self) -> None:
        self.clock.advance(60)
        self.gate.check()
        self.assertEqual(0, self.connection.discards)
        self.clock.advance(1)
        self.gate.check()
        self.gate.check()
        self.assertEqual(1, self.connection.discards)
        self.assertIn('the service is stuck', self.log.output)

    def test_without_a_thread_the_next_beat_tries_again(self) -> None:
        error = RuntimeError("can't start new thread")
        with mock.patch.object(threading.Thread, 'start', side_effect=error):
            self.gate.keep()
            self.gate.keep()
        self.assertEqual(1, len(self.log_lines('WARNING')))
        with mock.patch.object(threading.Thread, 'start') as start:
            self.gate.keep()
            self.gate.keep()
        start.assert_called_once_with()

    def test_it_watches_again_after_the_next_beat(self) -> None:
        self.clock.advance(61)
        self.gate.check()
        self.reporter.run()
        self.gate.check()
        self.clock.advance(61)
        self.gate.check()
        self.assertEqual(2, self.connection.discards)
