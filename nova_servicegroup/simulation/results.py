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

from collections.abc import Collection, Iterable, Sequence
import math
from typing import Any

from nova_servicegroup.drivers import views
from nova_servicegroup import escaping
from nova_servicegroup import evidence
from nova_servicegroup.simulation import hollow
from nova_servicegroup.simulation import plan
from nova_servicegroup.watch import watcher


def spread(name: str, durations: Iterable[float]) -> dict[str, float | None]:
    """Return the nearest ranks of some durations; None: there are none."""
    ordered = sorted(durations)
    return {
        f'{name}_{rank}': _rank(ordered, share) if ordered else None
        for rank, share in (('p50', 0.5), ('p99', 0.99), ('max', 1.0))
    }


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


class Results:
    """Records what becomes of the members of a plan.

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
    def passed(self) -> bool:
        """Whether all were seen up, and down only when they were killed."""
        killed = self._killed
        return (
            self.up.keys() == self._hosts
            and self.found.keys() == killed
            and not self.false_downs
        )

    @property
    def _killed(self) -> frozenset[str]:
        """The hosts that were killed until now."""
        return frozenset() if self._killed_at is None else self._plan.killed

    def kill(self, at: float) -> None:
        """Record when the doomed were killed."""
        self._killed_at = at

    def receive(self, messages: Iterable[object]) -> None:
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

    def observe(self, transitions: Iterable[watcher.Transition]) -> None:
        """Take what the observer has seen; times are of our clock."""
        for each in transitions:
            if each.host in self._hosts:
                self._observe_one(each)

    def _observe_one(self, seen: watcher.Transition) -> None:
        dead = self._killed_at is not None and seen.host in self._plan.killed
        if seen.state == views.UP:
            self.up.setdefault(seen.host, seen.at)
        elif seen.state != views.DOWN:
            self.held += not dead
        elif dead:
            self.found.setdefault(seen.host, seen.at)
        else:
            self.false_downs.append(seen)

    def summary(self, promised: float | None) -> dict[str, Any]:
        """Return the figures of doc/source/admin/capacity.rst.

        Times are in seconds; None: unknown.

        :param promised: seconds in which the killed are to be found
        """
        return {
            'members': len(self._hosts),
            'processes': len(self._plan.processes),
            **self._joins(),
            'held_for': round(
                max((u.seconds for u in self.usage), default=0), 1
            ),
            'heartbeats': sum(each.beats for each in self.usage),
            'heartbeat_failures': sum(each.failures for each in self.usage),
            'seen_held': self.held,
            'false_downs': len(self.false_downs),
            'killed': len(self._killed),
            'found_down': len(self.found),
            **spread(
                'down_after',
                [at - (self._killed_at or 0.0) for at in self.found.values()],
            ),
            'promised': promised,
            'cpu_per_member': self._cpu(),
            'memory_per_member': self._memory(),
        }

    def _joins(self) -> dict[str, Any]:
        joined = len(self.joined) - len(self.refused)
        begun = min(self.joining.values(), default=0.0)
        taken = max(self.joined.values(), default=0.0) - begun
        all_up = len(self.up) == len(self._hosts)
        return {
            'joined': joined,
            'joins_per_second': round(joined / taken, 1)
            if taken > 0
            else None,
            'seen_up': len(self.up),
            'all_up_after': (
                round(max(self.up.values()) - begun, 3) if all_up else None
            ),
            **spread(
                'up_after',
                [
                    at - self.joining[host]
                    for host, at in self.up.items()
                    if host in self.joining
                ],
            ),
        }

    def failures(self) -> list[str]:
        """Return what was seen and should not be, a line for each kind."""
        refused = [f'{host} ({why})' for host, why in self.refused.items()]
        falsely = [f'{each.host} ({each.reason})' for each in self.false_downs]
        kinds: dict[str, Collection[str]] = {
            'could not join': refused,
            'never seen up': self._hosts - self.up.keys(),
            'heartbeats have failed': [
                each.failure for each in self.usage if each.failure
            ],
            'seen down although alive': falsely,
            'killed, but not seen down': (
                (self._killed & self.up.keys()) - self.found.keys()
            ),
        }
        return [
            f'{what}: {escaping.names(which, plan.NAMED)}'
            for what, which in kinds.items()
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
