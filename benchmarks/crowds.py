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
from typing import Any

import pymemcache

from benchmarks import contestants
from benchmarks import is_up
from benchmarks import meters
from benchmarks import nova
from benchmarks import records
from nova_servicegroup.drivers import _memcached_keys
from nova_servicegroup.tests.harness import hollow
from nova_servicegroup.tests.harness import joiners


class Crowd(abc.ABC):
    """The members of one contestant.

    :ivar server: where they are
    """

    server: Any

    def __init__(
        self, stage: nova.Stage, contestant: contestants.Contestant
    ) -> None:
        self.contestant = contestant
        self.stage = stage
        self._joiners: list[joiners.Joiners] = []

    @abc.abstractmethod
    def fill(self, hosts: list[str]) -> None:
        """Have hosts be members."""

    def join(self, hosts: list[str]) -> Callable[[], None]:
        """Prepare more hosts; return what has them join."""
        file = self.contestant.write(
            self.stage.directory / f'joiners-{self.contestant.slug}.conf',
            {},
            self.stage.places,
        )
        self._joiners.append(joiners.Joiners(file, hosts))
        return self._joiners[-1].go

    def joining_cpu(self) -> float:
        """Return the seconds of CPU of those that joined."""
        pids = [pid for each in self._joiners for pid in each.pids]
        return sum(map(meters.cpu, pids))

    @abc.abstractmethod
    def expire(self, hosts: list[str]) -> None:
        """Have some of the first die."""

    def close(self) -> None:
        """End what was started."""
        for each in self._joiners:
            each.kill()


class ZooKeeper(Crowd):
    """Hollow sessions."""

    def __init__(
        self, stage: nova.Stage, contestant: contestants.Contestant
    ) -> None:
        super().__init__(stage, contestant)
        self.server = stage.zookeeper
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


class Memcached(Crowd):
    """Keys, and their hosts on the lists."""

    def __init__(
        self, stage: nova.Stage, contestant: contestants.Contestant
    ) -> None:
        super().__init__(stage, contestant)
        self.server = stage.our_memcached

    def fill(self, hosts: list[str]) -> None:
        self.stage.join_memcached('compute', hosts, self.contestant.slug)

    def expire(self, hosts: list[str]) -> None:
        keys = _memcached_keys.Keys(self.contestant.slug)
        self.stage.renew_memcached(
            'compute', hosts, keys, self.contestant.session_timeout
        )


class StockMemcached(Crowd):
    """Keys of Nova's own driver."""

    def __init__(
        self, stage: nova.Stage, contestant: contestants.Contestant
    ) -> None:
        super().__init__(stage, contestant)
        self.server = stage.their_memcached
        self._api = stage.stock_api('mc')

    def fill(self, hosts: list[str]) -> None:
        is_up.report_to_stock(self._api, records.make('compute', hosts))

    def join(self, hosts: list[str]) -> Callable[[], None]:
        return lambda: self.fill(hosts)

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
