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

"""The operations on a server that stores members, and the one in memory."""

from collections.abc import Callable, Collection, Mapping, Set
import time
from typing import Any, NamedTuple, Protocol

from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup import process

#: A server in memory is never emptied.
_MARKER = b'local'


class ServerState(NamedTuple):
    """What a server holds.

    :ivar values: the values of the live members, by member id; see
        keyspace.encode_value
    :ivar marker: changes when the server is emptied; None: it was emptied,
        and no member has reported since
    :ivar young: whether it was emptied so recently that some members may not
        have reported since
    :ivar lossy: whether it lost a live member recently, and maybe others
    :ivar evictions: how many items that had not expired the server has
        dropped since it was started; set by ``read`` only
    :ivar ended: the tokens of members that agents have just ended
    """

    values: dict[str, bytes]
    marker: bytes | None
    young: bool = False
    lossy: bool = False
    evictions: int = 0
    ended: Set[bytes] = frozenset()


class Server(Protocol):
    """One server. Every operation is bounded in time.

    All but ``close`` raise BackendError.
    """

    name: str

    def read(self, ids: Collection[str]) -> ServerState:
        """Return which of some members the server holds."""

    def renew(self, member_id: str, value: bytes) -> ServerState:
        """Renew a member; return what the server held of it before.

        That may be from earlier heartbeats, if the server has kept it since.

        :param value: the new one; see keyspace.encode_value
        """

    def touch(self, member_id: str, value: bytes) -> ServerState | None:
        """Renew a member with one command, where that is enough.

        :param value: as for renew
        :returns: as renew, or None if it was not renewed and renew is due
        """

    def leave(self, member_id: str, token: bytes, ttl: int) -> None:
        """End a member if the process with this token last renewed it.

        Otherwise it expires in ttl seconds unless it is renewed again, and
        has no mark until it is written again.

        :param token: empty: other processes may renew it, too
        """

    def end(self, member_id: str, incarnation: str) -> None:
        """End a member if a process that has died last wrote it.

        Its token is among those that were ended for a while. But not if other
        processes may renew the member, too: it expires unless they do.

        :param incarnation: of the process; see naming
        """

    def add_to_list(
        self, group: str, host: str, origin: Mapping[str, Any]
    ) -> None:
        """Add a host to its group's list, unless it is listed.

        May take longer than the others where many join at once.

        :param origin: where it runs; kept for a few minutes
        """

    def origins(self, ids: Collection[str]) -> dict[str, Any]:
        """Return where some members run, as each last stored it."""

    def hosts(self, group: str) -> set[str]:
        """Return the hosts on a group's list, alive or not."""

    def stats(self) -> dict[str, str]:
        """Return the server's statistics, under memcached's names."""

    def close(self) -> None:
        """End the connection, without touching what is stored."""


class _Stored:
    """Members and lists of one process.

    :ivar members: the value of each, and the time when it expires
    :ivar groups: the hosts on the list of each
    """

    def __init__(self) -> None:
        self.members: dict[str, tuple[bytes, float]] = {}
        self.groups: dict[str, set[str]] = {}


_stored = process.PerProcess(_Stored)


class LocalServer:
    """A server in the memory of the process, used where none is configured.

    All members of a process share it. A forked child starts empty.

    :param ttl: seconds after which a member that is not renewed is gone
    """

    name = 'process memory'

    def __init__(
        self, ttl: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl = ttl
        self._clock = clock

    def read(self, ids: Collection[str]) -> ServerState:
        """See Server."""
        now, members = self._clock(), _stored.get().members
        found = {each: members[each] for each in ids if each in members}
        return ServerState(
            {
                each: value
                for each, (value, until) in found.items()
                if now < until
            },
            _MARKER,
        )

    def renew(self, member_id: str, value: bytes) -> ServerState:
        """See Server."""
        answer = self.read([member_id])
        until = self._clock() + self._ttl
        _stored.get().members[member_id] = value, until
        return answer

    def touch(self, member_id: str, value: bytes) -> ServerState | None:
        """See Server. To renew costs no more in memory."""
        return self.renew(member_id, value)

    def leave(self, member_id: str, token: bytes, ttl: int) -> None:
        """See Server."""
        members = _stored.get().members
        found, _ = members.pop(member_id, (token, 0.0))
        renewed_by = keyspace.token_of(found)
        if renewed_by != token:
            members[member_id] = renewed_by, self._clock() + ttl

    def end(self, member_id: str, incarnation: str) -> None:
        """See Server. No other process has members here."""

    def add_to_list(
        self, group: str, host: str, origin: Mapping[str, Any]
    ) -> None:
        """See Server."""
        _stored.get().groups.setdefault(group, set()).add(host)

    def origins(self, ids: Collection[str]) -> dict[str, Any]:
        """See Server. There is only one process."""
        return {}

    def hosts(self, group: str) -> set[str]:
        """See Server."""
        return set(_stored.get().groups.get(group, ()))

    def stats(self) -> dict[str, str]:
        """See Server."""
        return {}

    def close(self) -> None:
        """See Server."""
