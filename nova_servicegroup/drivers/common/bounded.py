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

"""Sockets that bound the time and the size of an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import functools
import io
import sys
import time
from typing import Any

from nova_servicegroup import process

#: Bytes of an answer, at most. Enough for some hundred thousand members.
LARGEST = 64 * 1024 * 1024


class Socket:
    """A socket whose timeout bounds a whole answer.

    Client libraries wait up to the timeout for each piece of an answer, so a
    server that sends a byte now and then can hold a thread for ever. Here time
    and bytes count from the last request that was sent.

    :param made: a connected socket, with TLS or without
    :param most: bytes of an answer, at most
    """

    def __init__(
        self,
        made: Any,
        most: int = LARGEST,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._made = made
        self._most = most
        self._clock = clock
        self._begin()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def sendall(self, data: Any) -> None:
        """Send all of data. Its answer begins now."""
        self._made.sendall(data)
        self._begin()

    def recv(self, size: int) -> bytes:
        """Return some bytes, or none if the connection has ended.

        :raises OSError: none can be received, or the answer has taken too
            long or is too long
        """
        data: bytes = self._receive(self._made.recv, size)
        self._count(len(data))
        return data

    def recv_into(self, buffer: Any) -> int:
        """Receive some bytes into buffer, return their number; see recv."""
        return self._count(self._receive(self._made.recv_into, buffer))

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a file for reading, which keeps the socket open."""
        raw = self._made.makefile(mode, buffering=0)
        return io.BufferedReader(_File(self, raw))

    def read_into(self, raw: Any, buffer: Any) -> int:
        """Read from an unbounded file of the socket; see recv."""
        return self._count(self._receive(raw.readinto, buffer))

    def _begin(self) -> None:
        self._begun, self._left = self._clock(), self._most

    def _receive(self, receive: Callable[[Any], Any], what: Any) -> Any:
        timeout = self._made.gettimeout()
        if not timeout:
            return receive(what)
        left = self._begun + timeout - self._clock()
        if left <= 0:
            raise TimeoutError('timed out')
        self._made.settimeout(left)
        try:
            with within(left):
                return receive(what)
        finally:
            self._made.settimeout(timeout)

    def _count(self, size: int) -> int:
        self._left -= size
        if self._left < 0:
            raise OSError(f'the answer is longer than {self._most} bytes')
        return size


class _File(io.RawIOBase):
    """A raw file that reads through a bounded socket."""

    def __init__(self, bounded: Socket, raw: Any) -> None:
        self._bounded = bounded
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._bounded.read_into(self._raw, buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


@contextlib.contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Bound the time for a handshake or a record of TLS in a green thread.

    eventlet waits up to the timeout of the socket for each piece of them. In
    native threads that timeout already bounds all of it.

    :param seconds: the bound, or None for no bound
    :raises TimeoutError: it takes longer
    """
    if process.handler() != 'eventlet':
        yield
        return
    # Already imported here; elsewhere it must not be.
    eventlet = sys.modules['eventlet']
    with eventlet.Timeout(seconds, TimeoutError('timed out')):
        yield


@functools.cache
def connecting(base: type, method: str, timeout: str) -> type:
    """Return a subclass whose connections have bounded sockets.

    :param base: a client library's class of connections
    :param method: the method of base that connects, and either returns the
        socket or stores it in ``sock``
    :param timeout: the attribute with the seconds that connecting may take
    """
    connect = getattr(base, method)

    def bounded(self: Any) -> Socket | None:
        with within(getattr(self, timeout)):
            made = connect(self)
        if made is not None:
            return Socket(made)
        self.sock = Socket(self.sock)
        return None

    return type(base.__name__, (base,), {method: bounded})
