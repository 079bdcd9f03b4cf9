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


"""What a host costs that renews its membership, in ZooKeeper and memcached."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import functools
import operator
import time
from typing import Any

from benchmarks import contestants
from benchmarks import fleet as fleet_
from benchmarks import meters
from benchmarks import nova
from benchmarks import records
from benchmarks import report
from nova_servicegroup.tests.harness import hollow
from nova_servicegroup.tests.harness import zookeeper as zookeeper_

_SIZES = (1000, 5000, 10000)
#: So many real ZooKeeper members, of five threads each, fit on a machine.
_REAL = 400
_SHARE = 1000
_HEADERS = [
    'hosts',
    'driver',
    'operations',
    'server CPU, us',
    'member CPU, us',
    'operations, ratio to the floor',
    'server CPU, ratio to the floor',
]
_NOTES = """For a host and second, in {window:g} s in which nobody comes or
goes; report_interval is {interval} s, the session timeout {session} s.
Operations are counted by the servers: keys read and written by memcached,
requests and pings received by ZooKeeper. CPU is user and system time, less
what an idle server spends.

Hosts of mc are real services, which join through Nova's API; {share} share a
process, its CPU time, and a few threads for their timers. Its floor is a loop
that sets one key for each host, over a connection of its own. They go one
after the other. Hosts of zk are hollow, each with a session of its own that
pings and reads its node as often as a real one; {real} real ones are in the
row called so, and tell what the member itself spends. Their floor is a session
that only pings; it goes beside them, with a server of its own.
"""
_MEMCACHED = ('stock mc', 'our mc', 'mc floor')
_FLOORS = {
    'stock mc': 'mc floor',
    'our mc': 'mc floor',
    'our zk': 'zk floor',
    'our zk, real': 'zk floor',
}


class _Side:
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


def run(stage: nova.Stage, quick: bool) -> list[report.Table]:
    """Return the part's tables."""
    sizes = (50,) if quick else _SIZES
    real = 10 if quick else _REAL
    interval = 2 if quick else 10
    window = 2.0 if quick else 15.0
    # Few enough may go at once, which takes less time.
    together = [_MEMCACHED] if quick else [(each,) for each in _MEMCACHED]
    makers: list[tuple[Callable[[_Field], list[_Side]], Sequence[int]]] = [
        *(
            (operator.methodcaller('memcached', names), sizes)
            for names in together
        ),
        (_Field.zookeeper, sizes),
        (_Field.real, (real,)),
    ]
    found: dict[tuple[int, str], meters.Reading] = {}
    for make, wanted in makers:
        with _Field(stage, interval) as field:
            sides = make(field)
            for side, read in zip(sides, _watch(sides, window), strict=True):
                side.idle = read
            for size in wanted:
                found.update(_measure(sides, size, interval, window))
    notes = _NOTES.format(
        window=window,
        interval=interval,
        session=_session(interval),
        real=real,
        share=_SHARE,
    )
    return [
        report.Table(
            'renewals',
            'A host that renews its membership, in one second',
            _HEADERS,
            [
                _row(found, *key)
                for key in sorted(found, key=operator.itemgetter(0))
            ],
            notes,
        )
    ]


def _session(interval: int) -> int:
    return interval if interval > 3 else 4


def _measure(
    sides: Sequence[_Side], size: int, interval: int, window: float
) -> Iterator[tuple[tuple[int, str], meters.Reading]]:
    for side in sides:
        side.grow(size)
    time.sleep(fleet_.FIRST_BEAT + interval)
    for side, read in zip(sides, _watch(sides, window), strict=True):
        yield (
            (size, side.name),
            {
                name: max(0.0, value - side.idle[name]) / size
                for name, value in read.items()
            },
        )


def _watch(sides: Sequence[_Side], window: float) -> list[meters.Reading]:
    """Return what each side counts in a second."""
    before = [side.read() for side in sides]
    time.sleep(window)
    found = []
    for side, first in zip(sides, before, strict=True):
        read = meters.difference(side.read(), first)
        seconds = read.pop('seconds')
        found.append({name: each / seconds for name, each in read.items()})
    return found


def _row(
    found: dict[tuple[int, str], meters.Reading], size: int, name: str
) -> list[Any]:
    read = found[size, name]
    floor = found.get((size, _FLOORS.get(name, name)))
    return [
        size,
        name,
        read['operations'],
        read['server'],
        read['member'] if read['member'] else None,
        read['operations'] / floor['operations'] if floor else None,
        read['server'] / floor['server']
        if floor and floor['server']
        else None,
    ]


class _Field(contextlib.ExitStack):
    """Contestants that are measured side by side, and end together."""

    def __init__(self, stage: nova.Stage, interval: int) -> None:
        super().__init__()
        self._stage = stage
        self._interval = interval

    def memcached(self, names: Sequence[str]) -> list[_Side]:
        """Have a server for each, and real hosts."""
        return [self._memcached(each) for each in names]

    def _memcached(self, name: str) -> _Side:
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
        return _Side(name, server, meters.memcached_operations, grow)

    def zookeeper(self) -> list[_Side]:
        """Have hollow hosts; those of the floor only ping."""
        return [
            self._hollow('our zk', self._stage.zookeeper, verify=True),
            self._hollow('zk floor', self._stage.new_zookeeper('bare-zk')),
        ]

    def _hollow(
        self, name: str, server: zookeeper_.ZooKeeper, verify: bool = False
    ) -> _Side:
        members = hollow.HollowProcess(
            server.address,
            'renewals',
            'compute',
            _session(self._interval),
            verify=verify,
        )
        self.callback(members.close)

        def grow(first: int, last: int) -> list[int]:
            members.join(records.hosts(last - first, first))
            return []

        return _Side(name, server, meters.zookeeper_operations, grow)

    def real(self) -> list[_Side]:
        """Have real hosts in ZooKeeper."""
        contestant = contestants.Contestant(
            'our zk, real',
            'zk',
            interval=self._interval,
            session_timeout=_session(self._interval),
        )
        server = self._stage.new_zookeeper('real-zk')
        places = dataclasses.replace(
            self._stage.places, zookeeper=server.address
        )
        grow = functools.partial(self._join, contestant, places)
        name = contestant.name
        return [_Side(name, server, meters.zookeeper_operations, grow)]

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
            min(_SHARE, last - start) for start in range(first, last, _SHARE)
        ]
        fleet = fleet_.Fleet(contestant, file, first, shares, **how)
        self.enter_context(fleet)
        fleet.wait()
        return [fleet.pid]
