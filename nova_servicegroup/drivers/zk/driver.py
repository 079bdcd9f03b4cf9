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

"""The zk driver."""

import functools

from oslo_config import cfg

from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import coordinated
from nova_servicegroup.drivers.common import peers
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup.drivers.zk import reading
from nova_servicegroup.drivers.zk import registration


class ZooKeeperDriver(coordinated.CoordinatedDriver):
    """Members are ephemeral nodes, one for each process that joined.

    Options: ``[zookeeper] address``, ``session_timeout``, ``namespace``,
    ``username``, ``password``, ``use_tls``, ``ca_file``, ``check_hostname``,
    ``cert_file``, ``key_file``, ``key_password``. A dead member is
    found when its session expires.
    """

    backend = base.ZOOKEEPER
    cost = base.Cost(
        threads=4,
        files=4,
        spread=True,
        taken=60,
        setting='maxClientCnxns in zoo.cfg (0: no limit)',
    )

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        requests.require('zk', 'kazoo', 'zk')
        self._settings = settings = kazoo_client.Settings(conf)
        super().__init__(
            conf,
            functools.partial(registration.Registration, settings),
            functools.partial(reading.Backend, settings),
        )
        self.servers = settings.hosts
        # The servers look once in a tick, of which a session has at least two.
        self.found_within = 1.5 * settings.session_timeout

    def peer_group(self, name: str, host: str) -> peers.PeerGroup:
        """See base.Driver."""
        return peers.PeerGroup(
            self._settings.connection(host),
            name,
            self._settings.session_timeout,
            float(self.conf.servicegroup.read_timeout),
        )
