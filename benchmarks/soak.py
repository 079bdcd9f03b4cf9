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

"""False downs over many member-hours of changing stress, and deaths.

It runs as long as it is told. Several runs with the same file add up.
"""

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
from importlib import metadata
import itertools
import math
import pathlib
import random
import signal
import sys
import threading
import time

from benchmarks import arena as arena_
from benchmarks import contestants
from benchmarks import detection
from benchmarks import faults as faults_
from benchmarks import nova
from benchmarks import report
from benchmarks import tally as tally_
from benchmarks import victims as victims_

_NOTES = """{hosts} hosts of each driver, real services on timers of their own,
up to {share} in a process, must never be down. {victims} others, each in a
process of its own, are killed with SIGKILL at random, one in about
{kill_every:g} s, and started again when they are down. report_interval is
{interval} and service_down_time {down_time}; a reader asks about all every
{every:g} s. S is the session timeout of zk, and the ttl of etcd and redis. The
hosts reach the servers from a network namespace, through proxies.

Stress takes turns, each for {window:g} s and as long to recover, which counts
as the same stress. CPU and loss are those of the part stress. Restart: the
server is killed and started again at once; of db, MariaDB or RabbitMQ. Freeze:
it is mute for a third of S, or of service_down_time. Clock: the wall clocks of
the hosts, and those of the readers, step by a minute or an hour, and back.
Quiet: none.

A pass of a reader with an answer counts for {every:g} s, and member-hours are
those of the hosts that are never killed. A host that comes up again and goes
down once more counts twice. The bound has a confidence of 95 %: without a
false down it is 3 divided by the member-hours. It holds for false downs that
come one by one, and for this mixture of stress. A death counts under the
stress in which it happened; *never seen* are those without a verdict of down
when a run ended, service_down_time and {patience:g} s or more after the least
time that it takes: after an outage all that are missing are held for a while.
All runs with the same file are added up; the last one is described here. They
had the versions {versions}.
"""
MINUTES, HOSTS = 60.0, 400
_TICK = 1.0
#: Seconds beyond the floor, and a hold, within which a dead host must be down.
_PATIENCE = 17.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to run, and the durations in seconds.

    :ivar minutes: for each driver, or for all together
    :ivar names: of contestants, or of their drivers; empty: all
    :ivar hosts: of each driver, that must never be down
    :ivar together: all drivers run side by side, else one after the other
    :ivar state: the file that adds runs up; None: there is none
    :ivar share: the most hosts of a process
    :ivar longest: for which one kind of stress lasts
    """

    minutes: float = MINUTES
    names: Sequence[str] = ()
    hosts: int = HOSTS
    together: bool = False
    state: pathlib.Path | None = None
    interval: int = 10
    down_time: int = 60
    sessions: Sequence[int] = (10, 5)
    share: int = 50
    every: float = 0.5
    kill_every: float = 6.0
    longest: float = 60.0

    @property
    def shares(self) -> list[int]:
        """The hosts of each process, those that are killed last."""
        count = math.ceil(self.hosts / self.share)
        spread = [len(range(each, self.hosts, count)) for each in range(count)]
        return spread + [1] * self.victims

    @property
    def victims(self) -> int:
        """The number of hosts that are killed."""
        return max(2, self.hosts // 20)

    @property
    def window(self) -> float:
        """For how long each stress lasts, so that each has its turn."""
        return min(self.longest, self.minutes * 60 / 12)

    def turns(self) -> list[list[contestants.Contestant]]:
        """Return the contestants that run side by side, in each turn."""
        every = detection.all_drivers(
            self.interval, self.down_time, self.sessions
        )
        ours = [each for each in every if not each.stock]
        wanted = self.names or [each.name for each in ours]
        drivers = [
            each for each in ours if {each.name, each.driver} & {*wanted}
        ]
        return [drivers] if self.together else [[each] for each in drivers]

    def notes(self, versions: Sequence[str]) -> str:
        """Return the notes of the table."""
        return _NOTES.format(
            **dataclasses.asdict(self),
            victims=self.victims,
            window=self.window,
            patience=_PATIENCE,
            versions=', '.join(versions),
        )


def _quick(plan: Plan) -> Plan:
    return Plan(0.2, plan.names, 6, True, None, 1, 5, (4,), kill_every=2.0)


def run(
    stage: nova.Stage, quick: bool, plan: Plan | None = None
) -> list[report.Table]:
    """Return the part's tables, also when SIGINT or SIGTERM ends it early."""
    plan = plan or Plan()
    plan = _quick(plan) if quick else plan
    tally = tally_.Tally(plan.state, metadata.version('nova-servicegroup'))
    with _interruption() as ended:
        for each in plan.turns():
            if not ended.is_set():
                _take_turn(stage, each, plan, tally, ended)
    title, notes = 'False downs in many hours', plan.notes(tally.versions)
    return [report.Table('soak', title, tally_.HEADERS, tally.rows(), notes)]


@contextlib.contextmanager
def _interruption() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set; another one aborts."""
    ended = threading.Event()

    def end(*_: object) -> None:
        if ended.is_set():
            raise KeyboardInterrupt
        ended.set()

    signals = signal.SIGINT, signal.SIGTERM
    before = {each: signal.signal(each, end) for each in signals}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _take_turn(
    stage: nova.Stage,
    drivers: Sequence[contestants.Contestant],
    plan: Plan,
    tally: tally_.Tally,
    ended: threading.Event,
) -> None:
    """Let some contestants run side by side."""
    with (
        faults_.Faults(stage, drivers, plan.window) as faults,
        arena_.Arena(
            stage,
            drivers,
            plan.shares,
            plan.every,
            faults.places,
            faults.prefix,
            faults.asking,
        ) as arena,
    ):
        _Watch(arena, plan, tally, ended).run(faults.kinds())


class _Watch:
    """Kills hosts under stress, and judges the verdicts of the readers.

    :param ended: ends it early
    """

    def __init__(
        self,
        arena: arena_.Arena,
        plan: Plan,
        tally: tally_.Tally,
        ended: threading.Event,
    ) -> None:
        self._arena = arena
        self._plan = plan
        self._tally = tally
        self._ended = ended
        self._stress, self._begun = faults_.QUIET, time.monotonic()
        self._victims = {
            name: victims_.Victims(fleet, plan.victims)
            for name, fleet in arena.fleets.items()
        }

    def run(self, kinds: dict[str, faults_.Fault]) -> None:
        """Let stress take turns until the time is over."""
        end = time.monotonic() + self._plan.minutes * 60
        for self._stress, fault in itertools.cycle(kinds.items()):
            self._begun, window = time.monotonic(), self._plan.window
            if self._begun >= end or self._ended.is_set():
                break
            with fault():
                self._look_until(self._begun + window)
            self._look_until(time.monotonic() + window)
            self._look()
            self._tally.save()
        self._stress = faults_.QUIET
        self._wait()
        self._tally.save()

    def _look_until(self, end: float) -> None:
        while time.monotonic() < end and not self._ended.wait(_TICK):
            self._look()
            for each in self._victims.values():
                if random.random() < _TICK / self._plan.kill_every:
                    each.kill(self._stress)

    def _wait(self) -> None:
        """Wait until the dead are down, and count those that are not."""
        end = time.monotonic() + max(map(self._patience, self._victims))
        while self._dead() and time.monotonic() < end:
            if self._ended.wait(_TICK):
                break
            self._look()
        for name, at, stress in self._dead():
            late = at + self._patience(name) <= time.monotonic()
            self._tally.of(name, stress).unseen += late

    def _dead(self) -> list[tuple[str, float, str]]:
        """Return those killed and not seen: the driver, when, the stress."""
        return [
            (name, *each)
            for name, victims in self._victims.items()
            for each in victims.killed.values()
        ]

    def _patience(self, name: str) -> float:
        # After an outage the dead are held, for service_down_time.
        driver = self._arena.drivers[name]
        return driver.floor(0) + driver.down_time + _PATIENCE

    def _look(self) -> None:
        seen = self._plan.every * self._plan.hosts / 3600
        for name, found in self._arena.count().items():
            self._tally.of(name, self._stress).hours += found['reads'] * seen
            for change in found['changes']:
                self._judge(name, *change)
            self._victims[name].retry()

    def _judge(self, name: str, at: float, host: str, up: bool) -> None:
        victims = self._victims[name]
        if up:
            victims.rise(host)
            return
        killed, stress = victims.killed.get(host, (math.inf, ''))
        if killed <= at:
            self._tally.of(name, stress).took.append(round(at - killed, 3))
        else:
            self._count_false_down(name, at, host)
        victims.fall(host)

    def _count_false_down(self, name: str, at: float, host: str) -> None:
        logs = self._arena.readers[name].log, self._arena.fleets[name].log
        what, seconds = (name, self._stress, host), at - self._begun
        self._tally.add_false_down(*what, seconds, logs)
        text = f'false down: {", ".join(what)}, after {seconds:.1f} s'
        print(text, file=sys.stderr, flush=True)
