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

"""Changes to the methods of kazoo's client, which it does not promise to keep.

Changes to tooz are in internals.
"""

from collections.abc import Callable
import functools
import math
import operator
import time
from typing import Any

from oslo_log import log as logging

from nova_servicegroup.drivers.common import bounded
from nova_servicegroup.drivers.common import requests

kazoo_exceptions = requests.try_import('kazoo.exceptions')

LOG = logging.getLogger(__name__)

#: How often a wait is doubled, at most.
_MAX_DOUBLINGS = 16


def _wrap(coordinator: Any, name: str, wrapper: Callable[..., Any]) -> bool:
    """Replace a method of kazoo's client, unless kazoo no longer has it.

    :param coordinator: has not been started
    :param name: of the method, seen from the client
    :param wrapper: takes the method first
    :returns: whether kazoo has the method
    """
    parent, _, method = f'_coord.{name}'.rpartition('.')
    try:
        owner = operator.attrgetter(parent)(coordinator)
        wrapped = functools.partial(wrapper, getattr(owner, method))
    except AttributeError as error:
        LOG.debug('kazoo has no %s any more: %s', name, error)
        return False
    setattr(owner, method, wrapped)
    return True


class Handshakes:
    """Waits for a new session, longer after each round of failures.

    kazoo gives each of several servers its part of the session timeout. If
    servers need longer to create a session, because all their clients come at
    once, every client gives up and the sessions are created in vain.

    :param servers: the number of servers
    :param longest: seconds to wait for one of them, at most
    """

    def __init__(
        self,
        servers: int,
        longest: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._servers = servers
        self._longest = longest
        self._failures = 0

    def guard(self, coordinator: Any) -> None:
        """Apply these waits to a coordinator."""
        _wrap(coordinator, '_connection._invoke', self._invoke)

    def _invoke(
        self,
        invoke: Callable[..., Any],
        wait: float,
        request: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if type(request).__name__ != 'Connect':
            return invoke(wait, request, *args, **kwargs)
        wait, begun = self._wait(wait), self._clock()
        try:
            answer = invoke(wait, request, *args, **kwargs)
        except Exception:
            # A server that refuses, as in an election, needs no more time.
            self._failures += self._clock() - begun > wait / 2
            raise
        self._failures = 0
        return answer

    def _wait(self, wait: float) -> float:
        """Return the seconds to wait, doubled after each round of failures."""
        rounds = min(self._failures // self._servers, _MAX_DOUBLINGS)
        return max(wait, min(wait * 2.0**rounds, self._longest))


class Frames:
    """Bounds what kazoo reads at once, in time and in size.

    kazoo applies its timeout to each piece of an answer, in the one thread
    that also sends, stops, and goes on to the next server.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end: float | None = None
        self._received = clock()
        # When the last ping was sent; and the last one that was answered.
        self._ping = self._pinged = -math.inf

    def guard(self, coordinator: Any) -> None:
        """Bound the reads of a coordinator and record them; see silence."""
        wrappers: dict[str, Callable[..., Any]] = {
            'handler.select': self._select,
            '_read': self._read,
            '_send_ping': self._send_ping,
            '_read_socket': functools.partial(self._read_socket, coordinator),
        }
        if all(
            _wrap(coordinator, f'_connection.{name}', wrapper)
            for name, wrapper in wrappers.items()
        ):
            coordinator.silence = lambda: self._clock() - self._received
            coordinator.pinged = lambda: self._pinged

    def _send_ping(self, send: Callable[..., Any], *args: Any) -> Any:
        self._ping = self._clock()
        return send(*args)

    def _read_socket(
        self, coordinator: Any, read: Callable[..., Any], *args: Any
    ) -> Any:
        # kazoo has one ping outstanding at most, and none after it connects.
        outstanding = coordinator._coord._connection.ping_outstanding
        awaited = outstanding.is_set()
        found = read(*args)
        if awaited and not outstanding.is_set():
            self._pinged = self._ping
        return found

    def _read(
        self, read: Callable[..., Any], length: int, timeout: float
    ) -> Any:
        if not 0 <= length <= bounded.LARGEST:
            raise kazoo_exceptions.ConnectionDropped('no answer is so long')
        self._end = self._clock() + timeout
        try:
            found = read(length, timeout)
        finally:
            self._end = None
        self._received = self._clock()
        return found

    def _select(self, select: Callable[..., Any], *args: Any) -> Any:
        if self._end is None:
            return select(*args)
        left = self._end - self._clock()
        return select(*args[:3], left) if left > 0 else ([], [], [])


def silence(coordinator: Any) -> float:
    """Return the seconds since a server has sent anything, as after a ping.

    kazoo pings when it has sent nothing for a third of a session.

    :returns: infinity if it is unknown
    """
    measure = getattr(coordinator, 'silence', None)
    return math.inf if measure is None else float(measure())


def pinged(coordinator: Any) -> float:
    """Return when the last ping was sent that a server has answered.

    :returns: by time.monotonic; -infinity if it is unknown
    """
    measure = getattr(coordinator, 'pinged', None)
    return -math.inf if measure is None else float(measure())


def on_session(coordinator: Any, granted: Callable[[float], None]) -> None:
    """Call granted with the timeout of each new session, in seconds.

    kazoo keeps only the read timeout, which is two thirds of it.
    """

    def connect(original: Callable[..., Any], *args: Any) -> Any:
        timeouts = original(*args)
        granted(round(timeouts[0] * 1.5 / 1000, 3))
        return timeouts

    _wrap(coordinator, '_connection._connect', connect)


def never_block(coordinator: Any) -> None:
    """Keep kazoo from waiting for a byte that does not come, under eventlet.

    Workers that uWSGI forks from a master which has loaded Nova share its
    epoll object, and eventlet reports to each of them events on sockets of
    the others that have the same number. So kazoo reads the byte that
    announces a request when there is none, and would wait for it for ever.
    """
    _wrap(coordinator, 'handler.create_socket_pair', _nonblocking_pair)


def _nonblocking_pair(make: Callable[[], Any]) -> tuple[Any, Any]:
    reader, writer = make()
    reader.setblocking(False)
    return reader, writer
