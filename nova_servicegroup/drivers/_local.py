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

from collections.abc import Collection, Mapping
import time
from typing import Any

from nova_servicegroup.drivers import _memcached

_MARKER = b'local'


class LocalServer:
    """What the mc driver does without servers; see _memcached.Server.

    All of one process share what is stored.

    :param ttl: seconds after which a member that is not renewed is gone
    """

    name = 'process memory'
    _members: dict[str, tuple[bytes, float]] = {}
    _groups: dict[str, set[str]] = {}

    def __init__(self, ttl: int) -> None:
        self._ttl = ttl

    def read(self, ids: Collection[str]) -> _memcached.Answer:
        """See _memcached.Server."""
        now = time.monotonic()
        found = {
            each: self._members[each] for each in ids if each in self._members
        }
        return _memcached.Answer(
            {
                each: token
                for each, (token, until) in found.items()
                if now < until
            },
            _MARKER,
        )

    def renew(self, member_id: str, token: bytes) -> _memcached.Answer:
        """See _memcached.Server."""
        answer = self.read([member_id])
        self._members[member_id] = token, time.monotonic() + self._ttl
        return answer

    def withdraw(self, member_id: str, token: bytes, ttl: int) -> None:
        """See _memcached.Server."""
        found, _ = self._members.pop(member_id, (token, 0.0))
        if found != token:
            self._members[member_id] = found, time.monotonic() + ttl

    def enlist(self, group: str, host: str, origin: Mapping[str, Any]) -> None:
        """See _memcached.Server."""
        self._groups.setdefault(group, set()).add(host)

    def origins(self, ids: Collection[str]) -> dict[str, Any]:
        """See _memcached.Server. There is only one process."""
        return {}

    def listing(self, group: str) -> set[str]:
        """See _memcached.Server."""
        return set(self._groups.get(group, ()))

    def stats(self) -> dict[str, str]:
        """See _memcached.Server."""
        return {}

    def close(self) -> None:
        """See _memcached.Server."""
