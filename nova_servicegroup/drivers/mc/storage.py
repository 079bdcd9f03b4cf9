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

"""What is asked of a server that keeps members, and the one in memory."""

from collections.abc import Callable, Collection, Mapping
import time
from typing import Any, NamedTuple, Protocol

from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup import process

#: A server in memory forgets nothing.
_MARKER = b'local'


class Answer(NamedTuple):
    """What a server holds.

    :ivar tokens: the values of the members that are alive, by member id: who
        last renewed each; see keyspace.said
    :ivar marker: changes when the server has forgotten everything; None: it
        has, and nobody has reported since
    :ivar young: it had forgotten everything not long ago: some members may
        not have reported since
    :ivar lossy: it has lost a live member not long ago, and maybe others
    :ivar evictions: how often the server has dropped an item that had not
        expired, since it was started; only ``read`` tells
    """

    tokens: dict[str, bytes]
    marker: bytes | None
    young: bool = False
    lossy: bool = False
    evictions: int = 0


class Server(Protocol):
    """The operations on one server. Each is bounded in time.

    All but ``close`` raise BackendError.
    """

    name: str

    def read(self, ids: Collection[str]) -> Answer:
        """Return what is known of some members."""

    def renew(self, member_id: str, value: bytes) -> Answer:
        """Renew a member; return what was known of it before.

        That may be from the last beats, if the server has not lost it since.

        :param value: that it has from now on; see keyspace.value
        """

    def prolong(self, member_id: str, value: bytes) -> Answer | None:
        """Renew a member with one command, where that is enough.

        :param value: that it has
        :returns: as renew; None: it is not renewed, and renew is due
        """

    def withdraw(self, member_id: str, token: bytes, ttl: int) -> None:
        """End a member if token was the last to renew it.

        If not, it expires in ttl seconds unless it is renewed again, and has
        no mark until it is written again.
        """

    def enlist(self, group: str, host: str, origin: Mapping[str, Any]) -> None:
        """Put the host on its group's list, if it is not on it.

        May take longer than the others where many join at once.

        :param origin: where it runs; kept for a few minutes
        """

    def origins(self, ids: Collection[str]) -> dict[str, Any]:
        """Return where some members run, as the last of each has said."""

    def listing(self, group: str) -> set[str]:
        """Return the hosts on a group's list, alive or not."""

    def stats(self) -> dict[str, str]:
        """Return what the server says of itself, in memcached's words."""

    def close(self) -> None:
        """End the connection, without touching what is stored."""


class _Stored:
    """What one process has stored.

    :ivar members: the value of each, and until when it is there
    :ivar groups: the hosts on the list of each
    """

    def __init__(self) -> None:
        self.members: dict[str, tuple[bytes, float]] = {}
        self.groups: dict[str, set[str]] = {}


_stored = process.PerProcess(_Stored)


class LocalServer:
    """What the mc driver does without servers; see Server.

    All of one process share what is stored. A forked child starts anew.

    :param ttl: seconds after which a member that is not renewed is gone
    """

    name = 'process memory'

    def __init__(
        self, ttl: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl = ttl
        self._clock = clock

    def read(self, ids: Collection[str]) -> Answer:
        """See Server."""
        now, members = self._clock(), _stored.get().members
        found = {each: members[each] for each in ids if each in members}
        return Answer(
            {
                each: token
                for each, (token, until) in found.items()
                if now < until
            },
            _MARKER,
        )

    def renew(self, member_id: str, value: bytes) -> Answer:
        """See Server."""
        answer = self.read([member_id])
        until = self._clock() + self._ttl
        _stored.get().members[member_id] = value, until
        return answer

    def prolong(self, member_id: str, value: bytes) -> Answer | None:
        """See Server. It is all the same in memory."""
        return self.renew(member_id, value)

    def withdraw(self, member_id: str, token: bytes, ttl: int) -> None:
        """See Server."""
        members = _stored.get().members
        found, _ = members.pop(member_id, (token, 0.0))
        renewed_by = keyspace.said(found).token
        if renewed_by != token:
            members[member_id] = renewed_by, self._clock() + ttl

    def enlist(self, group: str, host: str, origin: Mapping[str, Any]) -> None:
        """See Server."""
        _stored.get().groups.setdefault(group, set()).add(host)

    def origins(self, ids: Collection[str]) -> dict[str, Any]:
        """See Server. There is only one process."""
        return {}

    def listing(self, group: str) -> set[str]:
        """See Server."""
        return set(_stored.get().groups.get(group, ()))

    def stats(self) -> dict[str, str]:
        """See Server."""
        return {}

    def close(self) -> None:
        """See Server."""
