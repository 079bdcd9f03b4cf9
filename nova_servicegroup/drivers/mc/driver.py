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

"""The mc driver."""

import functools
import math
import secrets

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import coordinated
from nova_servicegroup.drivers.common import peers
from nova_servicegroup.drivers.mc import configuration
from nova_servicegroup.drivers.mc import reading
from nova_servicegroup.drivers.mc import registration
from nova_servicegroup.drivers.mc import tooz_server

LOG = logging.getLogger(__name__)

#: Seconds after which a peer is gone that memcached hears no more of.
_PEER_TTL = 10


class MemcachedDriver(coordinated.CoordinatedDriver):
    """Members are keys on every server of a list.

    Options: ``[DEFAULT] memcached_servers``, ``[memcached] timeout``,
    ``key_prefix``, Nova's ``service_down_time`` and ``report_interval``. A
    member is up if any server says so. A dead one is found when its keys
    expire, after service_down_time or three beats, whichever is longer.
    """

    backend = base.MEMCACHED
    cost = base.Cost(
        threads=1,
        files=2,
        spread=False,
        taken=1024,
        setting='the option -c of memcached',
    )

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._settings = settings = configuration.Settings(conf)
        super().__init__(
            conf,
            functools.partial(registration.Registration, settings),
            functools.partial(_connect, settings),
        )
        self.servers = settings.addresses
        self.found_within = settings.ttl

    def peer_group(self, name: str, host: str) -> peers.PeerGroup | None:
        """See base.Driver. It meets on the first server."""
        if not self._settings.addresses:
            return None
        options, address = self.conf.memcached, self._settings.addresses[0]
        make = functools.partial(
            tooz_server.new_coordinator, address, options, _PEER_TTL
        )
        return peers.PeerGroup(
            connections.Connection(
                f'memcached {address}',
                connections.HostFactory(host, make),
                connections.Limits(math.inf, peers.MAX_BACKOFF),
            ),
            f'{options.key_prefix}:{name}',
            _PEER_TTL,
            float(self.conf.servicegroup.read_timeout),
        )


def _connect(settings: configuration.Settings) -> reading.Backend:
    if not settings.addresses:
        LOG.warning(
            'The mc driver has no servers: [DEFAULT] memcached_servers and '
            '[cache] memcache_servers are unset. Every process sees only '
            'itself.'
        )
    return reading.Backend(
        settings.conf,
        settings.servers(f'reader:{secrets.token_hex(8)}'),
        settings.keys,
        settings.ttl,
    )
