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


"""A store in the memory of one process, in the place of a server."""

from collections.abc import Callable, Collection, Mapping
import time
from typing import Any

from nova_servicegroup.drivers.mc import storage
from nova_servicegroup import process

_MARKER = b'local'


class _Stored:
    """What one process has stored.

    :ivar members: the token of each, and until when it is there
    :ivar groups: the hosts on the list of each
    """

    def __init__(self) -> None:
        self.members: dict[str, tuple[bytes, float]] = {}
        self.groups: dict[str, set[str]] = {}


_stored = process.PerProcess(_Stored)


class LocalServer:
    """What the mc driver does without servers; see storage.Server.

    All of one process share what is stored. A forked child starts anew.

    :param ttl: seconds after which a member that is not renewed is gone
    """

    name = 'process memory'

    def __init__(
        self, ttl: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl = ttl
        self._clock = clock

    def read(self, ids: Collection[str]) -> storage.Answer:
        """See storage.Server."""
        now, members = self._clock(), _stored.get().members
        found = {each: members[each] for each in ids if each in members}
        return storage.Answer(
            {
                each: token
                for each, (token, until) in found.items()
                if now < until
            },
            _MARKER,
        )

    def renew(self, member_id: str, token: bytes) -> storage.Answer:
        """See storage.Server."""
        answer = self.read([member_id])
        until = self._clock() + self._ttl
        _stored.get().members[member_id] = token, until
        return answer

    def withdraw(self, member_id: str, token: bytes, ttl: int) -> None:
        """See storage.Server."""
        members = _stored.get().members
        found, _ = members.pop(member_id, (token, 0.0))
        if found != token:
            members[member_id] = found, self._clock() + ttl

    def enlist(self, group: str, host: str, origin: Mapping[str, Any]) -> None:
        """See storage.Server."""
        _stored.get().groups.setdefault(group, set()).add(host)

    def origins(self, ids: Collection[str]) -> dict[str, Any]:
        """See storage.Server. There is only one process."""
        return {}

    def listing(self, group: str) -> set[str]:
        """See storage.Server."""
        return set(_stored.get().groups.get(group, ()))

    def stats(self) -> dict[str, str]:
        """See storage.Server."""
        return {}

    def close(self) -> None:
        """See storage.Server."""
