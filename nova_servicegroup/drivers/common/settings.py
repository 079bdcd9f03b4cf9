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

"""The settings of a driver on tooz, from its options."""

import math

from oslo_config import cfg

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import peers
from nova_servicegroup.drivers.common import starting


class Settings(starting.Factory):
    """The settings of one driver; makes its connections and coordinators.

    :ivar addresses: the servers, each as host:port
    :ivar expiry: seconds after which a member that is not renewed is gone
    :ivar settle_time: seconds within which every live member is renewed
    """

    #: The name of the driver, and that of its servers in errors.
    driver = backend_name = ''
    #: The beginning of the names of groups of peers.
    peer_prefix = ''

    def __init__(
        self, conf: cfg.ConfigOpts, addresses: list[str], expiry: int
    ) -> None:
        self.conf = conf
        self.addresses = addresses
        self.expiry = expiry
        self.backend = f'{self.backend_name} {",".join(addresses)}'
        self.settle_time = 1.5 * expiry
        # A client that reconnects by itself is not replaced.
        self.limits = connections.Limits(math.inf, expiry / 4)

    @property
    def found_within(self) -> float:
        """See base.Driver."""
        return self.expiry

    @property
    def kept_for(self) -> float:
        """See base.Driver."""
        return self.expiry

    def new_id(self, host: str) -> bytes:
        """See starting.Factory."""
        return naming.member_id(host, self.conf.servicegroup.domain)

    def member_connection(self, host: str) -> connections.Connection:
        """Return a connection for a member."""
        return connections.Connection(self, host, self.limits)

    def reader_connection(self) -> connections.Connection:
        """Return a connection for all readers of a process."""
        return connections.Connection(self, 'reader', self.limits)

    def for_peers(self) -> starting.Factory:
        """Return the factory of the coordinators of peers."""
        return self

    def peer_group(self, name: str, host: str) -> peers.PeerGroup:
        """See base.Driver."""
        return peers.PeerGroup(
            connections.Connection(self.for_peers(), host, self.limits),
            f'{self.peer_prefix}{name}',
            self.expiry,
            float(self.conf.servicegroup.read_timeout),
        )
