# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""What a simulation has seen, and what it comes to; pure."""

from collections.abc import Iterable, Sequence
import dataclasses
import math

from nova_servicegroup.drivers import base
from nova_servicegroup import evidence
from nova_servicegroup.simulation import hollow
from nova_servicegroup.simulation import plan
from nova_servicegroup.watch import watcher


@dataclasses.dataclass(frozen=True)
class Spread:
    """How some durations are spread, in seconds; None: there are none."""

    p50: float | None
    p99: float | None
    max: float | None


def spread(durations: Iterable[float]) -> Spread:
    """Return the nearest ranks of some durations."""
    ordered = sorted(durations)
    if not ordered:
        return Spread(None, None, None)
    return Spread(*(_rank(ordered, share) for share in (0.5, 0.99, 1.0)))


def _rank(ordered: Sequence[float], share: float) -> float:
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)


def promise(
    wanted: plan.Plan, found_within: float | None, hold_time: float
) -> float | None:
    """Return the seconds in which the killed are to be found; None: unknown.

    The loss of most of a group at once is no evidence for hold_time.
    """
    killed, left = len(wanted.killed), len(wanted.hosts - wanted.killed)
    if found_within is None:
        return None
    if killed >= evidence.MASS_LOSS and killed > left:
        return found_within + hold_time
    return found_within


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a simulation comes to. Times are in seconds; None: unknown.

    :ivar members: that were to join, in so many processes
    :ivar joined: whose call of join has returned
    :ivar joins_per_second: of all processes together
    :ivar all_up_after: from the first call of join until all were seen up
    :ivar up_after: from the call of join until the member was seen up
    :ivar held_for: how long all were held
    :ivar heartbeats: that were run meanwhile
    :ivar heartbeat_failures: so many of them failed
    :ivar seen_held: how often a living member was held, see base.HELD
    :ivar false_downs: how often a living member was seen down
    :ivar down_after: from the kill until the member was seen down
    :ivar promised: the driver's own word for that
    :ivar cpu_per_member: microseconds a second, of the simulation
    :ivar memory_per_member: KiB, of the simulation
    """

    members: int
    processes: int
    joined: int
    joins_per_second: float | None
    seen_up: int
    all_up_after: float | None
    up_after: Spread
    held_for: float
    heartbeats: int
    heartbeat_failures: int
    seen_held: int
    false_downs: int
    killed: int
    found_down: int
    down_after: Spread
    promised: float | None
    cpu_per_member: float | None
    memory_per_member: float | None

    @property
    def passed(self) -> bool:
        """Whether all were seen up, and down only when they were killed."""
        return (
            self.seen_up == self.members
            and self.found_down == self.killed
            and not self.false_downs
        )


class Tally:
    """Takes down what becomes of the members of a plan.

    All times are in seconds of one monotonic clock, and handed in.

    :ivar joining: when each host called join
    :ivar joined: when the call returned
    :ivar refused: what it has raised
    :ivar up: when each was first seen up
    :ivar found: when each that was killed was seen down
    :ivar false_downs: who was seen down although alive, and why
    :ivar held: how many were seen held before the kill
    :ivar usage: of each process while holding
    """

    def __init__(self, wanted: plan.Plan) -> None:
        self._plan = wanted
        self._hosts = wanted.hosts
        self._killed_at: float | None = None
        self.joining: dict[str, float] = {}
        self.joined: dict[str, float] = {}
        self.refused: dict[str, str] = {}
        self.up: dict[str, float] = {}
        self.found: dict[str, float] = {}
        self.false_downs: list[watcher.Transition] = []
        self.held = 0
        self.usage: list[hollow.Usage] = []

    @property
    def all_joined(self) -> bool:
        """Whether every call of join has returned."""
        return len(self.joined) == len(self._hosts)

    @property
    def all_up(self) -> bool:
        """Whether everybody was seen up."""
        return len(self.up) == len(self._hosts)

    @property
    def all_measured(self) -> bool:
        """Whether every process has said what it used."""
        return len(self.usage) == len(self._plan.processes)

    @property
    def all_found(self) -> bool:
        """Whether everybody that was killed, and was up, was seen down."""
        return len(self.found) == len(self._plan.killed & self.up.keys())

    def kill(self, at: float) -> None:
        """Take down when the doomed were killed."""
        self._killed_at = at

    def hear(self, messages: Iterable[object]) -> None:
        """Take what the processes say."""
        for each in messages:
            match each:
                case hollow.Joining(host, begun):
                    self.joining[host] = begun
                case hollow.Joined(host, at, error):
                    self.joined[host] = at
                    if error:
                        self.refused[host] = error
                case hollow.Usage():
                    self.usage.append(each)

    def see(self, transitions: Iterable[watcher.Transition]) -> None:
        """Take what the observer has seen; times are of our clock."""
        for each in transitions:
            if each.host in self._hosts:
                self._see_one(each)

    def _see_one(self, seen: watcher.Transition) -> None:
        dead = self._killed_at is not None and seen.host in self._plan.killed
        if seen.state == base.UP:
            self.up.setdefault(seen.host, seen.at)
        elif seen.state == base.HELD:
            self.held += not dead
        elif dead:
            self.found.setdefault(seen.host, seen.at)
        else:
            self.false_downs.append(seen)

    def summary(self, promised: float | None) -> 'Summary':
        """Return what it comes to.

        :param promised: seconds in which the killed are to be found
        """
        joined = len(self.joined) - len(self.refused)
        begun = min(self.joining.values(), default=0.0)
        taken = max(self.joined.values(), default=0.0) - begun
        killed_at = self._killed_at or 0.0
        return Summary(
            members=len(self._hosts),
            processes=len(self._plan.processes),
            joined=joined,
            joins_per_second=round(joined / taken, 1) if taken > 0 else None,
            seen_up=len(self.up),
            all_up_after=(
                round(max(self.up.values()) - begun, 3)
                if self.all_up
                else None
            ),
            up_after=spread(
                at - self.joining[host]
                for host, at in self.up.items()
                if host in self.joining
            ),
            held_for=round(max((u.seconds for u in self.usage), default=0), 1),
            heartbeats=sum(each.beats for each in self.usage),
            heartbeat_failures=sum(each.failures for each in self.usage),
            seen_held=self.held,
            false_downs=len(self.false_downs),
            killed=0 if self._killed_at is None else len(self._plan.killed),
            found_down=len(self.found),
            down_after=spread(at - killed_at for at in self.found.values()),
            promised=promised,
            cpu_per_member=self._cpu(),
            memory_per_member=self._memory(),
        )

    def failures(self) -> list[str]:
        """Return what was seen and should not be, a line for each kind."""
        dead = self._killed_at is not None
        killed = self._plan.killed if dead else frozenset()
        lost = [each.failure for each in self.usage if each.failure]
        kinds = (
            (
                'could not join',
                [f'{host} ({why})' for host, why in self.refused.items()],
            ),
            ('never seen up', self._hosts - self.up.keys()),
            ('heartbeats have failed', lost),
            (
                'seen down although alive',
                [f'{each.host} ({each.reason})' for each in self.false_downs],
            ),
            (
                'killed, but not seen down',
                (killed & self.up.keys()) - self.found.keys(),
            ),
        )
        return [
            f'{what}: {plan.some(sorted(which))}'
            for what, which in kinds
            if which
        ]

    def _cpu(self) -> float | None:
        """Return the microseconds of CPU for each member and second."""
        rates = [each.cpu / each.seconds for each in self.usage]
        if not rates:
            return None
        return round(1e6 * sum(rates) / len(self._hosts), 1)

    def _memory(self) -> float | None:
        """Return the KiB of memory for each member."""
        if not self.usage:
            return None
        used = sum(each.memory for each in self.usage)
        return round(used / 1024 / len(self._hosts), 1)
