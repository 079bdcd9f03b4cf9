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

#: The most real hosts in a process.
SHARE = 1000
#: Of each driver: its server, and the fields of Places with the address.
_SERVERS = {
    'mc': ('memcached', ('our_memcached', 'their_memcached')),
    'etcd': ('etcd', ('etcd',)),
    'redis': ('redis', ('redis',)),
    'zk': ('zookeeper', ('zookeeper',)),
}


class Side:
    """One contestant, its server and its hosts.

    :param operations: reads the server's counter
    :param grow: adds hosts from one number up to another; returns the ids of
        their processes
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
        """Add hosts until there are so many."""
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
    """Return the session timeout, or ttl, for a report_interval."""
    return interval if interval > 3 else 4


class Field(contextlib.ExitStack):
    """Contestants that are measured side by side, and end together."""

    def __init__(self, stage: nova.Stage, interval: int) -> None:
        super().__init__()
        self._stage = stage
        self._interval = interval

    def real(self, names: Sequence[str]) -> list[Side]:
        """Start a server for each contestant; its hosts are real.

        Those of a floor are loops of the bare client.
        """
        return [self._real(each) for each in names]

    def _real(self, name: str) -> Side:
        driver = next(each for each in _SERVERS if each in name)
        contestant = contestants.Contestant(
            name,
            driver,
            name in ('stock mc', 'mc floor'),
            self._interval,
            6 * self._interval,
            session(self._interval),
        )
        kind, fields = _SERVERS[driver]
        make_server = getattr(self._stage, f'new_{kind}')
        server = make_server(f'renewals-{contestant.slug}')
        places = dataclasses.replace(
            self._stage.places, **dict.fromkeys(fields, server.address)
        )
        grow = functools.partial(
            self._join,
            contestant,
            places,
            bare=server.address if 'floor' in name else '',
            shared=driver != 'zk',
        )
        return Side(name, server, getattr(meters, f'{kind}_operations'), grow)

    def sessions(self) -> list[Side]:
        """Return hosts that are sessions of ZooKeeper.

        Those of the floor only ping.
        """
        return [
            self._session('our zk', self._stage.zookeeper, verify=True),
            self._session('zk floor', self._stage.new_zookeeper('bare-zk')),
        ]

    def _session(
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

    def _join(
        self,
        contestant: contestants.Contestant,
        places: contestants.Places,
        first: int,
        last: int,
        **how: Any,
    ) -> list[int]:
        """Let real hosts join; return the id of the process they are in."""
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
