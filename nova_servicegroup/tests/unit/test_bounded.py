# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

import socket
import types
from typing import Any

from nova_servicegroup.drivers.common import bounded
from nova_servicegroup.tests import base

TIMEOUT, MOST = 5.0, 10


class SocketTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        here, self.there = socket.socketpair()
        here.settimeout(TIMEOUT)
        self.socket = bounded.Socket(here, MOST, clock=self.clock)
        self.addCleanup(here.close)
        self.addCleanup(self.there.close)

    def receive(self, data: bytes) -> bytes:
        self.there.sendall(data)
        return self.socket.recv(100)

    def test_the_timeout_bounds_a_whole_answer(self) -> None:
        self.assertEqual(b'a', self.receive(b'a'))
        self.clock.advance(TIMEOUT - 0.1)
        self.assertEqual(b'b', self.receive(b'b'))
        self.clock.advance(0.2)
        self.assertRaises(TimeoutError, self.receive, b'c')

    def test_an_answer_begins_when_its_request_is_sent(self) -> None:
        self.clock.advance(TIMEOUT + 1)
        self.socket.sendall(b'again')
        self.assertEqual(b'a', self.receive(b'a'))
        self.assertEqual(b'again', self.there.recv(9))

    def test_only_the_rest_of_the_timeout_is_waited(self) -> None:
        self.clock.advance(TIMEOUT - 0.1)
        self.assertRaises(TimeoutError, self.socket.recv, 1)
        self.assertEqual(TIMEOUT, self.socket.gettimeout())

    def test_without_a_timeout_nothing_times_out(self) -> None:
        self.clock.advance(TIMEOUT + 1)
        self.socket.settimeout(0)
        self.assertRaises(BlockingIOError, self.socket.recv, 1)
        self.assertEqual(b'a', self.receive(b'a'))

    def test_an_answer_that_is_too_long(self) -> None:
        self.receive(b'x' * MOST)
        error = self.assertRaises(OSError, self.receive, b'x')
        self.assertIn('longer', str(error))
        self.socket.sendall(b'again')
        self.receive(b'x' * MOST)

    def test_an_answer_that_is_too_long_for_a_buffer(self) -> None:
        self.there.sendall(b'x' * (MOST + 1))
        self.assertRaises(OSError, self.socket.recv_into, bytearray(100))

    def test_a_file_is_bounded(self) -> None:
        with self.socket.makefile('rb') as file:
            self.there.sendall(b'a\n')
            self.assertEqual(b'a\n', file.readline())
            self.clock.advance(TIMEOUT)
            self.assertRaises(TimeoutError, file.readline)
        with self.socket.makefile('rb') as file:
            self.socket.sendall(b'again')
            self.there.sendall(b'x' * (MOST + 1))
            self.assertRaises(OSError, file.readline)

    def test_a_file_keeps_the_socket_open(self) -> None:
        with self.socket.makefile('rb') as file:
            self.socket.close()
            self.there.sendall(b'a\n')
            self.assertEqual(b'a\n', file.readline())
        self.assertEqual(-1, self.socket.fileno())


class ConnectingTest(base.TestCase):
    """Libraries return their socket, or store it."""

    def test_a_socket_that_is_returned(self) -> None:
        class Returns:
            timeout = 1.0

            def connect(self) -> Any:
                return types.SimpleNamespace()

        made = bounded.connecting(Returns, 'connect', 'timeout')()
        self.assertIsInstance(made, Returns)
        self.assertIsInstance(made.connect(), bounded.Socket)

    def test_a_socket_that_is_stored(self) -> None:
        class Keeps:
            timeout = 1.0

            def connect(self) -> None:
                self.sock = types.SimpleNamespace()

        made = bounded.connecting(Keeps, 'connect', 'timeout')()
        made.connect()
        self.assertIsInstance(made.sock, bounded.Socket)

    def test_a_class_is_made_once(self) -> None:
        self.assertIs(
            *(bounded.connecting(SocketTest, 'setUp', '') for _ in range(2))
        )
