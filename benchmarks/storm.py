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

import abc
from collections.abc import Callable, Sequence
import dataclasses
import time
from typing import Any

import pymemcache

from benchmarks import bridge as bridge_
from benchmarks import contestants
from benchmarks import meters
from benchmarks import nova
from benchmarks import reader as reader_
from benchmarks import records
from benchmarks import report
from nova_servicegroup.drivers import _memcached_keys
from nova_servicegroup.tests.harness import hollow
from nova_servicegroup.tests.harness import joiners
from nova_servicegroup.tests.harness import process

_HEADERS = [
    'driver',
    'what',
    'members',
    'all seen after, s',
    'floor, s',
    'MB read by the observer',
    'kB a second',
    'server CPU, s',
    'others called down',
]
_NOTES = """An observer, a process with Nova's API, asks about all hosts once a
second. Its bytes are what the server has sent it. *Calm*: {members} members,
nobody comes or goes. *Join*: {joining} more join at the same moment, real
members that start their clients on this machine; with stock mc, they set their
keys one after the other. *Expiry*: {dying} of the first die at once, and are
down when their session of {session} s is over, or their key, which was last
set for as long. The floor of that is the session and a tick, or that time.
Not all of the members of zk are real, see the part renewals; those of mc are
keys. The db drivers have no such thing: to join is a heartbeat.
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


_QUICK = _Plan(200, 20, 40, 4, 3.0)


class _Crowd(abc.ABC):
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

    @abc.abstractmethod
    def expire(self, hosts: list[str]) -> None:
        """Have some of the first die."""

    def close(self) -> None:
        """End what was started."""
        for each in self._joiners:
            each.kill()


class _ZooKeeper(_Crowd):
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


class _Memcached(_Crowd):
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


class _StockMemcached(_Crowd):
    def __init__(
        self, stage: nova.Stage, contestant: contestants.Contestant
    ) -> None:
        super().__init__(stage, contestant)
        self.server = stage.their_memcached
        self._api = stage.stock_api('mc')

    def fill(self, hosts: list[str]) -> None:
        from benchmarks import is_up

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


def run(stage: nova.Stage, quick: bool) -> list[report.Table]:
    """Return the part's tables."""
    plan = _QUICK if quick else _Plan()
    rows: list[list[Any]] = []
    for make, name, driver in (
        (_StockMemcached, 'stock mc', 'mc'),
        (_Memcached, 'our mc', 'mc'),
        (_ZooKeeper, 'our zk', 'zk'),
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

    def __init__(self, crowd: _Crowd, plan: _Plan) -> None:
        self._crowd = crowd
        self._plan = plan
        self._first = records.hosts(plan.members)
        self._late = records.hosts(plan.joining, plan.members)

    def rows(self) -> list[list[Any]]:
        """Return the rows, without the driver."""
        crowd, plan = self._crowd, self._plan
        crowd.fill(self._first)
        join = crowd.join(self._late)
        with bridge_.Bridge() as bridge, self._observer(bridge) as observer:
            process.wait_until(
                lambda: observer.ask('up') == plan.members, _WITHIN, 0.2
            )
            watch = _Watch(crowd.server, bridge, observer)
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
        if contestant.driver == 'zk':
            floor += self._crowd.stage.tick
        watch.begin()
        self._crowd.expire(dead)
        watch.until(dead, False)
        return watch.row('expiry', len(dead), floor)

    def _observer(self, bridge: bridge_.Bridge) -> reader_.Reader:
        crowd = self._crowd
        address = bridge.to(crowd.server.address)
        places = contestants.Places(address, address, address)
        file = crowd.contestant.write(
            crowd.stage.directory / f'observer-{crowd.contestant.slug}.conf',
            {},
            places,
        )
        size = self._plan.members + self._plan.joining
        return reader_.Reader(crowd.contestant, file, size)


class _Watch:
    """The observer and the server, from one moment to another."""

    def __init__(
        self, server: Any, bridge: bridge_.Bridge, observer: reader_.Reader
    ) -> None:
        self._server = server
        self._bridge = bridge
        self._observer = observer

    def begin(self) -> None:
        """Begin to measure."""
        self._observer.count()
        self._began = time.monotonic()
        self._bytes = self._received()
        self._cpu = meters.cpu(self._server.pid)
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
        received = self._received() - self._bytes
        seen = self._seen.values()
        return [
            what,
            members,
            max(seen) - self._began if seen else None,
            floor,
            received / 1e6,
            received / 1e3 / seconds,
            meters.cpu(self._server.pid) - self._cpu,
            self._others,
        ]

    def calm(self, members: int, seconds: float) -> list[Any]:
        """Return what a while brings in which nothing happens."""
        self.begin()
        time.sleep(seconds)
        self._look(set(), True)
        return self.row('calm', members, None)

    def _received(self) -> int:
        return sum(self._bridge.received.values())
