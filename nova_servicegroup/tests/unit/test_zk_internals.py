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

"""How long a session is awaited."""

from types import SimpleNamespace
from typing import Any

from kazoo.protocol import serialization

from nova_servicegroup.drivers.zk import internals
from nova_servicegroup.tests import base


class HandshakesTest(base.TestCase):
    """Three servers, and a session timeout of 9 s."""

    def setUp(self) -> None:
        super().setUp()
        self.handshakes = internals.Handshakes(3, 9.0, clock=self.clock)
        self.refuses = False
        self.waits: list[float] = []
        self.answers = False
        self.connection = SimpleNamespace(_invoke=self.invoke)
        self.handshakes.guard(
            SimpleNamespace(
                _coord=SimpleNamespace(_connection=self.connection)
            )
        )

    def invoke(self, wait: float, request: Any, xid: int = 0) -> str:
        self.waits.append(wait)
        if not self.answers:
            self.clock.advance(0.0 if self.refuses else wait)
            raise TimeoutError
        return 'session'

    def connect(self, times: int = 1) -> None:
        for _ in range(times):
            request = serialization.Connect(0, 0, 9000, 0, b'', False)
            try:
                self.connection._invoke(3.0, request)
            except TimeoutError:
                continue

    def test_each_server_is_asked_once_before_the_wait_grows(self) -> None:
        self.connect(10)
        self.assertEqual([3.0] * 3 + [6.0] * 3 + [9.0] * 4, self.waits)

    def test_one_that_refuses_is_no_reason_to_wait(self) -> None:
        self.refuses = True
        self.connect(20)
        self.assertEqual({3.0}, set(self.waits))

    def test_it_is_short_again_after_a_success(self) -> None:
        self.connect(6)
        self.answers = True
        self.connect(2)
        self.assertEqual([9.0, 3.0], self.waits[-2:])

    def test_it_grows_for_other_coordinators_too(self) -> None:
        self.connect(3)
        other = SimpleNamespace(_invoke=self.invoke)
        self.handshakes.guard(
            SimpleNamespace(_coord=SimpleNamespace(_connection=other))
        )
        self.connection = other
        self.connect()
        self.assertEqual(6.0, self.waits[-1])

    def test_other_requests_wait_as_ever(self) -> None:
        self.connect(6)
        self.answers = True
        self.connection._invoke(3.0, serialization.Auth(0, '', ''), xid=-4)
        self.assertEqual(3.0, self.waits[-1])

    def test_a_kazoo_that_has_changed_is_left_alone(self) -> None:
        self.handshakes.guard(SimpleNamespace(_coord=object()))
        self.assertEqual([], self.waits)
