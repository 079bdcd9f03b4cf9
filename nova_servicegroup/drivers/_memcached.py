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

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
import contextlib
import functools
import math
import random
import secrets
from typing import Any, NamedTuple, Protocol, TypeVar

from oslo_config import cfg
from oslo_utils import importutils

from nova_servicegroup.drivers import _backoff
from nova_servicegroup.drivers import _connection
from nova_servicegroup.drivers import _memcached_keys
from nova_servicegroup.drivers import _tooz

coordination = importutils.try_import('tooz.coordination')
memcached = importutils.try_import('tooz.drivers.memcached')
pymemcache = importutils.try_import('pymemcache.exceptions')

T = TypeVar('T')

#: So many members, or shards, are read in one round trip.
_PORTION = 5000
_LISTS = 16
#: Seconds. tooz tries again every second if others join at the same moment.
_ENLIST_TIMEOUT = 10.0
#: Longer than a member takes until it says it again (seconds).
_ORIGIN_TTL = 300
#: Of so many beats, one looks at the server closely. A key is kept for three
#: beats at least.
_LOOK_EVERY = 3
#: How often a member that looks whether it is listed has its shard rid of
#: those that are gone.
_PRUNE_CHANCE = 0.001


class Answer(NamedTuple):
    """What a server holds.

    :ivar tokens: who last renewed each member that is alive, by member id
    :ivar marker: changes when the server has forgotten everything; None: it
        has, and nobody has reported since
    :ivar young: it had forgotten everything not long ago: some members may
        not have reported since
    :ivar evictions: how often the server has dropped an item that had not
        expired, since it was started; only ``read`` tells
    """

    tokens: dict[str, bytes]
    marker: bytes | None
    young: bool = False
    evictions: int = 0


class Server(Protocol):
    """The operations on one server. Each is bounded in time.

    All but ``close`` raise BackendError.
    """

    name: str

    def read(self, ids: Collection[str]) -> Answer:
        """Return what is known of some members."""

    def renew(self, member_id: str, token: bytes) -> Answer:
        """Renew a member; return what was known of it before.

        That may be from the last beats, if the server has not lost it since.
        """

    def withdraw(self, member_id: str, token: bytes, ttl: int) -> None:
        """End a member if token was the last to renew it.

        If not, it expires in ttl seconds unless it is renewed again.
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


class ToozServer:
    """A server behind a tooz coordinator.

    :param member_id: the member that is reported for, or any unique id
    :param ttl: seconds after which a member that is not renewed is gone
    """

    def __init__(
        self,
        address: str,
        conf: cfg.ConfigOpts,
        keys: _memcached_keys.Keys,
        member_id: str,
        ttl: int,
    ) -> None:
        self.name = f'memcached {address}'
        self._timeout = int(conf.memcached.timeout)
        self._ttl = ttl
        # In which every live member has been renewed.
        self._settle_time = 2 * int(conf.report_interval) + 1
        self._keys = keys
        patience = min(5.0, conf.report_interval / 2)
        # A coordinator's own stop would delete the member, which other
        # processes of the host may still be renewing.
        self._connection = _connection.Connection(
            self.name,
            functools.partial(new_coordinator, address, conf.memcached, ttl),
            lambda: member_id.encode('ascii'),
            patience=math.inf,
            max_backoff=patience,
            stop=lambda coordinator: coordinator.client.close(),
        )
        self._request = _tooz.Request(self.name)
        self._rest = _backoff.Rest(patience)
        # What the last close look has found, and the beats since.
        self._looked: Answer | None = None
        self._beats = 0

    def read(self, ids: Collection[str]) -> Answer:
        """See Server. A round trip for each few thousand of them."""

        def ask(client: Any) -> Answer:
            answer = self._read(client, ids)
            # Later than the members: what was evicted before is counted.
            evictions = int(client.stats().get(b'evictions', 0))
            return answer._replace(evictions=evictions)

        return self._ask(ask)

    def _read(self, client: Any, ids: Collection[str]) -> Answer:
        # In portions, each of which is answered well within the timeout.
        prefix: bytes = memcached.MemcachedDriver.MEMBER_PREFIX
        keys = {prefix + each.encode('ascii'): each for each in ids}
        marks = [self._keys.marker.encode(), self._keys.young.encode()]
        found: dict[bytes, Any] = {}
        for portion in _portions([*marks, *keys]):
            found.update(_get_many(client, portion))
        marker, young = (found.pop(each, None) for each in marks)
        return Answer(
            {keys[key]: _token(each) for key, each in found.items()},
            _token(marker) or None,
            young is not None,
        )

    def renew(self, member_id: str, token: bytes) -> Answer:
        """See Server.

        tooz's heartbeat does not await the server's word. This does, so a
        frozen server cannot pass for one that took the beat. Most beats only
        prolong the member, which fails where the server has lost it. Now and
        then one looks whether others renew it, too, and whether the server's
        marker is still there; so does the one after any trouble.
        """
        key = _member_key(member_id)
        looked, self._looked = self._looked, None

        def ask(client: Any) -> Answer:
            if looked and client.touch(key, expire=self._ttl, noreply=False):
                return looked
            self._beats = 0
            return self._look(client, member_id, token)

        answer = self._ask(ask)
        self._beats += 1
        if answer.marker is not None and self._beats % _LOOK_EVERY:
            self._looked = answer
        return answer

    def _look(self, client: Any, member_id: str, token: bytes) -> Answer:
        """Renew a member, and return what was known of it before."""
        answer = self._read(client, [member_id])
        if answer.marker is None:
            self._mark(client)
        key = _member_key(member_id)
        client.set(key, token, expire=self._ttl, noreply=False)
        # What tooz itself wrote when it connected is nobody's.
        before = answer.tokens.get(member_id)
        if before == memcached.MemcachedDriver.STILL_ALIVE:
            return answer._replace(tokens={})
        return answer

    def _mark(self, client: Any) -> None:
        """Note that the server was empty, before anybody relies on it."""
        marker, value = self._keys.marker, secrets.token_bytes(8)
        client.set(
            self._keys.young, b'1', expire=self._settle_time, noreply=False
        )
        if client.add(marker, value, noreply=False):
            return
        # Another member was faster, unless what is there is foreign.
        found = _get_many(client, [marker.encode()]).values()
        if not any(map(_token, found)):
            client.set(marker, value, noreply=False)

    def withdraw(self, member_id: str, token: bytes, ttl: int) -> None:
        """See Server."""
        key = _member_key(member_id)

        def ask(client: Any) -> None:
            found, version = client.gets(key)
            # memcached takes a time in the past for a deletion; this one
            # fails if another process renews the member meanwhile.
            if found != token or not client.cas(
                key, token, version, expire=-1, noreply=False
            ):
                client.touch(key, expire=ttl, noreply=False)

        self._ask(ask)

    def origins(self, ids: Collection[str]) -> dict[str, Any]:
        """See Server."""
        keys = {self._keys.origin(each).encode(): each for each in ids}

        def ask(client: Any) -> dict[str, Any]:
            return {
                keys[key]: found
                for portion in _portions(list(keys))
                for key, found in _get_many(client, portion).items()
            }

        return self._ask(ask)

    def enlist(self, group: str, host: str, origin: Mapping[str, Any]) -> None:
        """See Server."""
        member_id = self._keys.member(group, host)
        shard = self._keys.shard(group, member_id)
        hashed = self._keys.is_hashed(group, host)
        deadline = _tooz.Deadline(_ENLIST_TIMEOUT)
        with self._connection.use(deadline) as connected:
            coordinator = connected.coordinator
            ask = functools.partial(
                self._request.ask, coordinator, deadline=deadline
            )
            with contextlib.suppress(coordination.MemberAlreadyExist):
                self._join(coordinator, ask, shard, host if hashed else None)
            if random.random() < _PRUNE_CHANCE:
                # tooz drops those that have no key any more.
                ask('list', lambda: coordinator.get_members(shard))
            coordinator.client.set(
                self._keys.origin(member_id),
                dict(origin),
                expire=_ORIGIN_TTL,
                noreply=False,
            )

    def _join(
        self,
        coordinator: Any,
        ask: Callable[[str, Callable[[], Any]], Any],
        shard: bytes,
        host: str | None,
    ) -> None:
        """Join a shard, which is there unless this is the first to do so.

        :param host: None: it can be read off the member id
        """
        capabilities = None if host is None else {'host': host}
        join = functools.partial(coordinator.join_group, shard, capabilities)
        try:
            ask('join', join)
        except coordination.GroupNotCreated:
            with contextlib.suppress(coordination.GroupAlreadyExist):
                ask('create', lambda: coordinator.create_group(shard))
            ask('join', join)

    def listing(self, group: str) -> set[str]:
        """See Server."""
        prefix = memcached.MemcachedDriver.GROUP_PREFIX
        keys = [prefix + each for each in self._keys.shards(group)]

        def ask(client: Any) -> set[str]:
            return {
                host
                for portion in _portions(keys, _LISTS)
                for members in _get_many(client, portion).values()
                for host in self._hosts(group, members)
            }

        return self._ask(ask)

    def _hosts(self, group: str, members: Any) -> Iterator[str]:
        """Read one shard; what others may have written there is ignored."""
        entries = members.items() if isinstance(members, dict) else ()
        for member_id, entry in entries:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                more = entry[b'capabilities']
                if more is not None:
                    yield more['host']
                else:
                    yield self._keys.host(group, member_id.decode('ascii'))

    def stats(self) -> dict[str, str]:
        """See Server."""
        found = self._ask(lambda client: client.stats())
        return {_text(name): _text(each) for name, each in found.items()}

    def close(self) -> None:
        """See Server."""
        self._connection.close(wait=self._timeout)

    def _ask(self, call: Callable[[Any], T]) -> T:
        """Call with tooz's client; once more if its connection has ended.

        So a server that was restarted answers at the first question.
        """
        deadline = _tooz.Deadline(self._timeout)
        with (
            self._rest.guard(self.name),
            self._connection.use(deadline) as connected,
        ):
            client = connected.coordinator.client
            try:
                return call(client)
            except (ConnectionError, pymemcache.MemcacheUnexpectedCloseError):
                return call(client)


def new_coordinator(
    address: str, options: Any, ttl: int, member_id: bytes
) -> Any:
    """Return a coordinator that has not been started.

    :param options: those of [memcached]
    :param ttl: seconds after which a member that is not renewed is gone
    """
    return coordination.get_coordinator(
        f'memcached://{address}',
        member_id,
        timeout=int(options.timeout),
        membership_timeout=ttl,
        leader_timeout=ttl,
        lock_timeout=ttl,
        use_ssl=options.use_tls,
        ca_cert=options.ca_file,
        ssl_cert=options.cert_file,
        ssl_key=options.key_file,
        ssl_key_password=options.key_password,
        ssl_check_hostname=options.check_hostname,
    )


def _member_key(member_id: str) -> bytes:
    prefix: bytes = memcached.MemcachedDriver.MEMBER_PREFIX
    return prefix + member_id.encode('ascii')


def _get_many(client: Any, keys: Sequence[bytes]) -> dict[bytes, Any]:
    """Read some keys; None is what tooz cannot decode.

    One foreign value must not hide all the others, nor that it is there.
    """
    try:
        found: dict[bytes, Any] = client.get_many(keys)
    except (coordination.SerializationError, ValueError):
        if len(keys) == 1:
            return dict.fromkeys(keys)
        half = len(keys) // 2
        found = _get_many(client, keys[:half])
        found.update(_get_many(client, keys[half:]))
    return found


def _token(value: Any) -> bytes:
    """Return a value as one of ours; what others have written is empty."""
    return value if isinstance(value, bytes) else b''


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _portions(
    keys: Sequence[bytes], size: int = _PORTION
) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
