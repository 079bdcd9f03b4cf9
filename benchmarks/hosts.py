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

"""Members by the thousand, for the part storm: some join and some die."""

import abc
from collections.abc import Callable
import math
from typing import Any

import pymemcache

from benchmarks import contestants
from benchmarks import fleet as fleet_
from benchmarks import is_up
from benchmarks import keys
from benchmarks import meters
from benchmarks import nova
from benchmarks import records
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.tests.harness import hollow


#: The most processes of joining hosts, and the fewest hosts of each.
_PROCESSES = 10
_FEWEST = 10


class Members(abc.ABC):
    """The members of one contestant.

    :ivar server: the server that keeps them
    """

    #: The stage's attribute with the server.
    place: str

    def __init__(
        self, stage: nova.Stage, contestant: contestants.Contestant
    ) -> None:
        self.contestant = contestant
        self.stage = stage
        self.server: Any = getattr(stage, self.place)
        self._joining: list[fleet_.Fleet] = []

    @abc.abstractmethod
    def fill(self, hosts: list[str]) -> None:
        """Add hosts as members."""

    def join(self, first: int, count: int) -> Callable[[], None]:
        """Prepare more hosts; return the function that lets them join."""
        file = self.contestant.write(
            self.stage.directory / f'joining-{self.contestant.slug}.conf',
            {},
            self.stage.places,
        )
        processes = min(_PROCESSES, math.ceil(count / _FEWEST))
        shares = [
            len(range(each, count, processes)) for each in range(processes)
        ]
        fleet = fleet_.Fleet(
            self.contestant, file, first, shares, at_once=True
        )
        self._joining.append(fleet)
        return fleet.wait

    def joining_cpu(self) -> float:
        """Return the seconds of CPU of the hosts that joined."""
        return sum(meters.cpu(each.pid) for each in self._joining)

    @abc.abstractmethod
    def expire(self, hosts: list[str]) -> None:
        """Let some of the first hosts die."""

    def close(self) -> None:
        """End all processes."""
        for each in self._joining:
            each.close()


class ZooKeeper(Members):
    """Members that are hollow sessions of ZooKeeper."""

    place = 'zookeeper'

    def __init__(
        self, stage: nova.Stage, contestant: contestants.Contestant
    ) -> None:
        super().__init__(stage, contestant)
        self._hollow = hollow.HollowProcess(
            self.server.address,
            contestant.slug,
            'compute',
            contestant.session_timeout,
        )

    def fill(self, hosts: list[str]) -> None:
        self._hollow.join(hosts)

    def expire(self, hosts: list[str]) -> None:
        self._hollow.kill(hosts)

    def close(self) -> None:
        self._hollow.close()
        super().close()


class Etcd(Members):
    """Members that are keys with a lease."""

    place = 'etcd'
    _keys: type[keys.Etcd] | type[keys.Redis] = keys.Etcd

    def __init__(
        self, stage: nova.Stage, contestant: contestants.Contestant
    ) -> None:
        super().__init__(stage, contestant)
        self._members = self._keys(self.server, contestant.slug, 'compute')

    def fill(self, hosts: list[str]) -> None:
        self._members.join(hosts)

    def expire(self, hosts: list[str]) -> None:
        self._members.expire(hosts, self.contestant.session_timeout)


class Redis(Etcd):
    """Members that are keys that expire."""

    place = 'redis'
    _keys = keys.Redis


class Memcached(Members):
    """Members of our mc driver: their keys, and entries in its lists."""

    place = 'our_memcached'

    def fill(self, hosts: list[str]) -> None:
        self.stage.join_memcached('compute', hosts, self.contestant.slug)

    def expire(self, hosts: list[str]) -> None:
        names = keyspace.Keys(self.contestant.slug)
        self.stage.renew_memcached(
            'compute', hosts, names, self.contestant.session_timeout
        )


class StockMemcached(Members):
    """Members that are keys of Nova's own mc driver."""

    place = 'their_memcached'

    def __init__(
        self, stage: nova.Stage, contestant: contestants.Contestant
    ) -> None:
        super().__init__(stage, contestant)
        self._api = stage.stock_api('mc')

    def fill(self, hosts: list[str]) -> None:
        is_up.report_to_stock(self._api, records.make('compute', hosts))

    def join(self, first: int, count: int) -> Callable[[], None]:
        return lambda: self.fill(records.hosts(count, first))

    def expire(self, hosts: list[str]) -> None:
        # The values stay; only their expiry changes.
        client = pymemcache.Client(self.server.address)
        mangle = self._api._driver.mc.region.key_mangler or str
        for host in hosts:
            key = mangle(f'compute:{host}')
            client.touch(key, self.contestant.session_timeout)
        client.close()
