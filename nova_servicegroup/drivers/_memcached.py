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


"""One memcached server, as the mc driver uses it.

The only place that knows tooz's names of keys and tooz's client.
"""

from collections.abc import Collection, Iterator
import contextlib
import functools
import hashlib
import math
import secrets
from typing import Any, NamedTuple, Protocol

from oslo_config import cfg
from oslo_utils import importutils

from nova_servicegroup.drivers import _connection
from nova_servicegroup.drivers import _names
from nova_servicegroup.drivers import _tooz

coordination = importutils.try_import('tooz.coordination')
memcached = importutils.try_import('tooz.drivers.memcached')

#: memcached takes keys of up to 250 bytes; tooz's prefixes need some.
_LONGEST = 200


class Answer(NamedTuple):
    """What a server holds.

    :ivar tokens: who last renewed each member that is alive, by member id
    :ivar marker: changes when the server has forgotten everything; None: it
        has, and nobody has reported since
    """

    tokens: dict[str, bytes]
    marker: bytes | None


class Server(Protocol):
    """The operations on one server. Each is bounded in time.

    All but ``close`` raise BackendError.
    """

    name: str

    def read(self, ids: Collection[str]) -> Answer:
        """Return what is known of some members."""

    def renew(self, member_id: str, token: bytes) -> Answer:
        """Renew a member; return what was known of it before."""

    def expire(self, member_id: str, ttl: int) -> None:
        """Let a member expire in ttl seconds; 0: at once."""

    def enlist(self, group: str, host: str) -> None:
        """Put the host on its group's list."""

    def listing(self, group: str) -> set[str]:
        """Return the hosts on a group's list, alive or not."""

    def close(self) -> None:
        """End the connection, without touching what is stored."""


class Keys:
    """The names of things, the same in every process of one Nova."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.marker = f'{prefix}:marker'

    def member(self, group: str, host: str) -> str:
        """Return the id of a member; hashed where it would be too long."""
        name = f'{self._prefix}:{_names.escape(group)}:{_names.escape(host)}'
        if len(name) <= _LONGEST:
            return name
        digest = hashlib.sha256(name.encode('ascii')).hexdigest()
        return f'{name[: _LONGEST - len(digest)]}{digest}'

    def group(self, group: str) -> bytes:
        """Return the id of a group."""
        return f'{self._prefix}:{_names.escape(group)}'.encode('ascii')


class ToozServer:
    """A server behind a tooz coordinator.

    :param member_id: the member that is reported for, or any unique id
    :param ttl: seconds after which a member that is not renewed is gone
    """

    def __init__(
        self,
        address: str,
        conf: cfg.ConfigOpts,
        keys: Keys,
        member_id: str,
        ttl: int,
    ) -> None:
        self.name = f'memcached {address}'
        self._timeout = int(conf.memcached.timeout)
        self._ttl = ttl
        self._keys = keys
        # A coordinator's own stop would delete the member, which other
        # processes of the host may still be renewing.
        self._connection = _connection.Connection(
            self.name,
            functools.partial(self._coordinator, address),
            lambda: member_id.encode('ascii'),
            patience=math.inf,
            max_backoff=5.0,
            stop=lambda coordinator: coordinator.client.close(),
        )
        self._request = _tooz.Request(self.name)
        self._rest = _tooz.Rest(min(5.0, conf.report_interval / 2))

    def read(self, ids: Collection[str]) -> Answer:
        """See Server. One round trip for all of them."""
        keys = {_member_key(each): each for each in ids}
        marker = self._keys.marker.encode('ascii')
        with self._use() as coordinator:
            found = coordinator.client.get_many([marker, *keys])
        mark = found.pop(marker, None)
        return Answer({keys[key]: each for key, each in found.items()}, mark)

    def renew(self, member_id: str, token: bytes) -> Answer:
        """See Server.

        tooz's heartbeat does not await the server's word. This does, so a
        frozen server cannot pass for one that took the beat.
        """
        answer = self.read([member_id])
        with self._use() as coordinator:
            if answer.marker is None:
                coordinator.client.add(
                    self._keys.marker, secrets.token_bytes(8), noreply=False
                )
            coordinator.client.set(
                _member_key(member_id), token, expire=self._ttl, noreply=False
            )
        return answer._replace(
            tokens={
                each: token
                for each, token in answer.tokens.items()
                if token != memcached.MemcachedDriver.STILL_ALIVE
            }
        )

    def expire(self, member_id: str, ttl: int) -> None:
        """See Server."""
        key = _member_key(member_id)
        with self._use() as coordinator:
            if ttl:
                coordinator.client.touch(key, expire=ttl, noreply=False)
            else:
                coordinator.client.delete(key, noreply=False)

    def enlist(self, group: str, host: str) -> None:
        """See Server."""
        deadline = _tooz.Deadline(2 * self._timeout)
        name = self._keys.group(group)
        with self._connection.use(deadline) as connected:
            coordinator = connected.coordinator
            ask = functools.partial(
                self._request.ask, coordinator, deadline=deadline
            )
            with contextlib.suppress(coordination.GroupAlreadyExist):
                ask(
                    'create group',
                    issue=functools.partial(coordinator.create_group, name),
                )
            with contextlib.suppress(coordination.MemberAlreadyExist):
                ask(
                    'join',
                    issue=functools.partial(
                        coordinator.join_group, name, {'host': host}
                    ),
                )

    def listing(self, group: str) -> set[str]:
        """See Server."""
        key = memcached.MemcachedDriver.GROUP_PREFIX + self._keys.group(group)
        with self._use() as coordinator:
            members = coordinator.client.get(key) or {}
            return {each[b'capabilities']['host'] for each in members.values()}

    def close(self) -> None:
        """See Server."""
        self._connection.close(wait=self._timeout)

    @contextlib.contextmanager
    def _use(self) -> Iterator[Any]:
        deadline = _tooz.Deadline(self._timeout)
        with (
            self._rest.guard(self.name),
            self._connection.use(deadline) as connected,
        ):
            yield connected.coordinator

    def _coordinator(self, address: str, member_id: bytes) -> Any:
        return coordination.get_coordinator(
            f'memcached://{address}',
            member_id,
            timeout=self._timeout,
            membership_timeout=self._ttl,
            leader_timeout=self._ttl,
            lock_timeout=self._ttl,
        )


def _member_key(member_id: str) -> bytes:
    prefix: bytes = memcached.MemcachedDriver.MEMBER_PREFIX
    return prefix + member_id.encode('ascii')
