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
from nova_servicegroup.tests.harness import zookeeper

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
    found: dict[tuple[int, str], meters.Reading] = {}
    # Few enough may go at once, which takes less time.
    together = [_MEMCACHED] if quick else [(each,) for each in _MEMCACHED]
    makers = [
        *(functools.partial(_memcached, names) for names in together),
        _zookeeper,
    ]
    for make in makers:
        with contextlib.ExitStack() as stack:
            sides = make(stage, stack, interval)
            _note_idle(sides, window)
            for size in sizes:
                found.update(_measure(sides, size, interval, window))
    with contextlib.ExitStack() as stack:
        sides = [_real_side(stage, stack, interval)]
        _note_idle(sides, window)
        found.update(_measure(sides, real, interval, window))
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


def _note_idle(sides: Sequence[_Side], window: float) -> None:
    for side, read in zip(sides, _watch(sides, window), strict=True):
        side.idle = read


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


def _memcached(
    names: Sequence[str],
    stage: nova.Stage,
    stack: contextlib.ExitStack,
    interval: int,
) -> list[_Side]:
    return [_memcached_side(each, stage, stack, interval) for each in names]


def _memcached_side(
    name: str, stage: nova.Stage, stack: contextlib.ExitStack, interval: int
) -> _Side:
    server = stage.new_memcached(f'renewals-{name.replace(" ", "-")}')
    places = dataclasses.replace(
        stage.places,
        our_memcached=server.address,
        their_memcached=server.address,
    )
    bare = server.address if name == 'mc floor' else ''
    grow = _joiner(
        stage, stack, _mc(name, interval), places, bare, shared=True
    )
    return _Side(name, server, meters.memcached_operations, grow)


def _mc(name: str, interval: int) -> contestants.Contestant:
    return contestants.Contestant(
        name, 'mc', name != 'our mc', interval, 6 * interval
    )


def _joiner(
    stage: nova.Stage,
    stack: contextlib.ExitStack,
    contestant: contestants.Contestant,
    places: contestants.Places,
    bare: str = '',
    shared: bool = False,
) -> Callable[[int, int], list[int]]:
    """Return what has more real hosts join."""

    def grow(first: int, last: int) -> list[int]:
        file = contestant.write(
            stage.directory / f'renewals-{contestant.slug}-{last}.conf',
            {},
            places,
        )
        shares = [
            min(_SHARE, last - start) for start in range(first, last, _SHARE)
        ]
        fleet = stack.enter_context(
            fleet_.Fleet(
                contestant, file, first, shares, bare=bare, shared=shared
            )
        )
        fleet.wait()
        return [fleet.pid]

    return grow


def _zookeeper(
    stage: nova.Stage, stack: contextlib.ExitStack, interval: int
) -> list[_Side]:
    servers = {
        'our zk': stage.zookeeper,
        'zk floor': stage.new_zookeeper('bare-zk'),
    }
    return [
        _Side(
            name,
            server,
            meters.zookeeper_operations,
            _hollow(stack, server, interval, name == 'our zk'),
        )
        for name, server in servers.items()
    ]


def _hollow(
    stack: contextlib.ExitStack,
    server: zookeeper.ZooKeeper,
    interval: int,
    verify: bool,
) -> Callable[[int, int], list[int]]:
    """Return what has more hollow hosts join."""
    members = hollow.HollowProcess(
        server.address,
        'renewals',
        'compute',
        _session(interval),
        verify=verify,
    )
    stack.callback(members.close)

    def grow(first: int, last: int) -> list[int]:
        members.join(records.hosts(last - first, first))
        return []

    return grow


def _real_side(
    stage: nova.Stage, stack: contextlib.ExitStack, interval: int
) -> _Side:
    contestant = contestants.Contestant(
        'our zk, real',
        'zk',
        interval=interval,
        session_timeout=_session(interval),
    )
    server = stage.new_zookeeper('real-zk')
    places = dataclasses.replace(stage.places, zookeeper=server.address)
    return _Side(
        contestant.name,
        server,
        meters.zookeeper_operations,
        _joiner(stage, stack, contestant, places),
    )
