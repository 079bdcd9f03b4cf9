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

"""What a short detection time costs where heartbeats go to the database.

The same hosts report at shorter and shorter intervals. Measured are their load
and how many are called down when nova-conductor hangs for a while.
"""

import contextlib
import dataclasses
import time
from typing import Any

from benchmarks import contestants
from benchmarks import load as load_
from benchmarks import meters
from benchmarks import nova
from benchmarks import reader as reader_
from benchmarks import report

#: service_down_time as a multiple of the interval, as in Nova's defaults.
_RATIO = 6
_FLEET = 10000
_SETTLE = 60.0
_HEADERS = [
    'way',
    'report_interval, s',
    'service_down_time, s',
    'time until down, s',
    'cores for 10,000 hosts',
    'hosts called down',
    'false downs in a bad moment, %',
    'host-seconds down for a host',
]
_NOTES = """For each report_interval, {hosts} hosts send heartbeats side by
side, the stock way and ours in turn; service_down_time is {ratio} times
report_interval, as in Nova's defaults. Cores are the CPU of nova-conductor,
MariaDB and RabbitMQ for a heartbeat, measured over all of these hosts for
{window:g} s and multiplied by the heartbeats of 10,000 hosts. Then
nova-conductor is frozen for {frozen:g} s, and a reader of each interval asks
about its hosts every half second until {after:g} s later: by the stock driver
when they send heartbeats the stock way, else by ours. No host is dead. The
time until down is service_down_time less half an interval, the mean age of a
heartbeat; the part detection measures it.
"""
_SERVERS = ('conductor CPU', 'MariaDB CPU', 'RabbitMQ CPU')


@dataclasses.dataclass(frozen=True)
class _Plan:
    """The number of hosts for each interval, and durations in seconds."""

    intervals: tuple[int, ...] = (1, 2, 3, 5, 10)
    hosts: int = 60
    warm: float = 12.0
    window: float = 15.0
    frozen: float = 15.0
    after: float = 12.0


_QUICK = _Plan((1,), 5, 2.0, 3.0, 7.0, 1.0)


def run(stage: nova.Stage, quick: bool) -> list[report.Table]:
    """Return the part's tables."""
    plan = _QUICK if quick else _Plan()
    stage.cell.hosts(plan.hosts * len(plan.intervals))
    with _Fleets(stage, plan) as fleets:
        idle = fleets.watch()
        rows = [
            row
            for way in (load_.STOCK, load_.OURS)
            for row in fleets.rows(way, idle)
        ]
    notes = _NOTES.format(ratio=_RATIO, **dataclasses.asdict(plan))
    return [
        report.Table(
            'dilemma',
            'The price of a short detection time',
            _HEADERS,
            rows,
            notes,
        )
    ]


class _Fleets(contextlib.ExitStack):
    """The hosts that send heartbeats, a group for each interval."""

    def __init__(self, stage: nova.Stage, plan: _Plan) -> None:
        super().__init__()
        self._stage = stage
        self._plan = plan
        self._loads = {
            interval: self._load(interval, number * plan.hosts)
            for number, interval in enumerate(plan.intervals)
        }
        for each in self._loads.values():
            each.wait()

    def _load(self, interval: int, first: int) -> load_.Load:
        file = self._contestant(load_.OURS, interval).write(
            self._stage.directory / f'dilemma-{interval}.conf',
            self._stage.cell.compute,
            contestants.NOWHERE,
        )
        return self.enter_context(
            load_.Load(file, interval, self._plan.hosts, first)
        )

    def _contestant(self, way: str, interval: int) -> contestants.Contestant:
        return contestants.Contestant(
            f'{way} db, {interval} s',
            'db',
            way == load_.STOCK,
            interval,
            _RATIO * interval,
        )

    def watch(self) -> meters.Reading:
        """Return the servers' CPU and the heartbeats, per second."""
        self._answered()
        before = self._stage.cell.read()
        time.sleep(self._plan.window)
        read = meters.difference(self._stage.cell.read(), before)
        cpu = sum(read[each] for each in _SERVERS)
        return {
            'cpu': cpu / read['seconds'],
            'answered': self._answered() / read['seconds'],
        }

    def _answered(self) -> int:
        return sum(each.count()['answered'] for each in self._loads.values())

    def rows(self, way: str, idle: meters.Reading) -> list[list[Any]]:
        """Return the rows of one way of sending heartbeats."""
        with contextlib.ExitStack() as stack:
            readers = {
                interval: stack.enter_context(self._reader(way, interval))
                for interval in self._loads
            }
            for each in self._loads.values():
                each.begin(way)
            time.sleep(self._plan.warm)
            for reader in readers.values():
                reader.settle(_SETTLE)
            read = self.watch()
            found = self._bad_moment(readers)
            for each in self._loads.values():
                each.end()
        beat = max(0.0, read['cpu'] - idle['cpu']) / read['answered']
        return [
            self._row(way, interval, beat, each)
            for interval, each in found.items()
        ]

    def _reader(self, way: str, interval: int) -> reader_.Reader:
        contestant = self._contestant(way, interval)
        file = contestant.write(
            self._stage.directory / f'dilemma-{way}-{interval}.conf',
            self._stage.cell.controller,
            contestants.NOWHERE,
        )
        first = self._plan.intervals.index(interval) * self._plan.hosts
        return reader_.Reader(contestant, file, self._plan.hosts, first, 0.5)

    def _bad_moment(
        self, readers: dict[int, reader_.Reader]
    ) -> dict[int, dict[str, Any]]:
        """Freeze the conductor for a while; return the readers' counts."""
        for each in readers.values():
            each.count()
        conductor = self._stage.cell.conductor
        conductor.freeze()
        try:
            time.sleep(self._plan.frozen)
        finally:
            conductor.thaw()
        time.sleep(self._plan.after)
        return {
            interval: reader.count() for interval, reader in readers.items()
        }

    def _row(
        self, way: str, interval: int, beat: float, found: dict[str, Any]
    ) -> list[Any]:
        plan = self._plan
        seconds = plan.frozen + plan.after
        return [
            way,
            interval,
            _RATIO * interval,
            (_RATIO - 0.5) * interval,
            beat * _FLEET / interval,
            found['hosts'],
            100 * found['hosts'] / plan.hosts,
            seconds * found['down'] / max(1, found['verdicts']),
        ]
