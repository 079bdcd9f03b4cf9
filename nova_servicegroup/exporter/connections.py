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

"""The connections that a server has, which are few and end in time."""

from collections.abc import Callable
import contextlib
import socket
import threading
import time

#: Seconds for which a new one waits until the oldest has ended.
_WAIT = 0.2


class Connections:
    """Each has a thread of its own. May be used by all of them.

    :param most: so many are open at once
    :param longest: seconds after which one is cut, whatever it is at
    """

    def __init__(
        self,
        most: int,
        longest: float,
        *,
        wait: float = _WAIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._longest = longest
        self._wait = wait
        self._clock = clock
        # When each has begun, the oldest first.
        self._begun: dict[socket.socket, float] = {}
        self._ended = threading.Condition()

    def admit(self, connection: socket.socket) -> bool:
        """Take a new connection; tell whether there is room for it.

        Where there are too many the oldest is cut: a client that takes its
        time keeps out nobody who does not.
        """
        with self._ended:
            if len(self._begun) >= self._most:
                _cut(next(iter(self._begun)))
            if not self._ended.wait_for(self._has_room, self._wait):
                return False
            self._begun[connection] = self._clock()
        return True

    def leave(self, connection: socket.socket) -> None:
        """Forget a connection that has ended."""
        with self._ended:
            self._begun.pop(connection, None)
            self._ended.notify()

    def cut_overdue(self) -> None:
        """Cut those that have taken too long. Their threads end by it."""
        with self._ended:
            for connection, begun in self._begun.items():
                if self._clock() - begun < self._longest:
                    return
                _cut(connection)

    def _has_room(self) -> bool:
        return len(self._begun) < self._most


def _cut(connection: socket.socket) -> None:
    # That of TLS would take the session from under the thread that reads.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
