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

"""The changes to kazoo's client."""

import math
import threading
from types import SimpleNamespace
from typing import Any

from kazoo import exceptions
from kazoo.protocol import serialization

from nova_servicegroup.drivers.common import bounded
from nova_servicegroup.drivers.zk import kazoo_loop
from nova_servicegroup.tests import base


class HandshakesTest(base.TestCase):
    """Three servers, and a session timeout of 9 s."""

    def setUp(self) -> None:
        super().setUp()
        self.handshakes = kazoo_loop.Handshakes(3, 9.0, clock=self.clock)
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


class FramesTest(base.TestCase):
    """kazoo reads an answer in pieces, each after a second."""

    def setUp(self) -> None:
        super().setUp()
        self.handler = SimpleNamespace(select=self.select)
        self.outstanding = threading.Event()
        self.connection = SimpleNamespace(
            _read=self.read,
            _send_ping=lambda timeout: self.outstanding.set(),
            _read_socket=lambda answers: answers and self.outstanding.clear(),
            ping_outstanding=self.outstanding,
        )
        self.connection.handler = self.handler
        self.coordinator = SimpleNamespace(
            _coord=SimpleNamespace(_connection=self.connection)
        )
        kazoo_loop.Frames(clock=self.clock).guard(self.coordinator)

    def select(self, *args: Any) -> Any:
        self.clock.advance(min(1.0, args[3]))
        return args[:3] if args[3] >= 1.0 else ([], [], [])

    def read(self, length: int, timeout: float) -> int:
        for _ in range(length):
            if not self.handler.select(['socket'], [], [], timeout)[0]:
                raise TimeoutError
        return length

    def test_all_of_it_has_one_timeout(self) -> None:
        begun = self.clock()
        self.assertEqual(3, self.connection._read(3, 3.0))
        self.assertRaises(TimeoutError, self.connection._read, 9, 3.5)
        self.assertEqual(6.5, self.clock() - begun)

    def test_it_waits_for_the_next_one_as_ever(self) -> None:
        self.connection._read(3, 3.0)
        waited = self.handler.select(['socket'], [], [], 9.0)
        self.assertEqual((['socket'], [], []), waited)

    def test_no_length_is_absurd(self) -> None:
        for length in (-1, bounded.LARGEST + 1):
            self.assertRaises(
                exceptions.ConnectionDropped, self.connection._read, length, 1
            )

    def test_it_measures_the_silence_of_the_server(self) -> None:
        self.connection._read(3, 3.0)
        self.assertEqual(0.0, kazoo_loop.silence(self.coordinator))
        self.clock.advance(2.5)
        self.assertEqual(2.5, kazoo_loop.silence(self.coordinator))
        # An incomplete answer does not count.
        self.assertRaises(TimeoutError, self.connection._read, 9, 3.5)
        self.assertEqual(6.0, kazoo_loop.silence(self.coordinator))

    def test_it_knows_which_ping_was_answered(self) -> None:
        pinged = self.clock()
        self.connection._send_ping(1.0)
        self.clock.advance(2.0)
        # An answer to something else, as to a request.
        self.connection._read_socket(False)
        self.assertEqual(-math.inf, kazoo_loop.pinged(self.coordinator))
        self.connection._read_socket(True)
        self.assertEqual(pinged, kazoo_loop.pinged(self.coordinator))
        self.clock.advance(1.0)
        self.connection._send_ping(1.0)
        self.assertEqual(pinged, kazoo_loop.pinged(self.coordinator))

    def test_a_kazoo_that_has_changed_is_left_alone(self) -> None:
        changed = SimpleNamespace()
        kazoo_loop.Frames().guard(changed)
        self.assertEqual(math.inf, kazoo_loop.silence(changed))
        self.assertEqual(-math.inf, kazoo_loop.pinged(changed))
