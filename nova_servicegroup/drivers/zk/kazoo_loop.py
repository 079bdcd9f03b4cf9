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

"""What kazoo's connections do, and do not promise to do.

What concerns tooz is in internals.
"""

from collections.abc import Callable
import functools
import math
import time
from typing import Any

from oslo_log import log as logging

from nova_servicegroup.drivers.common import bounded
from nova_servicegroup.drivers.common import requests

kazoo_exceptions = requests.try_import('kazoo.exceptions')

LOG = logging.getLogger(__name__)

#: A wait is doubled so often, at most.
_MOST_DOUBLED = 16


class Handshakes:
    """Waits longer for a session, the more often that was in vain.

    kazoo gives each of several servers its part of the session timeout. Those
    that need longer to make a session, since all their clients come at once,
    would make one after another for nobody.

    :param servers: how many there are
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
        """Have a coordinator wait so."""
        try:
            connection = coordinator._coord._connection
            invoke = connection._invoke
        except AttributeError:
            LOG.debug('How long kazoo waits for a session cannot be set.')
            return

        def wrapper(wait: float, request: Any, *args: Any, **more: Any) -> Any:
            if type(request).__name__ != 'Connect':
                return invoke(wait, request, *args, **more)
            wait, begun = self._wait(wait), self._clock()
            try:
                answer = invoke(wait, request, *args, **more)
            except Exception:
                # A server that refuses, as in an election, needs no time.
                self._failures += self._clock() - begun > wait / 2
                raise
            self._failures = 0
            return answer

        connection._invoke = wrapper

    def _wait(self, wait: float) -> float:
        """Return the seconds to wait, twice as long each time for each."""
        rounds = min(self._failures // self._servers, _MOST_DOUBLED)
        return max(wait, min(wait * 2.0**rounds, self._longest))


class Frames:
    """Bounds what kazoo reads at once, in time and in size.

    It awaits each piece for the whole time, in the one thread that also sends,
    stops, and goes on to the next server.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end: float | None = None
        self._heard = clock()

    def guard(self, coordinator: Any) -> None:
        """Have a coordinator read so, and tell when it has; see silence."""
        try:
            connection = coordinator._coord._connection
            handler = connection.handler
            read, select = connection._read, handler.select
        except AttributeError:
            LOG.debug('How long kazoo reads cannot be bounded any more.')
            return
        connection._read = functools.partial(self._read, read)
        handler.select = functools.partial(self._select, select)
        coordinator.silence = lambda: self._clock() - self._heard

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
        self._heard = self._clock()
        return found

    def _select(self, select: Callable[..., Any], *args: Any) -> Any:
        if self._end is None:
            return select(*args)
        left = self._end - self._clock()
        return select(*args[:3], left) if left > 0 else ([], [], [])


def silence(coordinator: Any) -> float:
    """Return the seconds since a server has said anything, as to a ping.

    kazoo pings when it has asked nothing for a third of a session.

    :returns: infinity: it cannot be told
    """
    told = getattr(coordinator, 'silence', None)
    return math.inf if told is None else float(told())


def on_session(coordinator: Any, granted: Callable[[float], None]) -> None:
    """Have granted called with the timeout of each session, in seconds.

    kazoo keeps it to itself, but for the read timeout of two thirds of it.
    """
    try:
        connection = coordinator._coord._connection
        connect = connection._connect
    except AttributeError:
        LOG.debug('kazoo does not tell the timeout of sessions any more.')
        return

    def wrapper(*args: Any) -> Any:
        timeouts = connect(*args)
        granted(round(timeouts[0] * 1.5 / 1000, 3))
        return timeouts

    connection._connect = wrapper


def never_block(coordinator: Any) -> None:
    """Have kazoo never wait for a byte that is not there, under eventlet.

    Workers that uWSGI forks from a master which has loaded Nova share its
    epoll object, and eventlet tells each of them of the sockets of the others
    that have the same number. So kazoo reads the byte by which a request is
    announced when there is none, and then waits for it for ever, with no time
    limit anywhere.

    :param coordinator: tooz', not started
    """
    try:
        handler = coordinator._coord.handler
        make = handler.create_socket_pair
    except AttributeError:
        LOG.debug('kazoo does not show what wakes its loop any more.')
        return

    def create_socket_pair() -> tuple[Any, Any]:
        reader, writer = make()
        reader.setblocking(False)
        return reader, writer

    handler.create_socket_pair = create_socket_pair
