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


"""A collector with malformed messages, and with a database that hangs."""

from collections.abc import Collection, Sequence
import threading
from typing import Any
from unittest import mock

import fixtures

from nova_servicegroup.drivers.db import calls
from nova_servicegroup.drivers.db import collector
from nova_servicegroup.drivers.db import intake
from nova_servicegroup.drivers.db import listening
from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import writing
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

LONG = 20.0
WALL = 1_800_000_000.0
GATHER = 1.0
PROMPT = 2.5
ARGS = {'record': 7, 'sent': WALL, 'sure': True, 'wait': 5.0}
ODD: tuple[Any, ...] = (
    None,
    'record',
    [],
    {},
    {'args': None},
    {'args': []},
    {'args': 'record'},
    {'args': {}},
    *(
        {'args': {**ARGS, **each}}
        for each in (
            {'record': '7'},
            {'record': [7]},
            {'record': {'id': 7}},
            {'record': None},
            {'record': True},
            {'record': 7.0},
            {'record': 0},
            {'record': -7},
            {'record': 2**31},
            {'record': 2**70},
            {'sent': 'now'},
            {'sent': [WALL]},
            {'sent': True},
            {'sent': 2**70},
            {'sent': float('nan')},
            {'sent': float('inf')},
            {'sure': 'yes'},
            {'sure': None},
            {'wait': None},
            {'wait': '5'},
            {'wait': float('nan')},
            {'wait': 2**70},
        )
    ),
)


class Message:
    """A message that was received, and the replies to it."""

    def __init__(self, message: Any) -> None:
        self.message = message
        self.replies: list[dict[str, Any]] = []
        self.replied = threading.Event()

    def reply(self, reply: dict[str, Any]) -> None:
        self.replies.append(reply)
        self.replied.set()


def heartbeat(record: int, **more: Any) -> Message:
    return Message(
        {'method': 'beat', 'args': {**ARGS, 'record': record, **more}}
    )


class Store:
    """A services table that hangs, or fails, as a test wants."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.ended: list[tuple[int, float]] = []
        self.sent: list[float | None] = []
        self.asked: list[int] = []
        #: Those that have just left.
        self.leaving: set[int] = set()
        #: Those that were alive later.
        self.later: set[int] = set()
        self.error: Exception | None = None
        self.release = threading.Event()
        self.release.set()
        self.begun = threading.Semaphore(0)

    def _answer(self) -> None:
        release = self.release
        self.begun.release()
        release.wait(LONG)
        if self.error is not None:
            raise self.error

    def now(self) -> float:
        return WALL

    def beat(
        self,
        ids: Collection[int],
        at: float | None,
        sent: float | None = None,
    ) -> set[int]:
        self._answer()
        self.written += sorted(ids)
        self.sent.append(sent)
        return set()

    def left(self, ids: Collection[int]) -> set[int]:
        self.asked += sorted(ids)
        return self.leaving & set(ids)

    def end(self, record: int, at: float) -> bool:
        self._answer()
        self.ended.append((record, at))
        return record not in self.later


class MessageTest(base.TestCase):
    """Parsing of one message."""

    def test_a_message_that_is_no_heartbeat_is_malformed(self) -> None:
        for each in ODD:
            self.assertRaises(messages.Malformed, messages.read, each)

    def test_a_heartbeat_is_read(self) -> None:
        self.assertEqual(
            messages.Heartbeat(7, WALL, True, 5.0),
            messages.read({'method': 'beat', 'args': ARGS}),
        )
        # A cast, or a message of another release.
        self.assertEqual(
            messages.Heartbeat(7, None, False, 0.0),
            messages.read({'args': {'record': 7, 'new': 'word'}}),
        )

    def test_the_wait_of_a_sender_is_limited(self) -> None:
        for wait, kept in ((1e9, 60.0), (-1e9, 0.0)):
            read = messages.read({'args': {**ARGS, 'wait': wait}})
            self.assertEqual(kept, read.wait)


class WriterTest(base.TestCase):
    """Batches with some messages that are not heartbeats."""

    def setUp(self) -> None:
        super().setUp()
        self.store = Store()
        self.addCleanup(self.store.release.set)
        self.set_time()
        self.writer = writing.Writer(self.store, PROMPT)

    def take(self, batch: Sequence[Message], waited: float = GATHER) -> None:
        self.assertTrue(self.writer.write(batch, waited))
        self.writer.wait(LONG)

    def warnings(self) -> list[str]:
        return self.log_lines('WARNING')

    def test_a_malformed_message_harms_no_other(self) -> None:
        for each in ODD:
            odd = Message(each)
            good = [heartbeat(record) for record in range(1, 100)]
            self.store.written.clear()
            self.take([*good[:50], odd, *good[50:]])
            self.assertEqual(list(range(1, 100)), self.store.written)
            self.assertEqual(
                {True}, {each.replies[0]['taken'] for each in good}
            )
            self.assertEqual([], odd.replies)
        self.assertEqual(len(ODD), self.writer.dropped.count)
        self.assertEqual([], self.log_lines('ERROR'))

    def test_malformed_messages_are_logged_once_an_hour(self) -> None:
        for _ in range(100):
            self.take([Message(None), Message({})])
            self.clock.advance(50.0)
        self.assertEqual(200, self.writer.dropped.count)
        self.assertEqual(2, len(self.warnings()))
        self.assertIn('1 messages in the queue', self.warnings()[0])
        self.assertIn('144 messages in the queue', self.warnings()[1])

    def test_nothing_foreign_is_logged(self) -> None:
        self.take([Message({'args': {**ARGS, 'record': '\x1b[2J\nroot'}})])
        self.assertNotIn('\x1b', self.log.output)
        self.assertNotIn('root', self.log.output)

    def test_a_sender_that_asks_for_no_answer_gets_none(self) -> None:
        asks, silent = heartbeat(7), heartbeat(8, wait=0.0)
        with mock.patch.object(writing.Replies, 'put') as put:
            self.take([asks, silent])
        ((replies,), _) = put.call_args
        self.assertEqual([asks], [each.message for each in replies])
        self.assertEqual([7, 8], self.store.written)

    def test_a_process_that_has_ended(self) -> None:
        ended = Message(
            {'method': messages.LEAVE, 'args': {**ARGS, 'sent': WALL - 3.0}}
        )
        self.take([heartbeat(8), ended])
        self.assertEqual([8], self.store.written)
        self.assertEqual([(7, WALL - 3.0)], self.store.ended)
        self.assertTrue(ended.replies[0]['taken'])

    def test_the_earliest_of_a_batch_counts(self) -> None:
        self.take([heartbeat(7, sent=WALL - 1.0), heartbeat(8)])
        self.assertEqual([WALL - 1.0], self.store.sent)
        self.assertEqual([], self.store.asked)

    def test_those_of_an_unknown_time_are_apart(self) -> None:
        self.take([heartbeat(7), heartbeat(8, sure=False), heartbeat(9)])
        self.assertEqual([7, 9, 8], self.store.written)
        self.assertEqual([WALL, None], self.store.sent)

    def test_one_that_starts_again_at_once_is_asked_for_the_time(self) -> None:
        first, other = heartbeat(7, sure=False), heartbeat(8, sure=False)
        self.store.leaving.add(7)
        self.take([first, other])
        self.assertFalse(first.replies[0]['taken'])
        self.assertTrue(other.replies[0]['taken'])
        again = heartbeat(7)
        self.take([again])
        self.assertTrue(again.replies[0]['taken'])

    def test_one_that_was_alive_later_is_not_ended(self) -> None:
        self.store.later.add(7)
        ended = Message({'method': messages.LEAVE, 'args': ARGS})
        self.take([ended, heartbeat(7)])
        self.assertFalse(ended.replies[0]['taken'])

    def test_an_end_that_cannot_be_written_costs_no_other(self) -> None:
        error = exceptions.BackendError('database', 'deadlock')
        other, ended = (
            heartbeat(8),
            Message({'method': messages.LEAVE, 'args': ARGS}),
        )
        with mock.patch.object(self.store, 'end', side_effect=error):
            self.take([other, ended])
        self.assertTrue(other.replies[0]['taken'])
        self.assertFalse(ended.replies[0]['taken'])

    def test_an_end_of_an_unknown_time_is_not_written(self) -> None:
        for odd in (
            {'sent': WALL - 11.0},
            {'sent': 0.0},
            {'sent': WALL + 11.0},
            {'sent': None},
            {'sure': False},
        ):
            args = {**ARGS, **odd}
            self.take([Message({'method': messages.LEAVE, 'args': args})])
        self.assertEqual([], self.store.ended + self.store.written)

    def test_an_old_heartbeat_is_not_written(self) -> None:
        self.take([heartbeat(8, wait=0.0, sent=WALL - 11.0)])
        self.assertEqual([], self.store.written)

    def set_clock(self, seconds: float) -> None:
        """Step the database's clock while the writer knows it."""
        self.writer = writing.Writer(self.store, PROMPT)
        begun = self.clock()
        for ahead in (0.0, seconds):
            start = WALL - begun + ahead
            self._patch_now(start)
            self.take([heartbeat(7)])
            self.clock.advance(10.0)
        self.store.written.clear()

    def _patch_now(self, ahead: float) -> None:
        self.useFixture(
            fixtures.MockPatchObject(
                self.store, 'now', lambda: ahead + self.clock()
            )
        )

    def test_a_heartbeat_that_is_old_only_by_a_stepped_clock_is_written(
        self,
    ) -> None:
        for seconds in (40.0, -40.0):
            self.set_clock(seconds)
            self.take([heartbeat(8, wait=0.0, sent=WALL + 19.0)])
            self.assertEqual([8], self.store.written)
            # A sender that asks gets the time, and sends again.
            asks = heartbeat(9, sent=WALL + 19.0)
            self.take([asks])
            self.assertFalse(asks.replies[0]['taken'])
            self.assertEqual([8], self.store.written)

    def test_a_step_of_the_clock_counts_for_a_limited_time(self) -> None:
        self.set_clock(40.0)
        self.take([heartbeat(8, wait=0.0, sent=WALL + 5.0)])
        self.clock.advance(60.0)
        self.take([heartbeat(8, wait=0.0, sent=WALL + 79.0)])
        self.assertEqual([], self.store.written)

    def behind(self, *batch: Message, waited: float = GATHER) -> set[bool]:
        self.take(batch, waited)
        return {each.replies[0]['behind'] for each in batch}

    def test_a_sender_that_claims_a_delay_makes_no_other_behind(self) -> None:
        late = [heartbeat(7, sent=WALL - 9.0, wait=20.0) for _ in range(5)]
        self.assertEqual({False}, self.behind(heartbeat(8), *late))

    def test_a_batch_that_may_have_waited_is_behind(self) -> None:
        self.assertEqual({True}, self.behind(heartbeat(8), waited=3.0))
        self.assertEqual({False}, self.behind(heartbeat(8), waited=2.0))

    def test_a_batch_that_took_long_to_write_is_behind(self) -> None:
        self.store.release = threading.Event()
        batch = [heartbeat(8)]
        self.assertTrue(self.writer.write(batch, GATHER))
        self.assertTrue(self.store.begun.acquire(timeout=LONG))
        self.clock.advance(2.0)
        self.store.release.set()
        self.writer.wait(LONG)
        self.assertTrue(batch[0].replies[0]['behind'])

    def test_the_number_of_batches_at_once_is_limited(self) -> None:
        self.store.release = threading.Event()
        for _ in range(writing.WRITERS):
            self.assertTrue(self.writer.write([heartbeat(8)], GATHER))
        self.assertFalse(self.writer.write([heartbeat(8)], GATHER))
        self.store.release.set()
        self.writer.wait(LONG)
        self.assertTrue(self.writer.write([heartbeat(8)], GATHER))


class CallsTest(base.TestCase):
    def test_a_call_without_a_thread_has_failed_and_takes_no_room(
        self,
    ) -> None:
        made = calls.Calls('test', 1)
        refused = RuntimeError("can't start new thread")
        with mock.patch('threading.Thread.start', side_effect=refused):
            self.assertRaises(RuntimeError, made.start, made.end)
        self.assertTrue(made.has_trouble())
        self.assertTrue(made.start(made.end))
        made.wait(0, 5.0)
        self.assertFalse(made.has_trouble())


class FakeServer:
    """A server that counts its calls and passes on a test's batches."""

    error: Exception | None = None

    def __init__(self, receiver: listening.Receiver) -> None:
        self.receive = receiver.receive
        self.started = self.stopped = self.abandoned = 0

    def start(self) -> None:
        if self.error is not None:
            raise self.error
        self.started += 1

    def stop(self) -> None:
        self.stopped += 1

    def wait(self) -> None:
        pass

    def abandon(self) -> None:
        self.abandoned += 1


class Transport:
    cleaned = 0

    def cleanup(self) -> None:
        self.cleaned += 1


class CollectorTest(base.TestCase):
    """A collector that checks itself when a test wants it."""

    def setUp(self) -> None:
        super().setUp()
        self.servers: list[FakeServer] = []
        for module, name, fake in (
            (listening, 'make_server', self._make_server),
            (collector, '_TICK', LONG),
        ):
            self.useFixture(fixtures.MockPatchObject(module, name, fake))
        self.store = Store()
        self.probes = 0
        self.hanging: list[threading.Event] = []
        self.addCleanup(self._release)
        self.store.now = self._probe  # type: ignore[method-assign]
        self.transport = Transport()
        self.set_time()
        self.collector = collector.Collector(
            self.transport, self.store, 'host', 'threading'
        )
        self.collector.start()
        self.addCleanup(self.collector.stop)

    def start_anew(self) -> None:
        """Use a collector that reads only after the database has answered."""
        self.collector.stop()
        self.servers.clear()
        self.collector = collector.Collector(
            self.transport, self.store, 'host', 'threading', intake.DAEMON
        )
        self.collector.start_paused()
        self.addCleanup(self.collector.stop)

    def _make_server(
        self, transport: Any, host: str, how: str, to: Any, taken: Any
    ) -> FakeServer:
        self.servers.append(FakeServer(to))
        return self.servers[-1]

    def _probe(self) -> float:
        self.probes += 1
        self.store._answer()
        return WALL

    def hang(self) -> None:
        """Make all calls to the database hang from now on."""
        self.store.release = threading.Event()
        self.hanging.append(self.store.release)

    def _release(self) -> None:
        for each in self.hanging:
            each.set()

    def recover(self) -> None:
        """Make new calls to the database succeed; others still hang."""
        self.store.release = threading.Event()
        self.store.release.set()

    def give(self, *batch: Message) -> None:
        """Pass on a batch, as the latest server."""
        self.servers[-1].receive(batch, GATHER)

    def written(self, record: int, hung: int = 0) -> bool:
        """Return whether a heartbeat is written and answered.

        :param hung: the number of others that hang
        """
        # The database's clock stands still here.
        message = heartbeat(record, sure=False)
        self.give(message)
        self.collector._writer.running.wait(hung, LONG)
        return message.replied.wait(LONG) and record in self.store.written

    def pass_time(self, seconds: int) -> None:
        """Have the collector check itself every half a second."""
        for _ in range(2 * seconds):
            before = self.probes
            self.clock.advance(0.5)
            self.collector.check()
            while self.probes > before and self.store.begun.acquire(
                timeout=0.01
            ):
                before = self.probes

    def test_a_collector_without_trouble_keeps_its_server(self) -> None:
        self.assertTrue(self.written(7))
        self.pass_time(60)
        self.assertEqual(1, len(self.servers))
        self.assertEqual(0, self.servers[0].abandoned)

    def test_hanging_updates_pause_the_collector(self) -> None:
        self.assertTrue(self.written(7))
        self.hang()
        for _ in range(writing.WRITERS):
            self.give(heartbeat(8))
        self.pass_time(5)
        self.assertEqual(0, self.servers[0].abandoned)
        self.pass_time(1)
        # Messages go to another collector now.
        self.assertEqual(1, self.servers[0].abandoned)
        self.assertEqual(1, len(self.servers))
        self.recover()
        self._await_server(2)
        self.assertTrue(self.written(9, hung=writing.WRITERS))
        self.pass_time(60)
        self.assertEqual(2, len(self.servers))

    def _await_server(self, count: int) -> None:
        for _ in range(100):
            self.pass_time(1)
            if len(self.servers) == count and self.servers[-1].started:
                return
            self.collector._probes._answered.wait(0.01)
        self.fail('it does not read again')

    def test_hanging_probes_do_not_keep_it_paused(self) -> None:
        self.hang()
        self.give(heartbeat(8))
        self.pass_time(20)
        self.assertGreater(self.probes, 2)
        self.recover()
        self._await_server(2)
        self.assertTrue(self.written(9, hung=1))

    def test_the_number_of_hanging_probes_is_limited(self) -> None:
        self.hang()
        for _ in range(writing.WRITERS):
            self.give(heartbeat(8))
        self.pass_time(600)
        self.assertLessEqual(self.probes, 2 * calls.MOST_HUNG)
        self._release()
        self.recover()
        self._await_server(2)

    def test_a_hanging_update_that_fails_later_changes_nothing(self) -> None:
        self.hang()
        self.give(heartbeat(8))
        self.pass_time(6)
        self.recover()
        self._await_server(2)
        self.store.error = exceptions.BackendError('database', 'lost')
        self._release()
        self.collector._writer.wait(LONG)
        self.store.error = None
        self.pass_time(5)
        self.assertEqual(0, self.servers[1].abandoned)

    def test_a_failed_update_pauses_the_collector(self) -> None:
        for error in (exceptions.BackendError('a', 'b'), KeyError('a bug')):
            self.store.error = error
            self.give(heartbeat(8))
            self.collector._writer.wait(LONG)
            self.pass_time(1)
            self.assertEqual(1, self.servers[-1].abandoned)
            count = len(self.servers)
            self.store.error = None
            self._await_server(count + 1)
            self.assertTrue(self.written(9))
            self.collector._writer.wait(LONG)
        self.assertEqual(1, len(self.log_lines('WARNING')))

    def test_resuming_is_retried_while_the_queue_is_away(self) -> None:
        self.store.error = exceptions.BackendError('a', 'b')
        self.give(heartbeat(8))
        self.collector._writer.wait(LONG)
        self.pass_time(1)
        self.store.error = None
        error = OSError('no queue')
        self.useFixture(fixtures.MockPatchObject(FakeServer, 'error', error))
        self.pass_time(20)
        FakeServer.error = None
        self._await_server(len(self.servers) + 1)
        self.assertTrue(self.written(9))

    def test_one_that_starts_paused_waits_for_the_database(self) -> None:
        self.store.error = exceptions.BackendError('database', 'is away')
        self.start_anew()
        self.pass_time(20)
        self.assertEqual([], self.servers)
        (line,) = self.log_lines('WARNING')
        self.assertIn('is away', line)
        self.store.error = None
        self._await_server(1)
        self.assertTrue(self.written(7))
        self.collector._writer.wait(LONG)
        self.assertEqual(1, len(self.log_lines('WARNING')))

    def test_one_that_starts_paused_reads_at_once_if_all_is_well(self) -> None:
        self.start_anew()
        self._await_server(1)
        self.assertTrue(self.written(7))
        self.assertEqual([], self.log_lines('WARNING'))

    def test_one_that_has_not_read_yet_can_be_stopped(self) -> None:
        self.hang()
        self.start_anew()
        self.pass_time(5)
        self.collector.stop()
        self.assertEqual([], self.servers)

    def test_stop_ends_the_server_and_the_transport(self) -> None:
        self.collector.stop()
        self.assertEqual(1, self.servers[0].stopped)
        self.assertEqual(1, self.transport.cleaned)

    def test_stop_ends_the_transport_of_a_paused_collector(self) -> None:
        self.hang()
        self.give(heartbeat(8))
        self.pass_time(6)
        self._release()
        self.collector.stop()
        self.assertEqual(1, self.transport.cleaned)


class Listener:
    """A queue with one reader, as oslo.messaging's PollStyleListener."""

    def __init__(self, clock: base.Clock) -> None:
        self.queue: list[int] = []
        self.taken: list[int] = []
        self.clock = clock
        self.stopped = threading.Event()

    def poll(self, batch_size: int, batch_timeout: float) -> list[int]:
        self.clock.advance(0.0001)
        if not self.queue or self.stopped.is_set():
            return []
        self.taken.append(self.queue.pop(0))
        return self.taken[-1:]

    def stop(self) -> None:
        self.stopped.set()


class DrainTest(base.TestCase):
    """Batches, and how long they may have been in the queue."""

    def setUp(self) -> None:
        super().setUp()
        self.listener = Listener(self.clock)
        self.set_time()
        self.drain = listening.Drain(self.listener, intake.Intake(0.0))
        self.drain._intake = intake.CONDUCTOR

    def poll(self, *, after: float = GATHER) -> int:
        self.clock.advance(after)
        self.drain._pause = 0.0
        return len(self.drain.poll())

    def test_messages_that_are_read_at_once_have_not_waited(self) -> None:
        for _ in range(10):
            self.listener.queue += range(50)
            self.assertEqual(50, self.poll())
            self.assertLess(self.drain.waited, 1.1)

    def test_messages_that_are_read_late_may_have_waited(self) -> None:
        self.poll()
        self.listener.queue += range(5)
        self.poll(after=8.0)
        self.assertGreater(self.drain.waited, 8.0)
        self.listener.queue += range(5)
        self.poll()
        self.assertLess(self.drain.waited, 1.1)

    def test_messages_may_have_waited_if_the_queue_is_never_empty(
        self,
    ) -> None:
        for _ in range(5):
            self.listener.queue += range(intake.CONDUCTOR.ahead)
            self.poll()
        self.assertGreater(self.drain.waited, 5.0)

    def test_an_abandoned_listener_reads_no_more(self) -> None:
        self.listener.queue += range(500)
        self.drain.abandon()
        self.listener.stop()
        self.drain._stopped.set()
        self.assertEqual([], self.drain.poll())
        self.assertEqual(500, len(self.listener.queue))

    def test_a_stopped_listener_reads_what_is_there(self) -> None:
        self.listener.queue += range(50)
        stopping = threading.Thread(target=self.drain.stop, daemon=True)
        stopping.start()
        batches = []
        while stopping.is_alive():
            batches.append(self.drain.poll())
        self.assertEqual(50, sum(len(each) for each in batches))
