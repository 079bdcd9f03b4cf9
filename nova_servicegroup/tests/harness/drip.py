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

"""A server that begins its answers, and never ends them."""

from collections.abc import Sequence
import contextlib
import socket
import threading

#: Seconds between two bytes: less than any timeout of a client.
PAUSE = 0.3


class Drip:
    """Answers some questions of each connection well, and the next never.

    :param begun: how the endless answer begins
    :param well: the answers before that one
    :ivar address: as ``host:port``
    :ivar taken: how many connections there were
    """

    def __init__(self, begun: bytes, well: Sequence[bytes] = ()) -> None:
        self._answers = (*well, begun)
        self._listening = socket.create_server(('127.0.0.1', 0))
        self.address = f'127.0.0.1:{self._listening.getsockname()[1]}'
        self.taken = 0
        self._open: set[socket.socket] = set()
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def held(self) -> int:
        """How many clients await an end."""
        return len(self._open)

    def close(self) -> None:
        """End all."""
        self._closed.set()
        for each in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.taken += 1
                threading.Thread(
                    target=self._serve, args=[client], daemon=True
                ).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        with client, contextlib.suppress(OSError):
            self._answer(client)
        self._open.discard(client)

    def _answer(self, client: socket.socket) -> None:
        for answer in self._answers:
            if not client.recv(65536):
                return
            client.sendall(answer)
        while not self._closed.wait(PAUSE):
            client.sendall(b' ')
