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
"""The parts that the drivers on tooz share."""

from collections.abc import Iterator
import contextlib
import socket
import threading
from typing import Any
from unittest import mock

import tooz

from nova_servicegroup import condition
from nova_servicegroup.drivers.common import backoff
from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import starting
from nova_servicegroup.drivers.mc import tooz_server
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

SOON = 10.0

#: An answer, and none.
REFUSED = OSError('no')
LATE = exceptions.BackendTimeout('zk', 'no answer yet')


class NamesTest(base.TestCase):
    def test_escaped_names_can_be_unescaped(self) -> None:
        for name in (
            'compute1',
            'a.b-c_d:e',
            'h/o st',
            'höst',
            'a@b',
            '%2F',
            '..',
            '\x00',
            'h\n',
            # A name that is not UTF-8, as the operating system returns it.
            'h\udcff',
        ):
            escaped = naming.escape(name)
            self.assertRegex(escaped, r'^[A-Za-z0-9._:~%-]+$')
            self.assertEqual(name, naming.unescape(escaped))

    def test_names_that_escape_never_returns_are_refused(self) -> None:
        for name in ('a/b', '%zz', '%2f', '%FF', '%41'):
            self.assertRaises(ValueError, naming.unescape, name)

    def test_member_ids_are_unique_and_contain_the_host(self) -> None:
        ids = {naming.member_id('höst@1') for _ in range(100)}
        self.assertEqual(100, len(ids))
        self.assertEqual({'höst@1'}, {naming.host_of(each) for each in ids})

    def test_the_domain_in_a_member_id(self) -> None:
        for domain in ('rack1', 'a.b:c_D-9', 64 * 'x', None):
            found = naming.member_id('höst.1', domain)
            for each in (found, naming.renewed(found)):
                self.assertEqual(domain, naming.domain_of(each))
                self.assertEqual('höst.1', naming.host_of(each))
                self.assertIsNotNone(naming.joined(each))
            self.assertTrue(
                naming.is_of(naming.token_of(found), naming.incarnation())
            )
            self.assertNotEqual(found, naming.renewed(found))

    def test_a_member_with_the_longest_names_can_be_unfit(self) -> None:
        member = naming.member_id(1000 * '\U0001f600', 64 * 'x')
        found = condition.Condition(condition.DEGRADED, 32 * 'x', 99999999999)
        name = naming.marked(member, condition.encode(found))
        self.assertEqual((member, found), naming.split(name))

    def test_foreign_domains_are_none(self) -> None:
        start = naming.member_id('host')
        for end in (b'', b'.', b'.a b', b'.' + 65 * b'x', b'.\xff', b'.a\x1b'):
            self.assertIsNone(naming.domain_of(start + end))

    def test_foreign_ids_are_refused(self) -> None:
        for each in (b'lock-0000', b'@token', b'host@', b'a%zz@t', b'\xff@t'):
            self.assertRaises(ValueError, naming.host_of, each)


class Result:
    """An asynchronous result that is done when it is set to be."""

    def __init__(self, value: Any = None, done: bool = True) -> None:
        self.value = value
        self.ready = done

    def done(self) -> bool:
        return self.ready

    def get(self, timeout: float | None = None) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class RequestTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.request = requests.Request('zk', clock=self.clock)
        self.issued: list[str] = []
        self.coordinator = object()

    def ask(
        self,
        name: str,
        result: Result,
        wait: float = 0.0,
        collect: bool = True,
        coordinator: object = None,
    ) -> Any:
        def issue() -> Result:
            self.issued.append(name)
            return result

        return self.request.ask(
            coordinator or self.coordinator,
            name,
            issue,
            requests.Deadline(wait),
            collect,
            max_age=5.0,
        )

    def test_an_answer_that_is_done(self) -> None:
        self.assertEqual(7, self.ask('members', Result(7)))

    def test_the_same_request_is_not_issued_again(self) -> None:
        late = Result(7, done=False)
        for _ in range(3):
            self.assertRaises(
                exceptions.BackendTimeout, self.ask, 'members', late
            )
        late.ready = True
        self.assertEqual(7, self.ask('members', Result(8)))
        self.assertEqual(['members'], self.issued)

    def test_an_answer_that_is_too_old_is_dropped(self) -> None:
        late = Result(7, done=False)
        self.assertRaises(exceptions.BackendTimeout, self.ask, 'members', late)
        self.clock.advance(6)
        self.assertRaises(exceptions.BackendTimeout, self.ask, 'members', late)
        self.assertEqual(['members'], self.issued)
        late.ready = True
        self.assertEqual(8, self.ask('members', Result(8)))
        self.assertEqual(['members', 'members'], self.issued)

    def test_another_request_waits_for_the_first(self) -> None:
        late = Result(7, done=False)
        self.assertRaises(exceptions.BackendTimeout, self.ask, 'verify', late)
        self.assertRaises(
            exceptions.BackendTimeout, self.ask, 'join', Result(1)
        )
        late.ready = True
        self.assertEqual(1, self.ask('join', Result(1)))
        self.assertEqual(['verify', 'join'], self.issued)

    def test_a_new_coordinator_is_asked_anew(self) -> None:
        self.assertRaises(
            exceptions.BackendTimeout, self.ask, 'members', Result(done=False)
        )
        self.assertEqual(
            8, self.ask('members', Result(8), coordinator=object())
        )

    def test_an_error_is_the_answer_and_is_not_kept(self) -> None:
        self.assertRaises(
            tooz.ToozError, self.ask, 'members', Result(tooz.ToozError('no'))
        )
        self.assertEqual(8, self.ask('members', Result(8)))

    def test_uncollected_results_are_only_awaited(self) -> None:
        result = Result(tooz.ToozError('no'))
        self.assertIs(result, self.ask('join', result, collect=False))


class Coordinator:
    """A coordinator whose start can hang or fail."""

    def __init__(self, member_id: bytes) -> None:
        self.member_id = member_id
        self.may_start = threading.Event()
        self.stopped = threading.Event()
        self.error: Exception | None = None

    def start(self) -> None:
        self.may_start.wait(SOON)
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        self.stopped.set()


class ConnectionTest(starting.Factory, base.TestCase):
    backend = 'zk'

    def setUp(self) -> None:
        super().setUp()
        self.made: list[Coordinator] = []
        self.starts_at_once = True
        self.error: Exception | None = None
        self.failures = threading.Semaphore(0)
        self.ids: Iterator[bytes] = (b'id%d' % n for n in range(100))
        self.connection = self.connect(connections.Limits(25, 5))

    def connect(self, limits: connections.Limits) -> connections.Connection:
        return connections.Connection(self, 'a', limits, clock=self.clock)

    def new_id(self, host: str) -> bytes:
        return next(self.ids)

    def make(self, member_id: bytes) -> Coordinator:
        coordinator = Coordinator(member_id)
        coordinator.error = self.error
        if self.starts_at_once:
            coordinator.may_start.set()
        self.made.append(coordinator)
        return coordinator

    def failed(self) -> None:
        self.failures.release()

    def running(self) -> int:
        """Return the number of coordinators that are not stopped."""
        return sum(not each.stopped.is_set() for each in self.made)

    def use(self, wait: float = SOON, error: Exception | None = None) -> Any:
        with self.connection.use(requests.Deadline(wait)) as connected:
            if error is not None:
                raise error
        return connected

    def test_one_coordinator_made_at_first_use(self) -> None:
        self.assertEqual([], self.made)
        first = self.use()
        self.assertEqual((self.made[0], b'id0'), tuple(first))
        self.assertEqual(first, self.use())

    def test_a_slow_start_goes_on_in_the_background(self) -> None:
        self.starts_at_once = False
        for _ in range(3):
            self.assertRaises(exceptions.BackendTimeout, self.use, 0.0)
        self.assertEqual(1, len(self.made))
        self.made[0].may_start.set()
        self.assertIs(self.made[0], self.use().coordinator)

    def test_a_start_that_never_ends_is_given_up(self) -> None:
        self.starts_at_once = False
        for _ in range(2):
            self.assertRaises(exceptions.BackendTimeout, self.use, 0.0)
            self.clock.advance(30)
        self.assertEqual(1, len(self.made))
        self.starts_at_once = True
        self.clock.advance(1)
        self.assertEqual(b'id1', self.use().member_id)
        self.assertTrue(self.made[0].stopped.wait(SOON))
        # If it ends after all, its connection is stopped again.
        self.made[0].stopped.clear()
        self.made[0].may_start.set()
        self.assertTrue(self.made[0].stopped.wait(SOON))

    def test_at_most_two_starts_hang(self) -> None:
        self.starts_at_once = False
        for _ in range(10):
            self.assertRaises(exceptions.BackendTimeout, self.use, 0.0)
            self.clock.advance(40)
        self.assertEqual(2, len(self.made))
        self.made[1].may_start.set()
        self.assertIs(self.made[1], self.use().coordinator)

    def test_a_failed_start_is_retried_with_backoff(self) -> None:
        self.error = OSError('refused')
        error = self.assertRaises(exceptions.BackendError, self.use)
        self.assertIn('refused', str(error))
        self.assertTrue(self.failures.acquire(timeout=SOON))
        self.assertRaises(exceptions.BackendError, self.use)
        self.assertEqual(1, len(self.made))
        self.error = None
        self.clock.advance(0.5)
        self.assertEqual(b'id1', self.use().member_id)

    def test_the_backoff_grows_up_to_its_maximum(self) -> None:
        self.error = OSError('refused')
        for _ in range(10):
            self.assertRaises(exceptions.BackendError, self.use)
            self.clock.advance(5)
        self.assertEqual(10, len(self.made))
        self.assertRaises(exceptions.BackendError, self.use)
        self.clock.advance(2.4)
        self.assertRaises(exceptions.BackendError, self.use)
        self.assertEqual(11, len(self.made))

    def test_errors_are_translated(self) -> None:
        for error in (
            tooz.ToozError('no'),
            OSError('gone'),
            UnicodeEncodeError('ascii', 'ü', 0, 1, 'no'),
        ):
            caught = self.assertRaises(
                exceptions.BackendError, self.use, error=error
            )
            self.assertEqual('zk', caught.backend)
            self.assertIn(type(error).__name__, caught.reason)

    def test_a_coordinator_that_always_fails_is_replaced(self) -> None:
        self.use()
        for _ in range(26):
            self.assertRaises(
                exceptions.BackendError, self.use, error=OSError('no')
            )
            self.clock.advance(1)
        self.assertFalse(self.made[0].stopped.is_set())
        self.assertIsNot(self.made[0], self.use().coordinator)
        self.assertTrue(self.made[0].stopped.wait(SOON))

    def test_the_old_one_stays_until_the_new_one_is_in_use(self) -> None:
        self.use()
        for _ in range(27):
            self.assertRaises(
                exceptions.BackendError, self.use, error=OSError('no')
            )
            self.clock.advance(1)
        self.assertEqual(2, len(self.made))
        self.assertFalse(self.made[0].stopped.is_set())
        self.connection.discard(SOON)
        self.assertTrue(self.made[0].stopped.wait(SOON))
        self.assertTrue(self.made[1].stopped.is_set())

    def fail_for(self, seconds: int, error: Exception = REFUSED) -> int:
        """Fail once a second; return the most that ran at the same time."""
        most = 0
        for _ in range(seconds):
            self.assertRaises(exceptions.BackendError, self.use, error=error)
            most = max(most, self.running())
            self.clock.advance(1)
        return most

    def test_unusable_coordinators_are_made_with_backoff(self) -> None:
        self.connection = self.connect(connections.Limits(0.5, 5))
        self.assertEqual(1, self.fail_for(10))
        self.assertIn(len(self.made), range(3, 7))
        del self.made[:-1]
        self.assertEqual(1, self.fail_for(100))
        # Every 10 s, without the jitter.
        self.assertIn(len(self.made), range(10, 22))

    def test_the_last_one_that_worked_is_kept(self) -> None:
        self.connection = self.connect(connections.Limits(0.5, 5))
        self.use()
        self.assertEqual(2, self.fail_for(100))
        self.assertFalse(self.made[0].stopped.is_set())
        self.use()
        self.assertTrue(self.made[0].stopped.wait(SOON))
        self.assertFalse(self.made[-1].stopped.is_set())
        self.assertEqual(1, self.running())

    def test_one_that_may_have_joined_stays_until_the_next_is_in_use(
        self,
    ) -> None:
        """The answer came too late."""
        self.connection = self.connect(connections.Limits(0.5, 5))
        while len(self.made) < 2:
            self.fail_for(1, LATE)
        self.assertFalse(self.made[0].stopped.is_set())
        self.assertEqual(2, self.fail_for(50, LATE))
        self.use()
        self.assertTrue(self.made[0].stopped.wait(SOON))
        self.assertEqual(1, self.running())

    def test_there_are_three_at_most(self) -> None:
        self.connection = self.connect(connections.Limits(0.5, 5))
        self.use()
        self.assertEqual(3, self.fail_for(100, LATE))
        self.assertFalse(self.made[0].stopped.is_set())
        self.use()
        self.assertTrue(self.made[-2].stopped.wait(SOON))
        self.assertEqual(1, self.running())

    def test_one_that_has_not_connected_is_stopped_first(self) -> None:
        self.error = OSError('no')
        self.connection = self.connect(connections.Limits(0.5, 5))
        for _ in range(20):
            self.assertRaises(exceptions.BackendError, self.use)
            self.assertLessEqual(self.running(), 1)
            self.clock.advance(1)
        self.assertGreater(len(self.made), 2)

    def test_a_slow_one_gets_the_time_it_takes(self) -> None:
        """Writes that take 6 s."""
        self.connection = self.connect(connections.Limits(0.5, 10))
        self.fail_for(60)
        number, lasted = len(self.made), 0
        while lasted < 6:
            lasted = lasted + 1 if len(self.made) == number else 0
            number = len(self.made)
            self.fail_for(1)
            self.assertLess(number, 100)

    def test_a_thread_that_cannot_start_is_a_failure(self) -> None:
        error = RuntimeError("can't start new thread")
        with mock.patch.object(threading.Thread, 'start', side_effect=error):
            caught = self.assertRaises(exceptions.BackendError, self.use)
        self.assertIn("can't start new thread", str(caught))
        self.clock.advance(0.5)
        self.use()
        with mock.patch.object(threading.Thread, 'start', side_effect=error):
            self.connection.discard(SOON)
        self.assertTrue(self.made[0].stopped.is_set())

    def test_one_success_ends_a_series_of_failures(self) -> None:
        self.use()
        for _ in range(5):
            self.assertRaises(
                exceptions.BackendError, self.use, error=OSError('no')
            )
            self.clock.advance(20)
            self.use()
        self.assertEqual(1, len(self.made))

    def test_an_idle_one_is_not_replaced(self) -> None:
        self.use()
        self.clock.advance(3600)
        self.use()
        self.assertEqual(1, len(self.made))

    def test_an_idle_one_is_replaced_after_max_idle(self) -> None:
        self.connection = self.connect(connections.Limits(25, 5, 5))
        self.use()
        self.clock.advance(5)
        self.use()
        self.assertEqual(1, len(self.made))
        self.clock.advance(6)
        self.assertEqual(b'id1', self.use().member_id)
        self.assertTrue(self.made[0].stopped.wait(SOON))

    def test_discard_stops_and_the_next_use_connects_anew(self) -> None:
        self.use()
        self.connection.discard(SOON)
        self.assertTrue(self.made[0].stopped.is_set())
        self.assertEqual(b'id1', self.use().member_id)

    def test_discarded_while_starting_is_stopped_when_started(self) -> None:
        self.starts_at_once = False
        with contextlib.suppress(exceptions.BackendTimeout):
            self.use(0.0)
        self.connection.discard()
        self.assertFalse(self.made[0].stopped.is_set())
        self.made[0].may_start.set()
        self.assertTrue(self.made[0].stopped.wait(SOON))

    def test_a_closed_connection_cannot_be_used(self) -> None:
        self.use()
        self.connection.close(SOON)
        self.assertTrue(self.made[0].stopped.is_set())
        self.assertRaises(exceptions.BackendError, self.use)


class CircuitBreakerTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.breaker = backoff.CircuitBreaker(5.0, clock=self.clock)
        self.calls = 0

    def call(self, fails: bool = False) -> None:
        with self.breaker.guard('mc'):
            self.calls += 1
            if fails:
                raise exceptions.BackendError('mc', 'no')

    def test_a_server_that_failed_is_not_used_for_a_while(self) -> None:
        self.assertRaises(exceptions.BackendError, self.call, fails=True)
        self.assertRaises(exceptions.BackendError, self.call)
        self.assertEqual(1, self.calls)
        self.clock.advance(0.5)
        self.call()
        self.call()
        self.assertEqual(3, self.calls)

    def test_the_wait_is_bounded(self) -> None:
        # More often than a float can be doubled.
        for _ in range(1100):
            self.assertRaises(exceptions.BackendError, self.call, fails=True)
            self.clock.advance(5.0)
        self.assertEqual(1100, self.calls)


class ReasonTest(base.TestCase):
    def test_an_empty_error_has_the_text_of_its_cause(self) -> None:
        error = tooz.ToozError('')
        error.__cause__ = OSError('reset')
        self.assertEqual('OSError: reset', requests.reason(error))

    def test_a_name_without_an_address(self) -> None:
        reason = ''
        try:
            # As in tooz, around each call of pymemcache.
            with tooz_server.memcached._failure_translator():
                raise socket.gaierror(
                    socket.EAI_NONAME, 'Name or service not known'
                )
        except Exception as error:
            reason = requests.reason(error)
        self.assertIn('Name or service not known', reason)

    def test_a_key_error_stays_one(self) -> None:
        self.assertEqual("KeyError: 'x'", requests.reason(KeyError('x')))

    def test_an_error_without_text_has_its_type(self) -> None:
        self.assertEqual('TimeoutError', requests.reason(TimeoutError()))
