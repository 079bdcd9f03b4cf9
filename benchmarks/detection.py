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

"""How soon a host is down after it was killed, or stopped."""

from collections.abc import Sequence
import dataclasses
import random
import time
from typing import Any

from benchmarks import arena as arena_
from benchmarks import contestants
from benchmarks import meters
from benchmarks import nova
from benchmarks import report

_HEADERS = [
    'driver',
    'how',
    'hosts',
    'p50, s',
    'p99, s',
    'max, s',
    'floor, s',
    'max / floor',
    'never seen',
    'others called down',
]
_NOTES = """Real services on timers of their own join through Nova's API, in
processes that are killed with SIGKILL, or stopped cleanly, at random times
within {window:g} s; {alive} others of each driver stay alive, so that less
than half of a group dies. All drivers run side by side, with report_interval =
{interval} and service_down_time = {down_time}. A reader of each asks about all
hosts every {every:g} s. S is the session timeout of zk, and the ttl of etcd
and redis. The floor of these is S, plus a tick of the server ({tick:g} s) for
zk, or half a second for etcd, which expires leases twice a second; that of the
others is service_down_time. A host may be down sooner, by the age of its last
heartbeat.
"""
_KILLED, _STOPPED = 'SIGKILL', 'clean stop'


@dataclasses.dataclass(frozen=True)
class _Plan:
    """The numbers of hosts, and the durations in seconds.

    :ivar alive: hosts that stay alive
    :ivar killed: processes that are killed
    :ivar stopped: processes that are stopped
    :ivar share: hosts of each of these processes
    :ivar sessions: session timeouts of zk; the first is the ttl of others
    :ivar window: within which processes are killed and stopped
    :ivar every: between two passes of a reader
    """

    interval: int = 10
    down_time: int = 60
    sessions: Sequence[int] = (10, 5)
    alive: int = 130
    killed: int = 10
    stopped: int = 2
    share: int = 10
    window: float = 20.0
    every: float = 0.2


_QUICK = _Plan(1, 4, (4,), 12, 1, 1, 3, 1.0)


def all_drivers(
    interval: int, down_time: int, sessions: Sequence[int]
) -> list[contestants.Contestant]:
    """Return all drivers with the same options."""

    def make(name: str, driver: str, **how: Any) -> contestants.Contestant:
        return contestants.Contestant(
            name, driver, interval=interval, down_time=down_time, **how
        )

    return [
        make('stock db', 'db', stock=True),
        make('stock mc', 'mc', stock=True),
        make('our db', 'db'),
        make('our mc', 'mc'),
        *(
            make(f'our {name}, S = {each} s', name, session_timeout=each)
            for name in ('zk', 'etcd', 'redis')
            for each in sessions[: None if name == 'zk' else 1]
        ),
    ]


def run(stage: nova.Stage, quick: bool) -> list[report.Table]:
    """Return the part's tables."""
    plan = _QUICK if quick else _Plan()
    shares = [plan.alive] + [plan.share] * (plan.killed + plan.stopped)
    drivers = all_drivers(plan.interval, plan.down_time, plan.sessions)
    with arena_.Arena(stage, drivers, shares, plan.every) as arena:
        found = _Found(arena, plan)
        found.end_processes()
        found.wait(stage.tick)
        rows = [
            found.row(each, how, stage.tick)
            for each in drivers
            for how in (_KILLED, _STOPPED)
        ]
    notes = _NOTES.format(tick=stage.tick, **dataclasses.asdict(plan))
    return [
        report.Table('detection', 'Time until down', _HEADERS, rows, notes)
    ]


class _Found:
    """When hosts died, and when they were seen down.

    :ivar ended: of each contestant, how each of its hosts ended, and when
    :ivar down: of each contestant, when a host was first seen down
    """

    def __init__(self, arena: arena_.Arena, plan: _Plan) -> None:
        self._arena = arena
        self._plan = plan
        names = arena.drivers
        self.ended: dict[str, dict[str, tuple[str, float]]] = {
            name: {} for name in names
        }
        self.down: dict[str, dict[str, float]] = {name: {} for name in names}

    def end_processes(self) -> None:
        """Kill and stop processes at random times."""
        plan, begun = self._plan, time.monotonic()
        turns = sorted(
            (random.uniform(0, plan.window), name, number)
            for name in self._arena.drivers
            for number in range(1, 1 + plan.killed + plan.stopped)
        )
        for due, name, number in turns:
            time.sleep(max(0.0, begun + due - time.monotonic()))
            self._end(name, number)

    def _end(self, name: str, number: int) -> None:
        fleet = self._arena.fleets[name]
        killed = number <= self._plan.killed
        at = fleet.kill(number) if killed else fleet.stop(number)
        how = _KILLED if killed else _STOPPED
        for host in fleet.shares[number]:
            self.ended[name][host] = how, at

    def wait(self, tick: float) -> None:
        """Wait until all are down, for at most 15 s beyond the floors."""
        drivers = self._arena.drivers.values()
        end = time.monotonic() + max(each.floor(tick) for each in drivers) + 15
        while time.monotonic() < end and not self._all_down():
            time.sleep(1)
            for name, found in self._arena.count().items():
                for at, host, up in found['changes']:
                    if not up:
                        self.down[name].setdefault(host, at)

    def _all_down(self) -> bool:
        return all(
            self.ended[name].keys() <= self.down[name].keys()
            for name in self._arena.drivers
        )

    def row(
        self, contestant: contestants.Contestant, how: str, tick: float
    ) -> list[Any]:
        """Return the row of a contestant for one kind of end."""
        name = contestant.name
        ends = self.ended[name].items()
        ended = {host: at for host, (was, at) in ends if was == how}
        down = self.down[name]
        took = [down[host] - at for host, at in ended.items() if host in down]
        floor = contestant.floor(tick) if how == _KILLED else None
        most = max(took, default=None)
        return [
            name,
            how,
            len(ended),
            meters.quantile(took, 0.5),
            meters.quantile(took, 0.99),
            most,
            floor,
            most / floor if most and floor else None,
            len(ended) - len(took),
            len(down.keys() - self.ended[name].keys()),
        ]
