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

"""Contestants whose hosts renew their memberships, each with a server."""

from collections.abc import Callable, Sequence
import contextlib
import dataclasses
import functools
import time
from typing import Any

from benchmarks import contestants
from benchmarks import fleet as fleet_
from benchmarks import meters
from benchmarks import nova
from benchmarks import records
from nova_servicegroup.tests.harness import hollow
from nova_servicegroup.tests.harness import zookeeper as zookeeper_

#: So many real hosts share a process.
SHARE = 1000


class Side:
    """One contestant, its server and its hosts.

    :param operations: reads the server's counter
    :param grow: adds hosts from one number up to another; returns the
        processes that they are in
    """

    def __init__(
        self,
        name: str,
        server: Any,
        operations: Callable[[Any], float],
        grow: Callable[[int, int], list[int]],
    ) -> None:
        self.name = name
        self._server = server
        self._operations = operations
        self._grow = grow
        self._pids: list[int] = []
        self.hosts = 0
        #: What is counted in a second while there are no hosts.
        self.idle: meters.Reading = {}

    def grow(self, hosts: int) -> None:
        """Have so many hosts."""
        self._pids += self._grow(self.hosts, hosts)
        self.hosts = hosts

    def read(self) -> meters.Reading:
        """Return the meters."""
        return {
            'operations': self._operations(self._server),
            'server': 1e6 * meters.cpu(self._server.pid),
            'member': 1e6 * sum(map(meters.cpu, self._pids)),
            'seconds': time.monotonic(),
        }


def session(interval: int) -> int:
    return interval if interval > 3 else 4


class Field(contextlib.ExitStack):
    """Contestants that are measured side by side, and end together."""

    def __init__(self, stage: nova.Stage, interval: int) -> None:
        super().__init__()
        self._stage = stage
        self._interval = interval

    def memcached(self, names: Sequence[str]) -> list[Side]:
        """Have a server for each, and real hosts."""
        return [self._memcached(each) for each in names]

    def _memcached(self, name: str) -> Side:
        contestant = contestants.Contestant(
            name, 'mc', name != 'our mc', self._interval, 6 * self._interval
        )
        server = self._stage.new_memcached(f'renewals-{contestant.slug}')
        places = dataclasses.replace(
            self._stage.places,
            our_memcached=server.address,
            their_memcached=server.address,
        )
        bare = server.address if name == 'mc floor' else ''
        grow = functools.partial(
            self._join, contestant, places, bare=bare, shared=True
        )
        return Side(name, server, meters.memcached_operations, grow)

    def zookeeper(self) -> list[Side]:
        """Have hollow hosts; those of the floor only ping."""
        return [
            self._hollow('our zk', self._stage.zookeeper, verify=True),
            self._hollow('zk floor', self._stage.new_zookeeper('bare-zk')),
        ]

    def _hollow(
        self, name: str, server: zookeeper_.ZooKeeper, verify: bool = False
    ) -> Side:
        members = hollow.HollowProcess(
            server.address,
            'renewals',
            'compute',
            session(self._interval),
            verify=verify,
        )
        self.callback(members.close)

        def grow(first: int, last: int) -> list[int]:
            members.join(records.hosts(last - first, first))
            return []

        return Side(name, server, meters.zookeeper_operations, grow)

    def leased(self, names: Sequence[str]) -> list[Side]:
        """Have a server of etcd or redis for each, and real hosts."""
        return [self._leased(each) for each in names]

    def _leased(self, name: str) -> Side:
        driver = 'etcd' if 'etcd' in name else 'redis'
        contestant = contestants.Contestant(
            name,
            driver,
            interval=self._interval,
            session_timeout=session(self._interval),
        )
        make = getattr(self._stage, f'new_{driver}')
        server = make(f'renewals-{contestant.slug}')
        places = dataclasses.replace(
            self._stage.places, **{driver: server.address}
        )
        grow = functools.partial(
            self._join,
            contestant,
            places,
            bare=server.address if 'floor' in name else '',
            shared=True,
        )
        operations = getattr(meters, f'{driver}_operations')
        return Side(name, server, operations, grow)

    def real(self) -> list[Side]:
        """Have real hosts in ZooKeeper."""
        contestant = contestants.Contestant(
            'our zk, real',
            'zk',
            interval=self._interval,
            session_timeout=session(self._interval),
        )
        server = self._stage.new_zookeeper('real-zk')
        places = dataclasses.replace(
            self._stage.places, zookeeper=server.address
        )
        grow = functools.partial(self._join, contestant, places)
        name = contestant.name
        return [Side(name, server, meters.zookeeper_operations, grow)]

    def _join(
        self,
        contestant: contestants.Contestant,
        places: contestants.Places,
        first: int,
        last: int,
        **how: Any,
    ) -> list[int]:
        """Have real hosts join; return the processes that they are in."""
        file = contestant.write(
            self._stage.directory / f'renewals-{contestant.slug}-{last}.conf',
            {},
            places,
        )
        shares = [
            min(SHARE, last - start) for start in range(first, last, SHARE)
        ]
        fleet = fleet_.Fleet(contestant, file, first, shares, **how)
        self.enter_context(fleet)
        fleet.wait()
        return [fleet.pid]
