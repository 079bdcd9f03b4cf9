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


"""Rounds of heartbeats in a real cell, and what is measured in them."""

from collections.abc import Iterator
import contextlib
import dataclasses
import subprocess
import sys
import time
from typing import Any

from benchmarks import cell as cell_
from benchmarks import load as load_
from benchmarks import told

WAYS = (load_.STOCK, load_.OURS)
BUSY_LOOPS = 4
_SETTLE = 60.0
# They end by themselves, should nobody do it.
_BUSY_LOOP = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    pass
"""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long, in seconds, and how often.

    :ivar interval: report_interval
    :ivar down_time: service_down_time
    :ivar warm: before each round
    :ivar window: of each round
    :ivar rounds: for each way
    :ivar busy: for which the machine is busy
    """

    interval: int = 10
    down_time: int = 25
    warm: float = 12.0
    window: float = 30.0
    rounds: int = 2
    busy: float = 60.0


class Size:
    """All that is measured with one number of hosts.

    :ivar rounds: the way and the readings of each
    :ivar downs: the way and what its reader found, while the machine is busy
    """

    def __init__(self, cell: cell_.Cell, hosts: int, plan: Plan) -> None:
        self.hosts = hosts
        self.plan = plan
        self._cell = cell
        self._idle: list[cell_.Reading] = []
        self.rounds: list[tuple[str, cell_.Reading]] = []
        self.downs: list[tuple[str, dict[str, Any]]] = []

    def measure(self) -> None:
        """Do it."""
        with self._cell.load(self.hosts) as load:
            self._idle.append(self._watch(load))
            for _ in range(self.plan.rounds):
                for way in WAYS:
                    self.rounds.append((way, self._beat(load, way)))
            self._idle.append(self._watch(load))
            for way in WAYS:
                self.downs.append((way, self._compete(load, way)))

    def _beat(self, load: load_.Load, way: str) -> cell_.Reading:
        """Return what heartbeats cost, in a while of them."""
        load.begin(way)
        time.sleep(self.plan.warm)
        read = self._watch(load)
        load.end()
        return read

    def _watch(self, load: load_.Load) -> cell_.Reading:
        """Return what happens meanwhile."""
        # To ask RabbitMQ takes CPU, and a while.
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
            **{name: after[name] - before[name] for name in before},
            **_summary(counted),
            'messages': messages / took * seconds,
        }

    def _compete(self, load: load_.Load, way: str) -> dict[str, Any]:
        """Return what a reader finds while the machine is busy."""
        reader = self._cell.reader(way)
        try:
            load.begin(way)
            self._settle(reader)
            with _busy_loops(self.plan.busy):
                load.count()
                reader.ask('count')
                time.sleep(self.plan.busy)
                found = {**reader.ask('count'), **_summary(load.count())}
            load.end()
        finally:
            reader.close()
        if _is_ours(found) != (way == load_.OURS):
            raise RuntimeError(f'{way}: the reader has {found["driver"]}')
        return found

    def _settle(self, reader: told.Program) -> None:
        """Wait until all hosts are up, but not for ever."""
        begun = time.monotonic()
        while time.monotonic() - begun < _SETTLE:
            time.sleep(self.plan.warm / 2)
            found = reader.ask('count')
            if found['reads'] and not found['down']:
                return

    def cost(self, way: str, meter: str) -> float:
        """Return what a heartbeat costs, beyond the idle cell."""
        rounds = [read for name, read in self.rounds if name == way]
        idle = sum(each[meter] for each in self._idle) / len(self._idle)
        spent = sum(each[meter] for each in rounds) - idle * len(rounds)
        return max(0.0, spent) / sum(each['answered'] for each in rounds)


def _summary(counted: dict[str, Any]) -> cell_.Reading:
    late = sorted(counted['late'])
    return {
        'sender CPU': counted['cpu'],
        **{name: counted[name] for name in ('answered', 'failed', 'saved')},
        'median': _quantile(late, 0.5),
        '99 %': _quantile(late, 0.99),
    }


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[int(share * len(ordered))] if ordered else 0.0


def _is_ours(found: dict[str, Any]) -> bool:
    return str(found['driver']).startswith('nova_servicegroup')


@contextlib.contextmanager
def _busy_loops(seconds: float) -> Iterator[None]:
    """Keep all cores busy; each loop has the share of one server."""
    loops = [
        subprocess.Popen(
            [sys.executable, '-c', _BUSY_LOOP, str(seconds + _SETTLE)],
            start_new_session=True,
        )
        for _ in range(BUSY_LOOPS)
    ]
    try:
        yield
    finally:
        for each in loops:
            each.kill()
            each.wait()
