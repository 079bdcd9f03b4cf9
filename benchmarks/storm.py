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

"""What an observer reads when many members join, or expire, at once."""

from collections.abc import Callable, Sequence
import contextlib
import dataclasses
import time
from typing import Any

from benchmarks import contestants
from benchmarks import hosts
from benchmarks import meters
from benchmarks import nova
from benchmarks import reader as reader_
from benchmarks import records
from benchmarks import report
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import proxy

_HEADERS = [
    'driver',
    'what',
    'members',
    'all seen after, s',
    'floor, s',
    'MB read by the observer',
    'kB a second',
    'server CPU, s',
    'CPU of those that join, s',
    'others called down',
]
_NOTES = """An observer, a process with Nova's API, asks about all hosts every
{every:g} s, a little more than refresh_interval, so that each pass reads the
group. Its bytes are those that the server has sent it. *Calm*: {members}
members, none of which joins or leaves. *Join*: {joining} more join at the same
moment. They are real members that start their clients on this machine; their
CPU, which a real cloud spreads over as many hosts, is counted separately. With
stock mc, this process sets their keys one after the other. *Expiry*: {dying}
of the first members die at once, and are down when their session of {session}
s ends, or their lease or key, which was last set for as long. The floor is
the session and a tick, the lease and half a second, or the time of the key.
The first members of zk are hollow, see the part renewals; those of etcd, redis
and mc are keys. The db drivers are left out: there, a join is a heartbeat.
"""
_WITHIN = 120.0


@dataclasses.dataclass(frozen=True)
class _Plan:
    """The numbers of hosts, and the durations in seconds."""

    members: int = 10000
    joining: int = 1000
    dying: int = 2000
    session: int = 10
    calm: float = 6.0
    every: float = 1.1


_QUICK = _Plan(200, 20, 40, 4, 1.5)


def run(stage: nova.Stage, quick: bool) -> list[report.Table]:
    """Return the part's tables."""
    plan = _QUICK if quick else _Plan()
    rows: list[list[Any]] = []
    for make, name, driver in (
        (hosts.StockMemcached, 'stock mc', 'mc'),
        (hosts.Memcached, 'our mc', 'mc'),
        (hosts.ZooKeeper, 'our zk', 'zk'),
        (hosts.Etcd, 'our etcd', 'etcd'),
        (hosts.Redis, 'our redis', 'redis'),
    ):
        contestant = contestants.Contestant(
            f'{name}, storm',
            driver,
            name.startswith('stock'),
            session_timeout=plan.session,
        )
        with contextlib.closing(make(stage, contestant)) as members:
            rows += [[name, *row] for row in _Storm(members, plan).rows()]
    notes = _NOTES.format(**dataclasses.asdict(plan))
    return [report.Table('storm', 'Storms', _HEADERS, rows, notes)]


class _Storm:
    """What an observer sees of the members of one contestant."""

    def __init__(self, members: hosts.Members, plan: _Plan) -> None:
        self._members = members
        self._plan = plan
        self._first = records.hosts(plan.members)
        self._late = records.hosts(plan.joining, plan.members)

    def rows(self) -> list[list[Any]]:
        """Return the rows, without the driver."""
        members, plan = self._members, self._plan
        members.fill(self._first)
        join = members.join(plan.members, plan.joining)
        link = proxy.Proxy(members.server.address)
        with contextlib.closing(link), self._observer(link) as observer:
            process.wait_until(
                lambda: observer.ask('up') == plan.members, _WITHIN, 0.2
            )
            watch = _Watch(members, link, observer)
            return [
                watch.calm(plan.members, plan.calm),
                self._join(watch, join),
                self._expire(watch),
            ]

    def _join(self, watch: '_Watch', join: Callable[[], None]) -> list[Any]:
        watch.begin()
        join()
        watch.until(self._late, True)
        return watch.row('join', len(self._late), None)

    def _expire(self, watch: '_Watch') -> list[Any]:
        contestant = self._members.contestant
        dead = self._first[: self._plan.dying]
        floor = float(contestant.session_timeout)
        if contestant.driver in ('zk', 'etcd'):
            floor = contestant.floor(self._members.stage.tick)
        watch.begin()
        self._members.expire(dead)
        watch.until(dead, False)
        return watch.row('expiry', len(dead), floor)

    def _observer(self, link: proxy.Proxy) -> reader_.Reader:
        contestant = self._members.contestant
        places = contestants.Places(
            *[link.address] * 3, etcd=link.address, redis=link.address
        )
        file = contestant.write(
            self._members.stage.directory / f'observer-{contestant.slug}.conf',
            {},
            places,
        )
        size = self._plan.members + self._plan.joining
        return reader_.Reader(
            contestant, file, size, interval=self._plan.every
        )


class _Watch:
    """The meters of the observer and the server over a span of time."""

    def __init__(
        self,
        members: hosts.Members,
        link: proxy.Proxy,
        observer: reader_.Reader,
    ) -> None:
        self._members = members
        self._link = link
        self._observer = observer

    def begin(self) -> None:
        """Begin to measure."""
        self._observer.count()
        self._before = self._read()
        self._seen: dict[str, float] = {}
        self._others = 0

    def _read(self) -> meters.Reading:
        return {
            'seconds': time.monotonic(),
            'bytes': float(self._link.received),
            'server': meters.cpu(self._members.server.pid),
            'joining': self._members.joining_cpu(),
        }

    def until(self, hosts: Sequence[str], up: bool) -> None:
        """Wait until hosts are seen up, or down."""
        wanted = set(hosts)
        process.wait_until(
            lambda: self._count(wanted, up) == len(wanted), _WITHIN, 0.2
        )

    def _count(self, wanted: set[str], up: bool) -> int:
        for at, host, state in self._observer.count()['changes']:
            if host in wanted and state == up:
                self._seen.setdefault(host, at)
            elif not state:
                self._others += 1
        return len(self._seen)

    def row(self, what: str, members: int, floor: float | None) -> list[Any]:
        """Return the row of what was measured since begin."""
        read = meters.difference(self._read(), self._before)
        seen = self._seen.values()
        return [
            what,
            members,
            max(seen) - self._before['seconds'] if seen else None,
            floor,
            read['bytes'] / 1e6,
            read['bytes'] / 1e3 / read['seconds'],
            read['server'],
            read['joining'],
            self._others,
        ]

    def calm(self, members: int, seconds: float) -> list[Any]:
        """Measure for a while in which nothing happens; return the row."""
        self.begin()
        time.sleep(seconds)
        self._count(set(), True)
        return self.row('calm', members, None)
