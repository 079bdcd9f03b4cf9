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


"""Thousands of members, some of which join and some of which die."""

import abc
from collections.abc import Callable
import math
from typing import Any

import pymemcache

from benchmarks import contestants
from benchmarks import crowds
from benchmarks import fleet as fleet_
from benchmarks import is_up
from benchmarks import meters
from benchmarks import nova
from benchmarks import records
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.tests.harness import hollow


#: So many processes have those that join.
_PROCESSES = 10
_FEWEST = 10


class Crowd(abc.ABC):
    """The members of one contestant.

    :ivar server: where they are
    """

    #: The attribute of the stage that it is.
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
        """Have hosts be members."""

    def join(self, first: int, count: int) -> Callable[[], None]:
        """Prepare more hosts; return what has them join."""
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
        """Return the seconds of CPU of those that joined."""
        return sum(meters.cpu(each.pid) for each in self._joining)

    @abc.abstractmethod
    def expire(self, hosts: list[str]) -> None:
        """Have some of the first die."""

    def close(self) -> None:
        """End what was started."""
        for each in self._joining:
            each.close()


class ZooKeeper(Crowd):
    """Hollow sessions."""

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


class Etcd(Crowd):
    """Keys with a lease."""

    place = 'etcd'

    def __init__(
        self, stage: nova.Stage, contestant: contestants.Contestant
    ) -> None:
        super().__init__(stage, contestant)
        self._members = self._crowd()

    def _crowd(self) -> crowds.Etcd | crowds.Redis:
        return crowds.Etcd(self.server, self.contestant.slug, 'compute')

    def fill(self, hosts: list[str]) -> None:
        self._members.join(hosts)

    def expire(self, hosts: list[str]) -> None:
        self._members.expire(hosts, self.contestant.session_timeout)


class Redis(Etcd):
    """Keys that expire."""

    place = 'redis'

    def _crowd(self) -> crowds.Etcd | crowds.Redis:
        return crowds.Redis(self.server, self.contestant.slug, 'compute')


class Memcached(Crowd):
    """Keys, and their hosts on the lists."""

    place = 'our_memcached'

    def fill(self, hosts: list[str]) -> None:
        self.stage.join_memcached('compute', hosts, self.contestant.slug)

    def expire(self, hosts: list[str]) -> None:
        keys = keyspace.Keys(self.contestant.slug)
        self.stage.renew_memcached(
            'compute', hosts, keys, self.contestant.session_timeout
        )


class StockMemcached(Crowd):
    """Keys of Nova's own driver."""

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
        # What is stored stays as it is; only its time is cut.
        client = pymemcache.Client(self.server.address)
        for host in hosts:
            key = self._api._driver.mc.region.key_mangler
            name = f'compute:{host}'
            client.touch(
                key(name) if key else name, self.contestant.session_timeout
            )
        client.close()
