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

"""What a member knows about a server from its last heartbeats."""

from collections.abc import Callable, Iterator
import contextlib
import math
import time

from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.drivers.mc import storage
from nova_servicegroup import exceptions

#: One of so many heartbeats checks the server: one a minute with Nova's
#: defaults. A heartbeat that finds the member gone checks at once.
_CHECK_EVERY = 6


class Renewals:
    """Decides when to check a server, and whether it has lost the member.

    :param ttl: seconds after which a member that is not renewed is gone
    """

    def __init__(
        self, ttl: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl = ttl
        self._clock = clock
        # What the last check found, the heartbeats since, and the value that
        # the last success wrote: a slow one may have written an older value.
        self._checked: storage.ServerState | None = None
        self._beats = 0
        self._value = b''
        # Until when the server must still have the member.
        self._kept_until = -math.inf
        # The heartbeats since another process was seen to renew the member.
        self._alone = math.inf

    def use_last_check(self, value: bytes) -> storage.ServerState | None:
        """Return what the last check found, or None if a check is due.

        Unless this heartbeat succeeds, the next one checks.

        :param value: of the member from now on
        """
        checked, self._checked = self._checked, None
        return checked if self._value == value else None

    def start_check(self) -> None:
        """Record that this heartbeat checks the server."""
        self._beats = 0

    @contextlib.contextmanager
    def recording_failures(self) -> Iterator[None]:
        """Record a failure to answer.

        If the server lacks the member the next time, it has lost it.
        """
        try:
            yield
        except exceptions.BackendError:
            if self._kept_until > -math.inf:
                self._kept_until = math.inf
            raise

    def record_success(
        self, answer: storage.ServerState, value: bytes
    ) -> None:
        """Record a heartbeat that the server has confirmed.

        :param value: of the member on the server now
        """
        self._value = value
        self._kept_until = self._clock() + self._ttl
        self._beats += 1
        self._alone += 1
        if answer.marker is not None and self._beats % _CHECK_EVERY:
            self._checked = answer

    def is_shared(self, found: bytes, value: bytes) -> bool:
        """Return whether other processes may renew the member, too.

        One that goes on writes its own value at its next check, but not
        always between two checks of this one.

        :param found: the value that the server has
        :param value: that this process writes
        """
        if keyspace.token_of(found) not in (b'', keyspace.token_of(value)):
            self._alone = 0
        return self._alone < 2 * _CHECK_EVERY

    def has_lost(self) -> bool:
        """Return whether a missing member was lost by the server.

        If not, the member did not renew itself in time.
        """
        return self._clock() < self._kept_until
