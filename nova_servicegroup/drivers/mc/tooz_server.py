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

"""A memcached server, through a coordinator of tooz."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
from nova_servicegroup.drivers.mc import coordinators
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.drivers.mc import renewals
from nova_servicegroup.drivers.mc import storage
from nova_servicegroup import exceptions

coordination = requests.try_import('tooz.coordination')

memcached = requests.try_import('tooz.drivers.memcached')

pymemcache = requests.try_import('pymemcache.exceptions')

T = TypeVar('T')

#: So many members, or shards, are read in one round trip.
_PORTION = 5000

_LISTS = 16

#: Seconds. tooz tries again every second if others join at the same moment.
_ENLIST_TIMEOUT = 10.0

#: Longer than a member takes until it says it again (seconds).
_ORIGIN_TTL = 300

#: What is noted of a server: that it was emptied, or has lost a live member.
_NEW, _LOST = b'1', b'2'

#: How often a member that looks whether it is listed has its shard rid of
#: those that are gone.
_PRUNE_CHANCE = 0.001


class ToozServer:
    """A server behind a tooz coordinator; see storage.Server.

    :param member_id: the member that is reported for, or any unique id
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
        self._rest = backoff.Rest(longest)
        self._renewals = renewals.Renewals(ttl)

    def read(self, ids: Collection[str]) -> storage.Answer:
        """See storage.Server. A round trip for each few thousand of them."""
        return self._ask(self._read_all, ids)

    def _read_all(self, client: Any, ids: Collection[str]) -> storage.Answer:
        answer = self._read(client, ids)
        # Later than the members: what was evicted before is counted.
        evictions = int(client.stats().get(b'evictions', 0))
        return answer._replace(evictions=evictions)

    def _read(self, client: Any, ids: Collection[str]) -> storage.Answer:
        keys = {coordinators.member_key(each): each for each in ids}
        marks = [self._keys.marker.encode(), self._keys.young.encode()]
        found = _get_many(client, [*marks, *keys])
        marker, young = (found.pop(each, None) for each in marks)
        return storage.Answer(
            {keys[key]: _token(each) for key, each in found.items()},
            _token(marker) or None,
            young is not None,
            young == _LOST,
        )

    def renew(self, member_id: str, value: bytes) -> storage.Answer:
        """See storage.Server.

        tooz's heartbeat does not await the server's word. This does, so a
        frozen server cannot pass for one that took the beat. Most beats only
        prolong the member, which fails where the server has lost it. Now and
        then one looks whether others renew it, too, and whether the server's
        marker is still there; so does the one after any trouble.
        """
        looked = self._renewals.take_look(value)
        try:
            answer = self._ask(self._renew, member_id, value, looked)
        except exceptions.BackendError:
            self._renewals.fail()
            raise
        self._renewals.succeed(answer)
        return answer

    def _renew(
        self,
        client: Any,
        member_id: str,
        value: bytes,
        looked: storage.Answer | None,
    ) -> storage.Answer:
        """Renew a member, and return what was known of it before."""
        key = coordinators.member_key(member_id)
        if looked and client.touch(key, expire=self._ttl, noreply=False):
            return looked
        self._renewals.look()
        answer = self._read(client, [member_id])
        if answer.marker is None:
            self._mark(client)
        elif member_id not in answer.tokens and self._renewals.has_lost():
            self._note(client, _LOST)
        client.set(key, value, expire=self._ttl, noreply=False)
        return answer

    def _mark(self, client: Any) -> None:
        """Note that the server was empty, before anybody relies on it."""
        marker, value = self._keys.marker, secrets.token_bytes(8)
        self._note(client, _NEW)
        if client.add(marker, value, noreply=False):
            return
        # Another member was faster, unless what is there is foreign.
        found = client.get_many([marker.encode()]).values()
        if not any(map(_token, found)):
            client.set(marker, value, noreply=False)

    def _note(self, client: Any, what: bytes) -> None:
        """Have readers know that it misses live members, until it has them."""
        settle_time = 2 * int(self._conf.report_interval) + 1
        client.set(self._keys.young, what, expire=settle_time, noreply=False)

    def withdraw(self, member_id: str, token: bytes, ttl: int) -> None:
        """See storage.Server."""
        self._ask(_withdraw, coordinators.member_key(member_id), token, ttl)

    def origins(self, ids: Collection[str]) -> dict[str, Any]:
        """See storage.Server."""
        keys = {self._keys.origin(each).encode(): each for each in ids}
        found = self._ask(_get_many, list(keys))
        return {keys[key]: each for key, each in found.items()}

    def enlist(self, group: str, host: str, origin: Mapping[str, Any]) -> None:
        """See storage.Server."""
        member_id = self._keys.member(group, host)
        shard = self._keys.shard(group, member_id)
        hidden = self._keys.is_hidden(group, host)
        deadline = requests.Deadline(_ENLIST_TIMEOUT)
        with self._connection.use(deadline) as connected:
            session = sessions.Session(
                connected, shard, self._request, deadline
            )
            _join(session, {'host': host} if hidden else None)
            if random.random() < _PRUNE_CHANCE:
                # tooz drops those that have no key any more.
                session.ask('list', session.coordinator.get_members, shard)
            session.coordinator.client.set(
                self._keys.origin(member_id),
                dict(origin),
                expire=_ORIGIN_TTL,
                noreply=False,
            )

    def listing(self, group: str) -> set[str]:
        """See storage.Server."""
        prefix = coordinators.memcached.MemcachedDriver.GROUP_PREFIX
        shards = [prefix + each for each in self._keys.shards(group)]
        lists = self._ask(_get_many, shards, _LISTS)
        return {
            host
            for members in lists.values()
            for host in self._hosts(group, members)
        }

    def _hosts(self, group: str, members: Any) -> Iterator[str]:
        """Read one shard; what others may have written there is ignored."""
        for member_id, entry in members.items():
            with contextlib.suppress(KeyError, ValueError):
                more = entry[b'capabilities']
                if more is not None:
                    host = more['host']
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
        """Call with tooz's client; once more if its connection has ended.

        So a server that was restarted answers at the first question.
        """
        deadline = requests.Deadline(self._conf.memcached.timeout)
        with (
            self._rest.guard(self.name),
            self._connection.use(deadline) as connected,
        ):
            client = connected.coordinator.client
            try:
                return call(client, *args)
            except (ConnectionError, pymemcache.MemcacheUnexpectedCloseError):
                return call(client, *args)


def _join(session: sessions.Session, said: dict[str, str] | None) -> None:
    """Join a shard, which is there unless this is the first to do so.

    :param said: None: the host can be read off the member id
    """
    with contextlib.suppress(coordination.MemberAlreadyExist):
        try:
            session.join(said)
        except coordination.GroupNotCreated:
            session.create()
            session.join(said)


def _get_many(
    client: Any, keys: Sequence[bytes], size: int = _PORTION
) -> dict[bytes, Any]:
    """Read in portions, each of which is answered well within the timeout."""
    found: dict[bytes, Any] = {}
    for start in range(0, len(keys), size):
        found.update(client.get_many(keys[start : start + size]))
    return found


def _withdraw(client: Any, key: bytes, token: bytes, ttl: int) -> None:
    found, version = client.gets(key)
    # memcached takes a time in the past for a deletion; this one fails if
    # another process renews the member meanwhile.
    renewed_by = keyspace.said(_token(found)).token
    if renewed_by != token or not client.cas(
        key, token, version, expire=-1, noreply=False
    ):
        client.touch(key, expire=ttl, noreply=False)


def _token(value: Any) -> bytes:
    """Return a value as one of ours; what others have written is empty."""
    return value if isinstance(value, bytes) else b''


def _text(value: Any) -> str:
    return (
        value.decode(errors='replace')
        if isinstance(value, bytes)
        else str(value)
    )
