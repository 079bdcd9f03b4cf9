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


"""Who is compared: drivers and the options that they run with."""

import dataclasses
import pathlib

from nova_servicegroup.tests.ministack import config

#: Seconds between two looks of the servers for what has expired.
_LOOKS = {'etcd': 0.5, 'redis': 0.0}


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the servers are for those who use them.

    :ivar transport: RabbitMQ's host and port; empty: as the cell has it
    """

    zookeeper: str
    our_memcached: str
    their_memcached: str
    transport: str = ''
    etcd: str = ''
    redis: str = ''


#: For those who use none.
NOWHERE = Places('', '', '')


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A driver with its options; Nova's defaults, if nothing else is said.

    :ivar name: in the report
    :ivar driver: its name in nova.conf
    :ivar stock: it is Nova's own
    :ivar session_timeout: of zk; of etcd and redis it is the ttl
    """

    name: str
    driver: str
    stock: bool = False
    interval: int = 10
    down_time: int = 60
    session_timeout: int = 10

    @property
    def beat(self) -> float:
        """Seconds between two heartbeats, where a third of a lease counts."""
        return min(float(self.interval), self.session_timeout / 3)

    @property
    def in_cell(self) -> bool:
        """Whether its members have records, and a conductor."""
        return self.driver == 'db'

    @property
    def slug(self) -> str:
        """The name of its files."""
        return ''.join(each if each.isalnum() else '-' for each in self.name)

    def floor(self, tick: float) -> float:
        """Return the seconds after which a dead host may be down at best.

        :param tick: ZooKeeper's, in seconds
        """
        if self.driver == 'zk':
            return self.session_timeout + tick
        if self.driver in _LOOKS:
            return self.session_timeout + _LOOKS[self.driver]
        return float(self.down_time)

    def write(
        self, file: pathlib.Path, base: config.Config, places: Places
    ) -> pathlib.Path:
        """Write its nova.conf."""
        made = config.merge(base, self._options(places))
        if places.transport and 'transport_url' in made['DEFAULT']:
            made['DEFAULT']['transport_url'] = (
                f'rabbit://guest:guest@{places.transport}/'
            )
        config.write(file, made)
        return file

    def _options(self, places: Places) -> config.Config:
        return {
            'DEFAULT': {
                'servicegroup_driver': self.driver,
                'report_interval': self.interval,
                'service_down_time': self.down_time,
                'memcached_servers': places.our_memcached,
            },
            'zookeeper': {
                'address': f'"{places.zookeeper}"',
                'session_timeout': self.session_timeout,
                'namespace': self.slug,
            },
            'etcd': {
                'address': f'"{places.etcd}"',
                'ttl': self.session_timeout,
                'namespace': self.slug,
            },
            'redis': {
                'address': places.redis,
                'ttl': self.session_timeout,
                'namespace': self.slug,
            },
            'memcached': {'key_prefix': self.slug},
            'cache': {
                'enabled': 'true',
                'backend': 'dogpile.cache.pymemcache',
                'memcache_servers': places.their_memcached,
            },
        }
