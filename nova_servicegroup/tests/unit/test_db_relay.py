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


"""What a service makes of the answers that it gets."""

from typing import Any

import fixtures
import oslo_messaging as messaging

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
    """Answers as it is told."""

    def __init__(self) -> None:
        self.answer: Any = ANSWER
        self.calls: list[dict[str, Any]] = []

    def prepare(self, **how: Any) -> 'FakeClient':
        return self

    def call(self, context: Any, method: str, **args: Any) -> Any:
        self.calls.append(args)
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
        self.client = relay.Client('a transport')

    def test_an_answer_tells_whether_the_record_is_there(self) -> None:
        self.assertTrue(self.client.beat(42, 1.0))
        self.queue.answer = {**ANSWER, 'gone': True}
        self.assertFalse(self.client.beat(42, 1.0))

    def test_and_whether_the_collector_is_behind(self) -> None:
        for behind in (True, False):
            self.queue.answer = {**ANSWER, 'behind': behind}
            self.client.beat(42, 1.0)
            self.assertIs(behind, self.client.behind)

    def test_one_that_cannot_be_understood_is_an_error(self) -> None:
        for answer in ODD:
            self.queue.answer = answer
            error = self.assertRaises(
                exceptions.BackendError, self.client.beat, 42, 1.0
            )
            self.assertIs(exceptions.BackendError, type(error), answer)
            self.assertIn('not understood', str(error))

    def test_after_it_the_next_one_is_understood(self) -> None:
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
