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
import functools
from importlib import metadata
import math
import random
import secrets
import ssl
import time
from typing import Any, TypeVar

from oslo_config import cfg

from nova_servicegroup.drivers.common import backoff
from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.drivers.mc import storage
from nova_servicegroup.drivers.mc import values
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

#: Of so many beats, one looks at the server closely. A key is kept for three
#: beats at least.
_LOOK_EVERY = 3

#: What is noted of a server: that it was emptied, or has lost a live member.
_NEW, _LOST = b'1', b'2'

#: How often a member that looks whether it is listed has its shard rid of
#: those that are gone.
_PRUNE_CHANCE = 0.001


class ToozServer:
    """A server behind a tooz coordinator.

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
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f'memcached {address}'
        self._clock = clock
        self._timeout = int(conf.memcached.timeout)
        self._ttl = ttl
        # In which every live member has been renewed.
        self._settle_time = 2 * int(conf.report_interval) + 1
        self._keys = keys
        patience = min(5.0, conf.report_interval / 2)
        self._connection = connections.Connection(
            self.name,
            _Factory(address, conf.memcached, ttl, member_id),
            connections.Limits(math.inf, patience),
        )
        self._request = requests.Request(self.name)
        self._rest = backoff.Rest(patience)
        # What the last close look has found, and the beats since.
        self._looked: storage.Answer | None = None
        self._beats = 0
        # Until when the server must still have the member.
        self._kept_until: float | None = None

    def read(self, ids: Collection[str]) -> storage.Answer:
        """See storage.Server. A round trip for each few thousand of them."""

        def ask(client: Any) -> storage.Answer:
            answer = self._read(client, ids)
            # Later than the members: what was evicted before is counted.
            evictions = int(client.stats().get(b'evictions', 0))
            return answer._replace(evictions=evictions)

        return self._ask(ask)

    def _read(self, client: Any, ids: Collection[str]) -> storage.Answer:
        # In portions, each of which is answered well within the timeout.
        prefix: bytes = memcached.MemcachedDriver.MEMBER_PREFIX
        keys = {prefix + each.encode('ascii'): each for each in ids}
        marks = [self._keys.marker.encode(), self._keys.young.encode()]
        found: dict[bytes, Any] = {}
        for portion in _portions([*marks, *keys]):
            found.update(client.get_many(portion))
        marker, young = (found.pop(each, None) for each in marks)
        return storage.Answer(
            {keys[key]: _token(each) for key, each in found.items()},
            _token(marker) or None,
            young is not None,
            young == _LOST,
        )

    def renew(self, member_id: str, token: bytes) -> storage.Answer:
        """See storage.Server.

        tooz's heartbeat does not await the server's word. This does, so a
        frozen server cannot pass for one that took the beat. Most beats only
        prolong the member, which fails where the server has lost it. Now and
        then one looks whether others renew it, too, and whether the server's
        marker is still there; so does the one after any trouble.
        """
        key = _member_key(member_id)
        looked, self._looked = self._looked, None

        def ask(client: Any) -> storage.Answer:
            if looked and client.touch(key, expire=self._ttl, noreply=False):
                return looked
            self._beats = 0
            return self._look(client, member_id, token)

        try:
            answer = self._ask(ask)
        except exceptions.BackendError:
            # Its fault, if it has not got the member the next time.
            if self._kept_until is not None:
                self._kept_until = math.inf
            raise
        self._kept_until = self._clock() + self._ttl
        self._beats += 1
        if answer.marker is not None and self._beats % _LOOK_EVERY:
            self._looked = answer
        return answer

    def _look(
        self, client: Any, member_id: str, token: bytes
    ) -> storage.Answer:
        """Renew a member, and return what was known of it before."""
        answer = self._read(client, [member_id])
        if answer.marker is None:
            self._mark(client)
        elif member_id not in answer.tokens and self._has_lost():
            self._note(client, _LOST)
        key = _member_key(member_id)
        client.set(key, token, expire=self._ttl, noreply=False)
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

    def _has_lost(self) -> bool:
        """Tell whether it is the server that has lost a live member.

        And not the member that has not renewed itself for long.
        """
        return self._kept_until is not None and (
            self._clock() < self._kept_until
        )

    def _note(self, client: Any, what: bytes) -> None:
        """Have readers know for a while that it misses live members."""
        client.set(
            self._keys.young, what, expire=self._settle_time, noreply=False
        )

    def withdraw(self, member_id: str, token: bytes, ttl: int) -> None:
        """See storage.Server."""
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
        """See storage.Server."""
        keys = {self._keys.origin(each).encode(): each for each in ids}

        def ask(client: Any) -> dict[str, Any]:
            return {
                keys[key]: found
                for portion in _portions(list(keys))
                for key, found in client.get_many(portion).items()
            }

        return self._ask(ask)

    def enlist(self, group: str, host: str, origin: Mapping[str, Any]) -> None:
        """See storage.Server."""
        member_id = self._keys.member(group, host)
        shard = self._keys.shard(group, member_id)
        hidden = self._keys.is_hidden(group, host)
        deadline = requests.Deadline(_ENLIST_TIMEOUT)
        with self._connection.use(deadline) as connected:
            coordinator = connected.coordinator
            ask = functools.partial(
                self._request.ask, coordinator, deadline=deadline
            )
            with contextlib.suppress(coordination.MemberAlreadyExist):
                self._join(coordinator, ask, shard, host if hidden else None)
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
        """See storage.Server."""
        prefix = memcached.MemcachedDriver.GROUP_PREFIX
        keys = [prefix + each for each in self._keys.shards(group)]

        def ask(client: Any) -> set[str]:
            return {
                host
                for portion in _portions(keys, _LISTS)
                for members in client.get_many(portion).values()
                for host in self._hosts(group, members)
            }

        return self._ask(ask)

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
        found = self._ask(lambda client: client.stats())
        return {_text(name): _text(each) for name, each in found.items()}

    def close(self) -> None:
        """See storage.Server."""
        self._connection.close(wait=self._timeout)

    def _ask(self, call: Callable[[Any], T]) -> T:
        """Call with tooz's client; once more if its connection has ended.

        So a server that was restarted answers at the first question.
        """
        deadline = requests.Deadline(self._timeout)
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
    :raises ConfigurationError: TLS is wanted, and tooz does not do it
    :raises OSError: a file of TLS cannot be used
    """
    made = coordination.get_coordinator(
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
        # None would have a locked key ask at the terminal.
        ssl_key_password=options.key_password or '',
        ssl_check_hostname=options.check_hostname,
    )
    if options.use_tls:
        _check_tls(getattr(made, 'ssl_context', None), options)
    values.guard(made)
    return made


def _check_tls(context: ssl.SSLContext | None, options: Any) -> None:
    """Check that tooz has not ignored what it was told of TLS."""
    if (
        context is None
        or context.verify_mode is not ssl.CERT_REQUIRED
        or context.check_hostname is not options.check_hostname
    ):
        raise exceptions.ConfigurationError(
            '[memcached] use_tls',
            True,
            f'false, with tooz {metadata.version("tooz")}, which connects '
            'without TLS; true from tooz 7.0 on: '
            'pip install nova-servicegroup[mc-tls]',
        )


class _Factory(connections.Factory):
    """Makes the coordinators of a member, or of a reader, on one server."""

    def __init__(
        self, address: str, options: Any, ttl: int, member_id: str
    ) -> None:
        self._address = address
        self._options = options
        self._ttl = ttl
        self._member_id = member_id

    def new_id(self) -> bytes:
        """See connections.Factory. It is always the same one."""
        return self._member_id.encode('ascii')

    def make(self, member_id: bytes) -> Any:
        """See connections.Factory.

        tooz beats once to connect, and so hides who else renews the member.
        This one looks instead.
        """
        made = new_coordinator(
            self._address, self._options, self._ttl, member_id
        )
        made.heartbeat = lambda: made.client.get(_member_key(self._member_id))
        return made

    def stop(self, coordinator: Any) -> None:
        """See connections.Factory.

        The coordinator's own stop would delete the member, which other
        processes of the host may still be renewing.
        """
        coordinator.client.close()


def _member_key(member_id: str) -> bytes:
    prefix: bytes = memcached.MemcachedDriver.MEMBER_PREFIX
    return prefix + member_id.encode('ascii')


def _token(value: Any) -> bytes:
    """Return a value as one of ours; what others have written is empty."""
    return value if isinstance(value, bytes) else b''


def _text(value: Any) -> str:
    return (
        value.decode(errors='replace')
        if isinstance(value, bytes)
        else str(value)
    )


def _portions(
    keys: Sequence[bytes], size: int = _PORTION
) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
