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


"""Messages of a service to collectors, and their answers."""

from typing import Any

import fixtures
import kombu.exceptions
import oslo_messaging as messaging

from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import relay
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

ANSWER = {'now': 1000.0, 'taken': True, 'gone': False, 'behind': False}
ODD: tuple[Any, ...] = (
    None,
    'taken',
    [],
    3,
    {},
    {**ANSWER, 'now': 'soon'},
    {**ANSWER, 'now': True},
    {**ANSWER, 'now': []},
    {**ANSWER, 'now': 2**70},
    {**ANSWER, 'now': float('nan')},
    {**ANSWER, 'now': float('inf')},
    {**ANSWER, 'taken': None},
    {**ANSWER, 'taken': 1},
    {**ANSWER, 'gone': 'no'},
    {key: value for key, value in ANSWER.items() if key != 'gone'},
    {key: value for key, value in ANSWER.items() if key != 'now'}
    | {'taken': {}},
)


class FakeClient:
    """An RPC client with the answers and errors of a test."""

    target = 'the collectors'

    def __init__(self) -> None:
        self.answer: Any = ANSWER
        self.calls: list[dict[str, Any]] = []
        self.methods: list[str] = []
        self.casts: list[dict[str, Any]] = []
        self.how: dict[str, Any] = {}
        self.errors: list[Exception] = []
        self.transport = self

    def prepare(self, **how: Any) -> 'FakeClient':
        return self

    def _send(
        self, target: str, context: Any, message: dict[str, Any], **how: Any
    ) -> None:
        self.casts.append(message)
        self.how = how
        if self.errors:
            raise self.errors.pop(0)

    def call(self, context: Any, method: str, **args: Any) -> Any:
        self.calls.append(args)
        self.methods.append(method)
        return self.answer


class ClientTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.queue = FakeClient()
        self.useFixture(
            fixtures.MockPatchObject(
                messaging, 'get_rpc_client', lambda *args, **how: self.queue
            )
        )
        self.wall = base.Clock(1_000_000.0)
        self.set_time()
        self.client = relay.Client('a transport', self.wall)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.wall.advance(seconds)

    def test_an_answer_shows_whether_the_record_exists(self) -> None:
        self.assertTrue(self.client.beat(42, 1.0))
        self.queue.answer = {**ANSWER, 'gone': True}
        self.assertFalse(self.client.beat(42, 1.0))

    def test_an_answer_shows_whether_the_collector_is_behind(self) -> None:
        for behind in (True, False):
            self.queue.answer = {**ANSWER, 'behind': behind}
            self.client.beat(42, 1.0)
            self.assertIs(behind, self.client.behind)

    def test_a_malformed_answer_is_an_error(self) -> None:
        for answer in ODD:
            self.queue.answer = answer
            error = self.assertRaises(
                exceptions.BackendError, self.client.beat, 42, 1.0
            )
            self.assertIs(exceptions.BackendError, type(error), answer)
            self.assertIn('its answer is invalid', str(error))

    def test_an_answer_after_a_malformed_one_is_understood(self) -> None:
        self.queue.answer = ODD[-2]
        self.assertRaises(exceptions.BackendError, self.client.beat, 42, 1.0)
        self.queue.answer = ANSWER
        self.assertTrue(self.client.beat(42, 1.0))

    def test_a_heartbeat_that_seems_old_is_sent_again_once(self) -> None:
        self.queue.answer = {**ANSWER, 'taken': False}
        self.assertRaises(exceptions.BackendError, self.client.beat, 42, 1.0)
        self.assertEqual(2, len(self.queue.calls))
        self.assertFalse(self.queue.calls[0]['sure'])
        self.assertTrue(self.queue.calls[1]['sure'])

    def test_an_end_is_told_by_the_clock_of_the_database(self) -> None:
        self.wall.advance(-5000.0)
        ended_at = self.clock()
        self.pass_time(3.0)
        self.client.leave(42, ended_at, 2.0)
        self.assertEqual(2 * [messages.LEAVE], self.queue.methods)
        first, second = self.queue.calls
        # That is long ago, so that nothing is written.
        self.assertEqual(0.0, first['sent'])
        self.assertEqual(ANSWER['now'] - 3.0, second['sent'])
        self.assertEqual([False, True], [first['sure'], second['sure']])
        self.assertEqual({42}, {each['record'] for each in self.queue.calls})
        self.assertEqual({2.0}, {each['wait'] for each in self.queue.calls})

    def test_an_end_that_is_told_again_needs_no_time(self) -> None:
        for _ in range(2):
            self.pass_time(1.0)
            self.client.leave(42, self.clock(), 2.0)
        self.assertEqual(3, len(self.queue.calls))
        self.pass_time(10.0)
        self.client.leave(42, self.clock(), 2.0)
        self.assertEqual(5, len(self.queue.calls))

    def test_an_end_that_is_not_written(self) -> None:
        for answer in (
            {**ANSWER, 'now': None},
            {**ANSWER, 'taken': False},
            ODD[0],
        ):
            self.queue.answer = answer
            self.assertRaises(
                exceptions.BackendError, self.client.leave, 42, 0.0, 1.0
            )

    def test_a_heartbeat_without_an_answer_has_no_wait(self) -> None:
        self.client.beat(42, 1.0)
        self.pass_time(7.0)
        self.client.send(42, 5.0)
        self.assertEqual(
            [
                {
                    'method': 'beat',
                    'version': messages.VERSION,
                    'args': {
                        'record': 42,
                        'sent': 1007.0,
                        'sure': True,
                        'wait': 0.0,
                    },
                }
            ],
            self.queue.casts,
        )
        self.assertEqual(1, len(self.queue.calls))

    def test_a_cast_expires_and_is_refused_without_collectors(self) -> None:
        self.client.send(42, 5.0)
        options = self.queue.how.pop('transport_options')
        self.assertTrue(options.at_least_once)
        self.assertEqual({'timeout': 5.0, 'retry': 0}, self.queue.how)
        self.queue.errors = [messaging.MessageUndeliverable('', '', '', '')]
        error = self.assertRaises(
            exceptions.BackendError, self.client.send, 42, 5.0
        )
        self.assertIs(exceptions.BackendError, type(error))

    def lose_connection(self, times: int) -> None:
        for _ in range(times):
            error = messaging.MessageDeliveryFailure('no connection')
            error.__context__ = kombu.exceptions.OperationalError()
            self.queue.errors.append(error)

    def test_an_ended_connection_is_retried(self) -> None:
        self.lose_connection(1)
        self.client.send(42, 5.0)
        self.assertEqual(2, len(self.queue.casts))

    def test_a_failed_connection_is_an_error(self) -> None:
        self.lose_connection(2)
        self.assertRaises(
            exceptions.BackendUnreachable, self.client.send, 42, 5.0
        )
        self.assertEqual(2, len(self.queue.casts))

    def test_a_client_knows_the_time_after_an_answer_with_it(self) -> None:
        self.assertFalse(self.client.knows_time)
        self.client.beat(42, 1.0)
        self.assertTrue(self.client.knows_time)
        self.pass_time(50.0)
        self.assertTrue(self.client.knows_time)
        self.queue.answer = {**ANSWER, 'now': None}
        self.client.beat(42, 1.0)
        self.assertFalse(self.client.knows_time)

    def test_a_client_is_not_sure_after_its_clock_was_set_or_stopped(
        self,
    ) -> None:
        for skipped in (30.0, -30.0):
            self.client.beat(42, 1.0)
            self.wall.advance(skipped)
            self.assertFalse(self.client.knows_time)
            self.client.beat(42, 1.0)
            # The database's time is not known.
            last = self.queue.calls[-1]
            self.assertEqual(
                (False, self.wall()), (last['sure'], last['sent'])
            )
            self.assertTrue(self.client.knows_time)


class ClockTest(base.TestCase):
    """A collector's estimate of the database's clock."""

    def setUp(self) -> None:
        super().setUp()
        self.set_time()
        self.made = relay.Clock()

    def test_a_clock_that_was_never_set_has_no_time(self) -> None:
        self.assertIsNone(self.made.read())
        self.assertIsNone(self.made.read_before_step())

    def test_the_time_without_a_step_is_kept_for_a_while(self) -> None:
        self.made.set(500.0)
        self.clock.advance(10.0)
        self.made.set(540.0)
        self.clock.advance(60.0)
        self.assertEqual(600.0, self.made.read())
        self.assertEqual(570.0, self.made.read_before_step())
        self.clock.advance(10.0)
        self.assertIsNone(self.made.read_before_step())

    def test_a_small_difference_is_not_a_step(self) -> None:
        self.made.set(500.0)
        self.clock.advance(10.0)
        self.made.set(511.0)
        self.assertIsNone(self.made.read_before_step())
