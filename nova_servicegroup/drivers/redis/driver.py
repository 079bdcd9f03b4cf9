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

"""The redis driver."""

import functools

from oslo_config import cfg

from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import coordinated
from nova_servicegroup.drivers.common import peers
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.redis import configuration
from nova_servicegroup.drivers.redis import reading
from nova_servicegroup.drivers.redis import registration


class RedisDriver(coordinated.CoordinatedDriver):
    """Members are keys that expire, one for each process that joined.

    Options: those of ``[redis]``, or else ``[coordination] backend_url``. A
    dead member is found when its key expires.

    What tooz's driver for redis does, and this one does not: its heartbeat
    never joins again, its readers remove members whose key has expired, it
    tries fifteen times whatever fails, and it takes any data for its own.
    """

    backend = base.REDIS
    cost = base.Cost(
        threads=1,
        files=4,
        spread=False,
        taken=10000,
        setting='maxclients in redis.conf',
    )

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        requests.require('redis', 'redis', 'redis')
        self._settings = settings = configuration.Settings(conf)
        super().__init__(
            conf,
            functools.partial(registration.Registration, settings),
            functools.partial(reading.Backend, settings),
        )
        self.servers = settings.servers
        self.found_within = settings.ttl

    def peer_group(self, name: str, host: str) -> peers.PeerGroup:
        """See base.Driver."""
        return peers.PeerGroup(
            self._settings.connection(host),
            name,
            self._settings.ttl,
            float(self.conf.servicegroup.read_timeout),
        )
