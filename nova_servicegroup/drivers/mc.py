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


"""memcached: a member is a key that expires unless it is renewed."""

from collections.abc import Callable, Iterable
import functools
import math
import secrets
from typing import TypeVar

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup import addresses
from nova_servicegroup.drivers import _coordinated
from nova_servicegroup.drivers import _local
from nova_servicegroup.drivers import _memcached
from nova_servicegroup.drivers import _tooz
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import observer
from nova_servicegroup import opts
from nova_servicegroup import reporter
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

T = TypeVar('T')


class MemcachedDriver(_coordinated.CoordinatedDriver):
    """Members are keys on every server of a list.

    Options: ``[DEFAULT] memcached_servers``, ``[memcached] timeout``,
    ``key_prefix``, Nova's ``service_down_time`` and ``report_interval``. A
    member is up if any server says so. A dead one is found when its keys
    expire, after service_down_time or three beats, whichever is longer.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        settings = Settings(conf)
        super().__init__(
            conf,
            functools.partial(_Attendance, settings),
            functools.partial(_Backend, settings),
        )


class Settings:
    """What the options say about servers.

    :raises ConfigurationError: an option cannot be used
    :raises LibraryMissing: servers are named and the client is not there
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.conf = conf
        self.addresses = _addresses(conf)
        if self.addresses:
            _tooz.require('mc', 'pymemcache', 'mc')
        self.ttl = max(
            opts.service_down_time(conf), 3 * int(conf.report_interval)
        )
        self.keys = _memcached.Keys(conf.memcached.key_prefix)

    def servers(self, member_id: str) -> list[_memcached.Server]:
        """Return the servers, for one member or reader."""
        if not self.addresses:
            return [_local.LocalServer(self.ttl)]
        return [
            _memcached.ToozServer(
                address, self.conf, self.keys, member_id, self.ttl
            )
            for address in self.addresses
        ]


def _addresses(conf: cfg.ConfigOpts) -> list[str]:
    """Return the servers of the driver, else those of Nova's cache."""
    servers = conf.memcached_servers
    option = '[DEFAULT] memcached_servers'
    if not servers or servers == ['<None>']:
        option, servers = '[cache] memcache_servers', _cache_servers(conf)
    return addresses.parse(option, ','.join(servers), 11211)


def _cache_servers(conf: cfg.ConfigOpts) -> list[str]:
    """Return oslo.cache's servers if somebody has set them."""
    if 'cache' not in conf or 'memcache_servers' not in conf.cache:
        return []
    if not opts.is_set(conf, 'memcache_servers', 'cache'):
        return []
    return list(conf.cache.memcache_servers)


class _Attendance:
    """One member of one group, for as long as its service runs."""

    def __init__(self, settings: Settings, host: str, group: str) -> None:
        self._host = host
        self._group = group
        self._id = settings.keys.member(group, host)
        self._token = secrets.token_bytes(8)
        self._short_ttl = 2 * int(settings.conf.report_interval)
        self._servers = settings.servers(self._id)
        self._markers: dict[str, bytes | None] = {}
        self._shared = False
        self._leave_on_stop = settings.conf.servicegroup.leave_on_stop
        self._reporter = reporter.Reporter(
            f'Member {host} of group {group}', self._beat, self._leave
        )

    def start(self, service: services.Service) -> None:
        """Join, as far as it is possible at once, and go on beating."""
        self._reporter.run()
        self._reporter.start(
            service, service.report_interval, self._leave_on_stop
        )

    def stop(self) -> None:
        """Leave the group."""
        self._reporter.stop()

    def _beat(self) -> None:
        """Renew the member on every server; one that takes it is enough."""
        befores = _on_each(self._servers, self._renew)
        others = set(befores) - {None}
        self._shared = bool(others - {self._token})

    def _renew(self, server: _memcached.Server) -> bytes | None:
        answer = server.renew(self._id, self._token)
        known = self._markers.get(server.name)
        if answer.marker is None or answer.marker != known:
            self._enlist(server, answer.marker)
        return answer.tokens.get(self._id)

    def _enlist(self, server: _memcached.Server, marker: bytes | None) -> None:
        """Get on the list of a server that may not have this host on it.

        Being on it is not being alive, so it may wait until the next beat.
        """
        try:
            server.enlist(self._group, self._host)
        except exceptions.BackendError as error:
            LOG.debug('%s is not listed yet: %s', self._host, error)
        else:
            self._markers[server.name] = marker

    def _leave(self) -> None:
        """End the membership.

        Where another process of the host has renewed it since this one's
        last beat, it is left to that one, which renews it in time if it
        goes on.
        """
        ttl = self._short_ttl if self._shared else 0
        _on_each(self._servers, lambda server: server.expire(self._id, ttl))
        for server in self._servers:
            server.close()


def _on_each(
    servers: Iterable[_memcached.Server],
    call: Callable[[_memcached.Server], T],
) -> list[T]:
    """Call for every server; return what those that answered returned.

    :raises BackendError: none answered
    """
    answers, error = [], None
    for server in servers:
        try:
            answers.append(call(server))
        except exceptions.BackendError as each:
            error = each
    if error is not None and not answers:
        raise error
    return answers


class _Backend:
    """The reading side of one process: one set of servers, all groups."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._contact = observer.Contact()
        self._servers = settings.servers(f'reader:{secrets.token_hex(8)}')
        if not settings.addresses:
            LOG.warning(
                'The mc driver has no servers: [DEFAULT] '
                'memcached_servers and [cache] memcache_servers are '
                'unset. Every process sees only itself.'
            )

    def reader(self, group: str) -> '_GroupReader':
        """Return a new reader of a group."""
        return _GroupReader(
            self._settings, self._servers, self._contact, group
        )

    def close(self) -> None:
        """See base.Driver."""
        for server in self._servers:
            server.close()

    def check(self) -> str:
        """Ask the servers once; see base.Driver."""
        for server in self._servers:
            server.read([])
        names = ', '.join(server.name for server in self._servers)
        return f'{names}: answered.'


class _GroupReader(_coordinated.GroupReader):
    """Reads one group: those members that somebody has asked about."""

    def __init__(
        self,
        settings: Settings,
        servers: list[_memcached.Server],
        contact: observer.Contact,
        group: str,
    ) -> None:
        super().__init__(
            settings.conf,
            f'Group {group} (mc)',
            self._read_group,
            contact,
            settle_time=2.0 * settings.conf.report_interval,
        )
        self._group = group
        self._keys = settings.keys
        self._servers = servers
        self._ids: dict[str, str] = {}
        self._markers: dict[str, bytes | None] = {}

    def is_up(self, host: str) -> bool:
        """Tell whether host is up. The first time, it must be asked for."""
        if host not in self._ids:
            self._ask(host)
        return super().is_up(host)

    def recall(self, host: str) -> bool | None:
        """See observer.Observer. Nothing is known of who is new."""
        if host not in self._ids:
            return None
        # Not super(), which takes as long as the rest.
        return observer.Observer.recall(self, host)

    def get_all(self) -> list[base.Member]:
        """See base.Driver."""
        for host in self._listed():
            self.is_up(host)
        return base.members(
            self,
            self._group,
            lambda host: (self._ids[host],),
        )

    def _ask(self, host: str) -> None:
        """Begin to ask about a host.

        The first question brings in all that are listed, so that a pass
        over a fleet does not become a round trip for each host.
        """
        with self._lock:
            if not self._ids:
                self._add(self._listed())
                self._due = -math.inf
            elif host not in self._ids:
                self._admit(host)
            self._add([host])

    def _listed(self) -> set[str]:
        """Return the hosts on any server's list; none while all are away."""
        try:
            listings = _on_each(
                self._servers, lambda server: server.listing(self._group)
            )
        except exceptions.BackendError:
            return set()
        return set().union(*listings)

    def _add(self, hosts: Iterable[str]) -> None:
        for host in hosts:
            self._ids[host] = self._keys.member(self._group, host)

    def _admit(self, host: str) -> None:
        """Read one host that the current membership knows nothing of."""
        try:
            if self._members.blind_since is not None:
                raise exceptions.BackendError(self._name, 'blind')
            member_id = self._keys.member(self._group, host)
            if any(answer.tokens for _, answer in self._answers([member_id])):
                self._members.admit(host)
        except exceptions.BackendError:
            self._members.presume(host, self._clock())

    def _read_group(self, wait: float) -> observer.Reading:
        # Other threads may add to it meanwhile; a copy is made at one go.
        ids = self._ids.copy()
        answers = self._answers(list(ids.values()))
        alive = set().union(*(answer.tokens for _, answer in answers))
        witnesses = [
            name
            for name, answer in answers
            if self._remembers(name, answer.marker)
        ]
        return observer.Reading(
            {host for host, each in ids.items() if each in alive},
            emptied=not witnesses,
        )

    def _answers(self, ids: list[str]) -> list[tuple[str, _memcached.Answer]]:
        """Ask every server; return what those say that answer, by name."""
        return _on_each(
            self._servers, lambda server: (server.name, server.read(ids))
        )

    def _remembers(self, name: str, marker: bytes | None) -> bool:
        """Tell whether a server still knows what it knew at the last read."""
        known = self._markers.setdefault(name, marker)
        self._markers[name] = marker
        return marker is not None and marker == known
