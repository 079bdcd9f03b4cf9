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

"""The drivers that are compared, and the options that they run with."""

import dataclasses
import pathlib

from nova_servicegroup.tests.ministack import config

#: Seconds between two checks of a server for what has expired.
_EXPIRY_CHECKS = {'etcd': 0.5, 'redis': 0.0}


@dataclasses.dataclass(frozen=True)
class Places:
    """The addresses of the servers, as their clients see them.

    :ivar transport: RabbitMQ's host and port; empty: as the cell has it
    """

    zookeeper: str
    our_memcached: str
    their_memcached: str
    transport: str = ''
    etcd: str = ''
    redis: str = ''


#: For contestants that use none of these servers.
NOWHERE = Places('', '', '')


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A driver with its options, by default those of Nova.

    :ivar name: its name in the report
    :ivar driver: its name in nova.conf
    :ivar stock: it is Nova's own
    :ivar session_timeout: that of zk, or the ttl of etcd and redis
    """

    name: str
    driver: str
    stock: bool = False
    interval: int = 10
    down_time: int = 60
    session_timeout: int = 10

    @property
    def beat(self) -> float:
        """Seconds between two heartbeats of a driver with leases."""
        return min(float(self.interval), self.session_timeout / 3)

    @property
    def in_cell(self) -> bool:
        """Whether its members need records and a conductor."""
        return self.driver == 'db'

    @property
    def slug(self) -> str:
        """The name of its files."""
        return ''.join(each if each.isalnum() else '-' for each in self.name)

    def floor(self, tick: float) -> float:
        """Return the fewest seconds after which a dead host can be down.

        :param tick: ZooKeeper's, in seconds
        """
        checks = {'zk': tick, **_EXPIRY_CHECKS}
        if self.driver in checks:
            return self.session_timeout + checks[self.driver]
        return float(self.down_time)

    def write(
        self, file: pathlib.Path, base: config.Config, places: Places
    ) -> pathlib.Path:
        """Write its nova.conf."""
        options = config.merge(base, self._options(places))
        if places.transport and 'transport_url' in options['DEFAULT']:
            options['DEFAULT']['transport_url'] = (
                f'rabbit://guest:guest@{places.transport}/'
            )
        config.write(file, options)
        return file

    def _options(self, places: Places) -> config.Config:
        leases = {'namespace': self.slug, 'ttl': self.session_timeout}
        return {
            'DEFAULT': {
                'servicegroup_driver': self.driver,
                'report_interval': self.interval,
                'service_down_time': self.down_time,
                'memcached_servers': places.our_memcached,
            },
            # There is no message queue for them to check.
            'servicegroup': {'checks': ''},
            'zookeeper': {
                'address': f'"{places.zookeeper}"',
                'session_timeout': self.session_timeout,
                'namespace': self.slug,
            },
            'etcd': {'address': f'"{places.etcd}"', **leases},
            'redis': {'address': places.redis, **leases},
            'memcached': {'key_prefix': self.slug},
            'cache': {
                'enabled': 'true',
                'backend': 'dogpile.cache.pymemcache',
                'memcache_servers': places.their_memcached,
            },
        }
