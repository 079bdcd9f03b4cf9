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

import functools
import random
import secrets
import time

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup import addresses
from nova_servicegroup.drivers import _coordinated
from nova_servicegroup.drivers import _fanout
from nova_servicegroup.drivers import _local
from nova_servicegroup.drivers import _mc_reading
from nova_servicegroup.drivers import _memcached
from nova_servicegroup.drivers import _memcached_keys
from nova_servicegroup.drivers import _names
from nova_servicegroup.drivers import _origin
from nova_servicegroup.drivers import _tooz
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup import reporter
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

Server = _memcached.Server

#: Seconds after which a member looks whether it is still on its group's list.
_LIST_INTERVAL = 60.0


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
            functools.partial(_connect, settings),
        )
        self.servers = settings.addresses
        self.found_within = settings.ttl


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
            _check_tls(conf)
        self.ttl = opts.memcached_ttl(conf)
        self.keys = _memcached_keys.Keys(conf.memcached.key_prefix)

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
    # As oslo.cache's own clients take it.
    places = [each.strip().removeprefix('inet6:') for each in servers]
    return addresses.parse(option, ','.join(places), 11211)


def _cache_servers(conf: cfg.ConfigOpts) -> list[str]:
    """Return oslo.cache's servers if somebody has set them."""
    if 'cache' not in conf or 'memcache_servers' not in conf.cache:
        return []
    if not opts.is_set(conf, 'memcache_servers', 'cache'):
        return []
    return list(conf.cache.memcache_servers)


def _check_tls(conf: cfg.ConfigOpts) -> None:
    """Refuse what tooz would trip over: it always loads a certificate."""
    if conf.memcached.use_tls and not conf.memcached.cert_file:
        raise exceptions.ConfigurationError(
            '[memcached] cert_file',
            conf.memcached.cert_file,
            "the file with this host's certificate, which use_tls needs",
        )


def _connect(settings: Settings) -> _mc_reading.Backend:
    if not settings.addresses:
        LOG.warning(
            'The mc driver has no servers: [DEFAULT] memcached_servers and '
            '[cache] memcache_servers are unset. Every process sees only '
            'itself.'
        )
    return _mc_reading.Backend(
        settings.conf,
        settings.servers(f'reader:{secrets.token_hex(8)}'),
        settings.keys,
        settings.ttl,
    )


class _Attendance:
    """One member of one group, for as long as its service runs."""

    def __init__(self, settings: Settings, host: str, group: str) -> None:
        self._host = host
        self._group = group
        self._id = settings.keys.member(group, host)
        self._token = _names.token()
        self._origin = _origin.origin(settings.conf.servicegroup_driver)
        self._servers = settings.servers(self._id)
        self._beats = _fanout.Fanout(self._servers)
        self._lists = _fanout.Fanout(self._servers)
        self._wait = 2.0 * settings.conf.memcached.timeout
        self._survivors_ttl = 2 * int(settings.conf.report_interval)
        self._listed: dict[str, tuple[bytes | None, float]] = {}
        self._markers: dict[str, bytes | None] = {}
        self._shared = False
        self._leave_on_stop = settings.conf.servicegroup.leave_on_stop
        self.reporter = reporter.Reporter(
            f'Member {host} of group {group} (mc)', self._beat, self._leave
        )

    def start(self, service: services.Service) -> None:
        """Join, as far as it is possible at once, and go on beating."""
        self.reporter.run()
        self.reporter.start(
            service, service.report_interval, self._leave_on_stop
        )

    def stop(self) -> None:
        """Leave the group."""
        self.reporter.stop()

    def _beat(self) -> None:
        """Renew the member on every server; one that takes it is enough."""
        answers = self._beats.ask(
            'beat',
            lambda server: server.renew(self._id, self._token),
            self._wait,
        )
        tokens = {answer.tokens.get(self._id) for _, answer in answers}
        self._shared = bool(tokens - {None, self._token})
        for server, answer in answers:
            self._markers[server.name] = answer.marker
        self._enlist()

    def _enlist(self) -> None:
        """See to it that every server has the host on its list.

        Being on it is not being alive, so nobody waits for long.
        """
        if not any(self._is_due(server) for server in self._servers):
            return
        try:
            self._lists.ask('list', self._enlist_at, self._wait / 2)
        except exceptions.BackendError as error:
            LOG.debug('%s may not be listed yet: %s', self._host, error)

    def _is_due(self, server: _memcached.Server) -> bool:
        """Tell whether the host may not be on a server's list any more."""
        marker, due = self._listed.get(server.name, (None, 0.0))
        return (
            marker is None
            or marker != self._markers.get(server.name)
            or time.monotonic() >= due
        )

    def _enlist_at(self, server: _memcached.Server) -> None:
        if self._is_due(server):
            marker = self._markers.get(server.name)
            server.enlist(self._group, self._host, self._origin)
            due = time.monotonic() + random.uniform(0.5, 1) * _LIST_INTERVAL
            self._listed[server.name] = marker, due

    def _leave(self) -> None:
        """End the membership.

        Where another process of the host renewed it last, or before this
        one's last beat, it is left to that one, which renews it in time if it
        goes on.
        """
        token = b'' if self._shared else self._token
        try:
            self._beats.ask(
                'leave',
                lambda server: server.withdraw(
                    self._id, token, self._survivors_ttl
                ),
                self._wait,
            )
        finally:
            for server in self._servers:
                server.close()
