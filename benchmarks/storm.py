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


"""Many that join at once, many that expire at once, and who looks on."""

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
{every:g} s, a little more than refresh_interval, so each pass reads anew. Its
bytes are what the server has sent it. *Calm*: {members} members, nobody comes
or goes. *Join*: {joining} more join at the same moment, real members that
start their clients on this machine, whose CPU counts apart and is spread over
as many hosts in truth; with stock mc, this process sets their keys one after
the other. *Expiry*: {dying} of the first die at once, and are down when their
session of {session} s is over, or their lease or key, which was last set for
as long. The floor of that is the session and a tick, the lease and half a
second, or that time. Not all of the members of zk are real, see the part
renewals; those of etcd, redis and mc are keys. The db drivers have no such
thing: to join is a heartbeat.
"""
_WITHIN = 120.0


@dataclasses.dataclass(frozen=True)
class _Plan:
    """How many hosts, and how many seconds."""

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
        crowd = make(stage, contestant)
        try:
            rows += [[name, *row] for row in _Storm(crowd, plan).rows()]
        finally:
            crowd.close()
    notes = _NOTES.format(**dataclasses.asdict(plan))
    return [report.Table('storm', 'Storms', _HEADERS, rows, notes)]


class _Storm:
    """What an observer sees of a crowd."""

    def __init__(self, crowd: hosts.Crowd, plan: _Plan) -> None:
        self._crowd = crowd
        self._plan = plan
        self._first = records.hosts(plan.members)
        self._late = records.hosts(plan.joining, plan.members)

    def rows(self) -> list[list[Any]]:
        """Return the rows, without the driver."""
        crowd, plan = self._crowd, self._plan
        crowd.fill(self._first)
        join = crowd.join(plan.members, plan.joining)
        way = proxy.Proxy(crowd.server.address)
        with contextlib.closing(way), self._observer(way) as observer:
            process.wait_until(
                lambda: observer.ask('up') == plan.members, _WITHIN, 0.2
            )
            watch = _Watch(crowd, way, observer)
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
        contestant, dead = (
            self._crowd.contestant,
            self._first[: self._plan.dying],
        )
        floor = float(contestant.session_timeout)
        if contestant.driver in ('zk', 'etcd'):
            floor = contestant.floor(self._crowd.stage.tick)
        watch.begin()
        self._crowd.expire(dead)
        watch.until(dead, False)
        return watch.row('expiry', len(dead), floor)

    def _observer(self, way: proxy.Proxy) -> reader_.Reader:
        crowd = self._crowd
        places = contestants.Places(
            way.address,
            way.address,
            way.address,
            etcd=way.address,
            redis=way.address,
        )
        file = crowd.contestant.write(
            crowd.stage.directory / f'observer-{crowd.contestant.slug}.conf',
            {},
            places,
        )
        size = self._plan.members + self._plan.joining
        return reader_.Reader(
            crowd.contestant, file, size, interval=self._plan.every
        )


class _Watch:
    """The observer and the server, from one moment to another."""

    def __init__(
        self,
        crowd: hosts.Crowd,
        way: proxy.Proxy,
        observer: reader_.Reader,
    ) -> None:
        self._crowd = crowd
        self._way = way
        self._observer = observer

    def begin(self) -> None:
        """Begin to measure."""
        self._observer.count()
        self._began = time.monotonic()
        self._bytes = self._way.received
        self._cpu = meters.cpu(self._crowd.server.pid)
        self._joining = self._crowd.joining_cpu()
        self._seen: dict[str, float] = {}
        self._others = 0

    def until(self, hosts: Sequence[str], up: bool) -> None:
        """Wait until hosts are seen to be up, or down."""
        wanted = set(hosts)
        process.wait_until(
            lambda: self._look(wanted, up) == len(wanted), _WITHIN, 0.2
        )

    def _look(self, wanted: set[str], up: bool) -> int:
        for at, host, state in self._observer.count()['changes']:
            if host in wanted and state == up:
                self._seen.setdefault(host, at)
            elif not state:
                self._others += 1
        return len(self._seen)

    def row(self, what: str, members: int, floor: float | None) -> list[Any]:
        """Return what was measured."""
        seconds = time.monotonic() - self._began
        received = self._way.received - self._bytes
        seen = self._seen.values()
        return [
            what,
            members,
            max(seen) - self._began if seen else None,
            floor,
            received / 1e6,
            received / 1e3 / seconds,
            meters.cpu(self._crowd.server.pid) - self._cpu,
            self._crowd.joining_cpu() - self._joining,
            self._others,
        ]

    def calm(self, members: int, seconds: float) -> list[Any]:
        """Return what a while brings in which nothing happens."""
        self.begin()
        time.sleep(seconds)
        self._look(set(), True)
        return self.row('calm', members, None)
