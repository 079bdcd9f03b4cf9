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

"""A memcached server, used through a tooz coordinator."""

from collections.abc import Callable, Collection, Iterator, Mapping
import contextlib
import math
import operator
import random
import secrets
from typing import Any, TypeVar

from oslo_config import cfg

from nova_servicegroup.drivers.common import backoff
from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.mc import commands
from nova_servicegroup.drivers.mc import coordinators
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.drivers.mc import renewals
from nova_servicegroup.drivers.mc import storage

coordination = requests.try_import('tooz.coordination')

memcached = requests.try_import('tooz.drivers.memcached')

pymemcache = requests.try_import('pymemcache.exceptions')

T = TypeVar('T')

#: Shards that are read in one round trip.
_SHARD_BATCH = 16

#: Seconds to connect in. After that tooz tries again every second, for as long
#: as others join at the same moment.
_LIST_TIMEOUT = 10.0

#: Seconds for which an origin is stored: until its member stores it again.
_ORIGIN_TTL = 300

#: Stored when a server was emptied, or has lost a live member.
_EMPTIED, _LOSSY = b'1', b'2'

#: The share of members that remove dead ones from their shard when they check
#: whether they are listed.
_PRUNE_CHANCE = 0.004


class ToozServer:
    """A server behind a tooz coordinator; see storage.Server.

    :param member_id: the member that reports, or any unique id of a reader
    :param ttl: seconds after which a member that is not renewed is gone
    """

    def __init__(
        self,
        address: str,
        conf: cfg.ConfigOpts,
        keys: keyspace.Keys,
        member_id: str,
        ttl: int,
    ) -> None:
        self._conf = conf
        self._ttl = ttl
        self._keys = keys
        longest = min(5.0, conf.report_interval / 2)
        factory = coordinators.MemberFactory(address, conf.memcached, ttl)
        self.name = factory.backend
        self._connection = connections.Connection(
            factory, member_id, connections.Limits(math.inf, longest)
        )
        self._request = requests.Request(self.name)
        self._breaker = backoff.CircuitBreaker(longest)
        self._renewals = renewals.Renewals(ttl)

    def read(self, ids: Collection[str]) -> storage.ServerState:
        """See storage.Server. It takes a round trip for each few thousand."""
        return self._ask(self._read_all, ids)

    def _read_all(
        self, client: Any, ids: Collection[str]
    ) -> storage.ServerState:
        answer = self._read(client, ids)
        # What follows is read after the members, so that none is missed.
        evictions = int(client.stats().get(b'evictions', 0))
        ended = commands.as_bytes(client.get(self._keys.ended))
        return answer._replace(
            evictions=evictions, ended=keyspace.tokens_of(ended)
        )

    def _read(self, client: Any, ids: Collection[str]) -> storage.ServerState:
        keys = {coordinators.member_key(each): each for each in ids}
        marks = [self._keys.marker.encode(), self._keys.young.encode()]
        found = commands.get_many(client, [*marks, *keys])
        marker, young = (found.pop(each, None) for each in marks)
        return storage.ServerState(
            {
                keys[key]: commands.as_bytes(each)
                for key, each in found.items()
            },
            commands.as_bytes(marker) or None,
            young is not None,
            young == _LOSSY,
        )

    def renew(self, member_id: str, value: bytes) -> storage.ServerState:
        """See storage.Server.

        tooz's heartbeat does not await the server's answer. This does, so a
        heartbeat to a frozen server fails. Most heartbeats only touch the
        member's key, which fails where the server has lost it. Some, and the
        one after any failure, check whether other processes renew it, too,
        and whether the server's marker is still there.
        """
        touched = self.touch(member_id, value)
        if touched is not None:
            return touched
        answer = self._ask(self._renew, member_id, value)
        self._renewals.record_success(answer, value)
        return answer

    def touch(
        self, member_id: str, value: bytes
    ) -> storage.ServerState | None:
        """See storage.Server."""
        checked = self._renewals.use_last_check(value)
        key = coordinators.member_key(member_id)
        if checked is None or not self._ask(commands.touch, key, self._ttl):
            return None
        self._renewals.record_success(checked, value)
        return checked

    def _renew(
        self, client: Any, member_id: str, value: bytes
    ) -> storage.ServerState:
        """Write a member, and return what the server held before."""
        key = coordinators.member_key(member_id)
        self._renewals.start_check()
        answer = self._read(client, [member_id])
        if answer.marker is None:
            self._write_marker(client)
        elif member_id not in answer.values and self._renewals.has_lost():
            self._announce_loss(client, _LOSSY)
        found = answer.values.get(member_id, b'')
        if self._renewals.is_shared(found, value):
            value = keyspace.as_shared(value)
        client.set(key, value, expire=self._ttl, noreply=False)
        return answer

    def _write_marker(self, client: Any) -> None:
        """Write a marker, and first the loss, so that no reader misses it."""
        marker, value = self._keys.marker, secrets.token_bytes(8)
        self._announce_loss(client, _EMPTIED)
        if client.add(marker, value, noreply=False):
            return
        # Another member was faster, unless the value is foreign.
        found = client.get_many([marker.encode()]).values()
        if not any(map(commands.as_bytes, found)):
            client.set(marker, value, noreply=False)

    def _announce_loss(self, client: Any, loss: bytes) -> None:
        """Announce to readers that live members may be missing for a while."""
        settle_time = 2 * int(self._conf.report_interval) + 1
        client.set(self._keys.young, loss, expire=settle_time, noreply=False)

    def leave(self, member_id: str, token: bytes, ttl: int) -> None:
        """See storage.Server."""
        key = coordinators.member_key(member_id)
        self._ask(commands.leave, key, token, ttl)

    def end(self, member_id: str, incarnation: str) -> None:
        """See storage.Server."""
        key = coordinators.member_key(member_id)
        ended = self._keys.ended.encode()
        ttl = 2 * int(self._conf.report_interval)
        self._ask(commands.end, key, incarnation, ended, ttl)

    def origins(self, ids: Collection[str]) -> dict[str, Any]:
        """See storage.Server."""
        keys = {self._keys.origin(each).encode(): each for each in ids}
        found = self._ask(commands.get_many, list(keys))
        return {keys[key]: each for key, each in found.items()}

    def add_to_list(
        self, group: str, host: str, origin: Mapping[str, Any]
    ) -> None:
        """See storage.Server."""
        member_id = self._keys.member(group, host)
        shard = self._keys.shard(group, member_id)
        hidden = self._keys.is_hidden(group, host)
        deadline = requests.Deadline(_LIST_TIMEOUT)
        with self._connection.use(deadline) as connected:
            session = sessions.Session(
                connected, shard, self._request, deadline
            )
            _join(session, {'host': host} if hidden else None)
            if random.random() < _PRUNE_CHANCE:
                # tooz drops members that have no key any more.
                session.ask('list', session.coordinator.get_members, shard)
            session.coordinator.client.set(
                self._keys.origin(member_id),
                dict(origin),
                expire=_ORIGIN_TTL,
                noreply=False,
            )

    def hosts(self, group: str) -> set[str]:
        """See storage.Server."""
        shards = [*map(coordinators.group_key, self._keys.shards(group))]
        lists = self._ask(commands.get_many, shards, _SHARD_BATCH)
        return {
            host
            for members in lists.values()
            for host in self._hosts(group, members)
        }

    def _hosts(self, group: str, members: Any) -> Iterator[str]:
        """Yield the hosts of one shard, without foreign entries."""
        for member_id, entry in members.items():
            with contextlib.suppress(KeyError, ValueError):
                capabilities = entry[b'capabilities']
                if capabilities is not None:
                    host = capabilities['host']
                else:
                    host = self._keys.host(group, member_id.decode('ascii'))
                if naming.is_host(host):
                    yield host

    def stats(self) -> dict[str, str]:
        """See storage.Server."""
        found = self._ask(operator.methodcaller('stats'))
        return {_text(name): _text(each) for name, each in found.items()}

    def close(self) -> None:
        """See storage.Server."""
        self._connection.close(wait=self._conf.memcached.timeout)

    def _ask(self, call: Callable[..., T], *args: Any) -> T:
        """Call with tooz's client, again if its connection has ended.

        So a server that was restarted answers the first request.
        """
        deadline = requests.Deadline(self._conf.memcached.timeout)
        with (
            self._renewals.recording_failures(),
            self._breaker.guard(self.name),
            self._connection.use(deadline) as connected,
        ):
            client = connected.coordinator.client
            try:
                return call(client, *args)
            except (ConnectionError, pymemcache.MemcacheUnexpectedCloseError):
                return call(client, *args)


def _join(
    session: sessions.Session, capabilities: dict[str, str] | None
) -> None:
    """Join a shard, creating it for its first member.

    Most members are on its list already, which one command shows; to join
    takes tooz several and a thread.

    :param capabilities: None where the member id shows the host
    """
    key = coordinators.group_key(session.group)
    listed = commands.get_many(session.coordinator.client, [key])
    if session.member_id in listed.get(key, ()):
        return
    with contextlib.suppress(coordination.MemberAlreadyExist):
        try:
            session.join(capabilities)
        except coordination.GroupNotCreated:
            session.create()
            session.join(capabilities)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors='replace')
    return str(value)
