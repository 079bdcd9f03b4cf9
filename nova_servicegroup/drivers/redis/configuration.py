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

"""What the options say about redis servers."""

import math
from typing import Any

from oslo_config import cfg

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.redis import clients
from nova_servicegroup.drivers.redis import place

coordination = requests.try_import('tooz.coordination')


class Settings:
    """What the options say about the server, and how to connect to it.

    :ivar servers: the server, or the Sentinels that tell which it is
    :ivar settle_time: seconds within which every live member is renewed
    :ivar timeout: seconds that an answer may take: a server that is mute must
        not use up the time that a member has
    :raises ConfigurationError: an option cannot be used
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.conf = conf
        self._url = place.url(conf)
        self.servers = place.servers(self._url)
        self.ttl = int(conf.redis.ttl)
        self.settle_time = 1.5 * self.ttl
        self.timeout = min(float(conf.servicegroup.read_timeout), self.ttl / 5)

    def connection(self, host: str) -> connections.Connection:
        """Return a connection whose coordinators get member ids of a host.

        A client connects anew by itself, so none is ever replaced.
        """
        return connections.Connection(
            f'redis {",".join(self.servers)}',
            connections.HostFactory(host, self._coordinator),
            connections.Limits(math.inf, self.ttl / 4),
        )

    def _coordinator(self, member_id: bytes) -> Any:
        """Return a coordinator that has not been started."""
        group = self.conf.redis
        made = coordination.get_coordinator(
            self._url,
            member_id,
            membership_timeout=self.ttl,
            namespace=group.namespace,
        )
        tls = {
            'ssl_check_hostname': group.check_hostname,
            'ssl_password': group.key_password,
        }
        clients.guard(
            made,
            self.timeout,
            clients.More(
                {'username': group.username, 'password': group.password},
                {
                    'username': group.sentinel_username,
                    'password': group.sentinel_password,
                },
                tls,
            ),
        )
        return made
