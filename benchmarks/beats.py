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

"""Rounds of heartbeats in a real cell, and their measurements."""

import contextlib
import dataclasses
import time
from typing import Any

from benchmarks import busy
from benchmarks import contestants
from benchmarks import load as load_
from benchmarks import meters
from benchmarks import nova
from benchmarks import reader as reader_

WAYS = (load_.STOCK, load_.OURS)
_SETTLE = 60.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """The durations of a measurement, in seconds, and its rounds.

    :ivar interval: report_interval
    :ivar down_time: service_down_time
    :ivar warm: warm-up before each round
    :ivar window: duration of each round
    :ivar rounds: number of rounds for each way
    :ivar busy: how long the machine is kept busy; 0: not at all
    """

    interval: int = 10
    down_time: int = 60
    warm: float = 11.0
    window: float = 15.0
    rounds: int = 2
    busy: float = 90.0


class Size:
    """The measurements with one number of hosts.

    :ivar rounds: the way and the reading of each round
    :ivar downs: the way and its reader's counts on a busy machine
    """

    def __init__(self, stage: nova.Stage, hosts: int, plan: Plan) -> None:
        self.hosts = hosts
        self.plan = plan
        self._cell = stage.cell
        self._directory = stage.directory
        self._idle: list[meters.Reading] = []
        self.rounds: list[tuple[str, meters.Reading]] = []
        self.downs: list[tuple[str, dict[str, Any]]] = []

    def measure(self) -> None:
        """Run all rounds of this size."""
        self._cell.hosts(self.hosts)
        file = self._contestant(load_.OURS).write(
            self._directory / f'load-{self.hosts}.conf',
            self._cell.compute,
            contestants.NOWHERE,
        )
        with load_.Load(file, self.plan.interval, self.hosts) as load:
            load.wait()
            self._idle.append(self._watch(load))
            for _ in range(self.plan.rounds):
                for way in WAYS:
                    self.rounds.append((way, self._beat(load, way)))
            if self.plan.rounds > 1:
                self._idle.append(self._watch(load))
            for way in WAYS if self.plan.busy else ():
                self.downs.append((way, self._compete(load, way)))

    def _contestant(self, way: str) -> contestants.Contestant:
        return contestants.Contestant(
            f'{way} db',
            'db',
            way == load_.STOCK,
            self.plan.interval,
            self.plan.down_time,
        )

    def _beat(self, load: load_.Load, way: str) -> meters.Reading:
        """Return the reading of one round of heartbeats."""
        # The round must not include work that an earlier one has left.
        self._cell.calm()
        load.begin(way)
        time.sleep(self.plan.warm)
        read = self._watch(load)
        load.end()
        return read

    def _watch(self, load: load_.Load) -> meters.Reading:
        """Return the reading of a window from now."""
        # RabbitMQ takes a while and CPU to answer, so ask it outside of it.
        begun, first = time.monotonic(), self._cell.messages()
        load.count()
        before = self._cell.read()
        time.sleep(self.plan.window)
        after = self._cell.read()
        counted = load.count()
        took = time.monotonic() - begun
        messages = self._cell.messages() - first
        seconds = after['seconds'] - before['seconds']
        return {
            **meters.difference(after, before),
            **_summary(counted),
            'messages': messages / took * seconds,
        }

    def _compete(self, load: load_.Load, way: str) -> dict[str, Any]:
        """Return a reader's counts while the machine is busy."""
        self._cell.calm()
        contestant = self._contestant(way)
        file = contestant.write(
            self._directory / f'reader-{way}.conf',
            self._cell.controller,
            contestants.NOWHERE,
        )
        with reader_.Reader(contestant, file, self.hosts) as reader:
            load.begin(way)
            # Too many hosts are never all up. That is measured, too.
            with contextlib.suppress(TimeoutError):
                reader.settle(_SETTLE)
            with busy.loops(self.plan.busy):
                load.count()
                reader.count()
                time.sleep(self.plan.busy)
                found = {**reader.count(), **_summary(load.count())}
            load.end()
        return found

    def cost(self, way: str, meter: str) -> float:
        """Return the cost of a heartbeat, less that of the idle cell."""
        rounds = [read for name, read in self.rounds if name == way]
        idle = sum(each[meter] for each in self._idle) / len(self._idle)
        spent = sum(each[meter] for each in rounds) - idle * len(rounds)
        return max(0.0, spent) / sum(each['answered'] for each in rounds)


def _summary(counted: dict[str, Any]) -> meters.Reading:
    late = counted['late']
    return {
        'sender CPU': counted['cpu'],
        **{name: counted[name] for name in ('answered', 'failed', 'saved')},
        'median': meters.quantile(late, 0.5) or 0.0,
        '99 %': meters.quantile(late, 0.99) or 0.0,
    }
