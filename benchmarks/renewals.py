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

"""What a host's renewals cost its server."""

from collections.abc import Callable, Iterator, Sequence
import operator
import time
from typing import Any

from benchmarks import field as field_
from benchmarks import fleet as fleet_
from benchmarks import meters
from benchmarks import nova
from benchmarks import report

_SIZES = (1000, 5000, 10000)
#: So many real ZooKeeper members, of five threads each, fit on a machine.
_REAL = 400
#: More real members take more than ten minutes to join, on two cores.
_MOST = {'our etcd': 1000, 'our redis': 5000}
_TITLE = 'A host that renews its membership, in one second'
_HEADERS = [
    'hosts',
    'driver',
    'operations',
    'server CPU, us',
    'member CPU, us',
    'operations, ratio to the floor',
    'server CPU, ratio to the floor',
]
_NOTES = """For a host and second, in {window:g} s in which no host joins or
leaves; report_interval is {interval} s, the session timeout, or ttl, {session}
s. Operations are counted by the servers: keys read and written by memcached,
requests and pings received by ZooKeeper, messages received by etcd, commands
processed by redis. CPU is user and system time, less that of an idle server.

Hosts of mc, etcd and redis are real services, which join through Nova's API;
{share} share a process, its CPU time, and a few threads for their timers. The
floor is a loop that sets one key for each host, or with etcd renews one lease
by its JSON gateway, over a connection of its own, as often as a host sends a
heartbeat. These drivers and floors are measured one after the other. Hosts of
zk are hollow: each has a session of its own that pings, and reads its node as
often as a real host does while nothing happens. The row *our zk, real* has
{real} real hosts, to measure the CPU of a member. The floor of zk is a session
that only pings; it is measured beside them, with a server of its own.
"""
#: Measured one after the other, or all at once in quick mode.
_IN_TURN = (
    ('stock mc', 'our mc', 'mc floor'),
    ('our etcd', 'etcd floor', 'our redis', 'redis floor'),
)
_FLOORS = {
    'our etcd': 'etcd floor',
    'our redis': 'redis floor',
    'stock mc': 'mc floor',
    'our mc': 'mc floor',
    'our zk': 'zk floor',
    'our zk, real': 'zk floor',
}

_Make = Callable[[field_.Field], list[field_.Side]]


def run(stage: nova.Stage, quick: bool) -> list[report.Table]:
    """Return the part's tables."""
    sizes = (50,) if quick else _SIZES
    real = 10 if quick else _REAL
    interval, window = (2, 2.0) if quick else (10, 15.0)
    found: dict[tuple[int, str], meters.Reading] = {}
    for make, wanted in _contestants(quick, sizes, real):
        with field_.Field(stage, interval) as field:
            sides = make(field)
            for side, read in zip(sides, _watch(sides, window), strict=True):
                side.idle = read
            for size in wanted:
                found.update(_measure(sides, size, interval, window))
    notes = _NOTES.format(
        window=window,
        interval=interval,
        session=field_.session(interval),
        real=real,
        share=field_.SHARE,
    )
    keys = sorted(found, key=operator.itemgetter(0))
    rows = [_row(found, *key) for key in keys]
    return [report.Table('renewals', _TITLE, _HEADERS, rows, notes)]


def _contestants(
    quick: bool, sizes: Sequence[int], real: int
) -> Iterator[tuple[_Make, Sequence[int]]]:
    """Yield what makes contestants to be measured at once, and their sizes."""
    for names in _IN_TURN:
        for some in [names] if quick else [(each,) for each in names]:
            most = min(_MOST.get(each, max(sizes)) for each in some)
            fitting = [size for size in sizes if size <= most]
            yield operator.methodcaller('real', some), fitting
    yield field_.Field.sessions, sizes
    yield operator.methodcaller('real', ('our zk, real',)), (real,)


def _measure(
    sides: Sequence[field_.Side], size: int, interval: int, window: float
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


def _watch(
    sides: Sequence[field_.Side], window: float
) -> list[meters.Reading]:
    """Return the counts of each side for a second."""
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
