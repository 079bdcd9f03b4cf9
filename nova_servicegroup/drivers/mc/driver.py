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

"""The mc driver: creates its registrations and its readers."""

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import coordinated
from nova_servicegroup.drivers.mc import configuration
from nova_servicegroup.drivers.mc import reading
from nova_servicegroup.drivers.mc import registration
from nova_servicegroup import services

LOG = logging.getLogger(__name__)


class MemcachedDriver(coordinated.CoordinatedDriver):
    """A driver whose members are keys on every configured server.

    Options: ``[DEFAULT] memcached_servers``, ``[memcached] timeout``,
    ``key_prefix``, Nova's ``service_down_time`` and ``report_interval``. A
    member is up if any server has it. A dead member is found when its keys
    expire, after service_down_time or three heartbeats, whichever is longer.
    """

    backend = base.MEMCACHED
    cost = base.Cost(
        threads=0,
        files=2,
        spread=False,
        max_connections=1024,
        setting='the option -c of memcached',
    )

    _settings: configuration.Settings

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__(conf, configuration.Settings(conf))
        # Of several servers, a member and a reader may reach different ones.
        self.readings_agree = len(self.servers or ()) == 1

    def end(self, joined: services.Joined, ago: float = 0.0) -> None:
        """See base.Driver.

        Two processes of a host that run side by side renew the same key. So
        then it is left to the other, or to expire.
        """
        if ago <= self.conf.report_interval:
            super().end(joined, ago)

    def _register(self, host: str, group: str) -> registration.Registration:
        return registration.Registration(self._settings, host, group)

    def _connect(self) -> reading.Backend:
        if not self.servers:
            LOG.warning(
                'The mc driver has no servers: [DEFAULT] memcached_servers '
                'and [cache] memcache_servers are unset. Every process sees '
                'only itself.'
            )
        return reading.Backend(self._settings)
