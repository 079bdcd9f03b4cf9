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

"""Settings of the mc driver, from its options."""

import math

from oslo_config import cfg

from nova_servicegroup.drivers.common import addresses
from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import peers
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import tls
from nova_servicegroup.drivers.mc import coordinators
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.drivers.mc import storage
from nova_servicegroup.drivers.mc import tooz_server
from nova_servicegroup import exceptions
from nova_servicegroup import opts

#: Seconds after which a peer that is not renewed is gone.
_PEER_TTL = 10


class Settings:
    """Settings of the mc driver, from its options.

    :ivar addresses: of the servers, each as host:port; empty: members are in
        the memory of each process
    :raises ConfigurationError: an option cannot be used
    :raises LibraryMissing: servers are named and the client is missing
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.conf = conf
        self.addresses = _addresses(conf)
        if self.addresses:
            requests.require(
                'mc',
                'pymemcache',
                'mc',
                'tooz.drivers.memcached',
                'pymemcache.exceptions',
            )
            if conf.memcached.use_tls:
                _check_tls(conf, self.addresses[0])
        self.ttl = opts.memcached_ttl(conf)
        self.found_within = float(self.ttl)
        # Its clock has whole seconds.
        self.kept_for = self.ttl - 1.0
        self.keys = keyspace.Keys(conf.memcached.key_prefix)

    def servers(self, member_id: str) -> list[storage.Server]:
        """Return the servers, for one member or reader."""
        if not self.addresses:
            return [storage.LocalServer(self.ttl)]
        return [
            tooz_server.ToozServer(
                address, self.conf, self.keys, member_id, self.ttl
            )
            for address in self.addresses
        ]

    def peer_group(self, name: str, host: str) -> peers.PeerGroup | None:
        """See base.Driver. Peers meet on the first server."""
        if not self.addresses:
            return None
        options = self.conf.memcached
        factory = coordinators.Factory(self.addresses[0], options, _PEER_TTL)
        return peers.PeerGroup(
            connections.Connection(
                factory, host, connections.Limits(math.inf, 5.0)
            ),
            f'{options.key_prefix}:{name}',
            _PEER_TTL,
            float(self.conf.servicegroup.read_timeout),
        )


def _addresses(conf: cfg.ConfigOpts) -> list[str]:
    """Return the driver's servers, else those of oslo.cache, if configured."""
    option, servers = '[DEFAULT] memcached_servers', conf.memcached_servers
    if not servers or servers == ['<None>']:
        option, servers = '[cache] memcache_servers', []
        if opts.is_set(conf, 'memcache_servers', 'cache'):
            servers = conf.cache.memcache_servers
    return addresses.parse(option, ','.join(servers), 11211)


def _check_tls(conf: cfg.ConfigOpts, address: str) -> None:
    """Refuse TLS options that would fail later, or be ignored."""
    options = conf.memcached
    if not options.cert_file:
        # tooz always loads a certificate.
        raise exceptions.ConfigurationError(
            '[memcached] cert_file',
            options.cert_file,
            "the file with this host's certificate, which use_tls needs",
        )
    tls.context('memcached', tls.files(options))
    coordinators.Factory(address, options, 1).make(b'check')
