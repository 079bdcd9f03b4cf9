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

"""The etcd driver."""

import functools

from oslo_config import cfg

from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import coordinated
from nova_servicegroup.drivers.common import peers
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.etcd import configuration
from nova_servicegroup.drivers.etcd import coordinator
from nova_servicegroup.drivers.etcd import reading
from nova_servicegroup.drivers.etcd import registration


class EtcdDriver(coordinated.CoordinatedDriver):
    """Members are keys, one for each process that joined, with its lease.

    Options: ``[etcd] address``, ``ttl``, ``namespace``, ``username``,
    ``password``, ``use_tls``, ``ca_file``, ``cert_file``, ``key_file``. A
    dead member is found when its lease expires.

    What tooz leaves to others:

    - its heartbeat makes an expired lease anew, and not the keys: each beat
      compares the member's key with the lease, and writes it;
    - it knows one server: see gateway;
    - its join reads the whole group, and so does a look at the members: see
      members.
    """

    backend = base.ETCD
    cost = base.Cost(
        threads=1,
        files=1,
        spread=True,
        taken=65536,
        setting='LimitNOFILE in the unit of etcd',
    )

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        requests.require('etcd', 'etcd3gw', 'etcd')
        self._settings = settings = configuration.Settings(conf)
        super().__init__(
            conf,
            functools.partial(registration.Registration, settings),
            functools.partial(reading.Backend, settings),
        )
        self.servers = settings.servers
        # etcd looks twice in a second, and a leader may take as long.
        self.found_within = settings.ttl + 1.0

    def peer_group(self, name: str, host: str) -> peers.PeerGroup:
        """See base.Driver."""
        return peers.PeerGroup(
            coordinator.peer_connection(self._settings, host),
            f'{self._settings.namespace}:{name}',
            self._settings.ttl,
            float(self.conf.servicegroup.read_timeout),
        )
