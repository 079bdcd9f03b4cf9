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


from collections.abc import Iterator
import contextlib
import threading
from typing import Any

import tooz

from nova_servicegroup.drivers import _backoff
from nova_servicegroup.drivers import _connection
from nova_servicegroup.drivers import _names
from nova_servicegroup.drivers import _tooz
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

SOON = 10.0


class NamesTest(base.TestCase):
    def test_escape_and_back(self) -> None:
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
        ):
            escaped = _names.escape(name)
            self.assertRegex(escaped, r'^[A-Za-z0-9._:~%-]+$')
            self.assertEqual(name, _names.unescape(escaped))

    def test_what_escape_never_makes_is_refused(self) -> None:
        for name in ('a/b', '%zz', '%2f', '%FF', '%41'):
            self.assertRaises(ValueError, _names.unescape, name)

    def test_member_ids_are_unique_and_tell_the_host(self) -> None:
        ids = {_names.member_id('höst@1') for _ in range(100)}
        self.assertEqual(100, len(ids))
        self.assertEqual({'höst@1'}, {_names.host_of(each) for each in ids})

    def test_foreign_ids_are_refused(self) -> None:
        for each in (b'lock-0000', b'@token', b'host@', b'a%zz@t', b'\xff@t'):
            self.assertRaises(ValueError, _names.host_of, each)


class Result:
    """An asynchronous result that is there when it is told."""

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
        self.request = _tooz.Request('zk', clock=self.clock)
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
            _tooz.Deadline(wait),
            collect,
            max_age=5.0,
        )

    def test_an_answer_that_is_there(self) -> None:
        self.assertEqual(7, self.ask('members', Result(7)))

    def test_the_same_question_is_not_asked_again(self) -> None:
        late = Result(7, done=False)
        for _ in range(3):
            self.assertRaises(
                exceptions.BackendTimeout, self.ask, 'members', late
            )
        late.ready = True
        self.assertEqual(7, self.ask('members', Result(8)))
        self.assertEqual(['members'], self.issued)

    def test_an_answer_that_nobody_fetched_in_time_is_dropped(self) -> None:
        late = Result(7, done=False)
        self.assertRaises(exceptions.BackendTimeout, self.ask, 'members', late)
        self.clock.advance(6)
        self.assertRaises(exceptions.BackendTimeout, self.ask, 'members', late)
        self.assertEqual(['members'], self.issued)
        late.ready = True
        self.assertEqual(8, self.ask('members', Result(8)))
        self.assertEqual(['members', 'members'], self.issued)

    def test_another_question_waits_for_the_first(self) -> None:
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
        self.assertIsNone(
            self.ask('join', Result(tooz.ToozError('no')), collect=False)
        )


class Coordinator:
    """Starts and stops as it is told."""

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


class ConnectionTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.made: list[Coordinator] = []
        self.starts_at_once = True
        self.error: Exception | None = None
        self.ids: Iterator[bytes] = (b'id%d' % n for n in range(100))
        self.connection = _connection.Connection(
            'zk',
            self.make,
            lambda: next(self.ids),
            patience=25,
            max_backoff=5,
            clock=self.clock,
        )

    def make(self, member_id: bytes) -> Coordinator:
        coordinator = Coordinator(member_id)
        coordinator.error = self.error
        if self.starts_at_once:
            coordinator.may_start.set()
        self.made.append(coordinator)
        return coordinator

    def use(self, wait: float = SOON, error: Exception | None = None) -> Any:
        with self.connection.use(_tooz.Deadline(wait)) as connected:
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

    def test_a_failed_start_is_retried_with_backoff(self) -> None:
        self.error = OSError('refused')
        error = self.assertRaises(exceptions.BackendError, self.use)
        self.assertIn('refused', str(error))
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

    def test_a_hopeless_coordinator_is_replaced(self) -> None:
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

    def test_one_success_makes_it_hopeful(self) -> None:
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

    def test_an_idle_one_is_replaced_where_nobody_renews_it(self) -> None:
        self.connection._max_idle = 5
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

    def test_closed_is_closed(self) -> None:
        self.use()
        self.connection.close(SOON)
        self.assertTrue(self.made[0].stopped.is_set())
        self.assertRaises(exceptions.BackendError, self.use)


class RestTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.rest = _backoff.Rest(5.0, clock=self.clock)
        self.calls = 0

    def call(self, fails: bool = False) -> None:
        with self.rest.guard('mc'):
            self.calls += 1
            if fails:
                raise exceptions.BackendError('mc', 'no')

    def test_a_server_that_failed_is_left_alone(self) -> None:
        self.assertRaises(exceptions.BackendError, self.call, fails=True)
        self.assertRaises(exceptions.BackendError, self.call)
        self.assertEqual(1, self.calls)
        self.clock.advance(0.5)
        self.call()
        self.call()
        self.assertEqual(3, self.calls)

    def test_never_for_longer_than_it_was_told(self) -> None:
        for _ in range(20):
            self.assertRaises(exceptions.BackendError, self.call, fails=True)
            self.clock.advance(5.0)
        self.assertEqual(20, self.calls)


class ReasonTest(base.TestCase):
    def test_an_empty_error_tells_its_cause(self) -> None:
        error = tooz.ToozError('')
        error.__cause__ = OSError('reset')
        self.assertEqual('OSError: reset', _tooz.reason(error))

    def test_a_mute_error_tells_its_type(self) -> None:
        self.assertEqual('TimeoutError', _tooz.reason(TimeoutError()))
