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

"""The observations of a simulation and their summary. Pure."""

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
    """Return percentiles of durations by nearest rank; None without any."""
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
    """Return the seconds within which killed hosts must be seen down, or None.

    They are longer by hold_time if most of a group is killed at once.

    :param found_within: the driver's bound in seconds; None: it has none
    """
    killed, left = len(wanted.killed), len(wanted.hosts - wanted.killed)
    if found_within is None:
        return None
    if evidence.is_mass(killed, left):
        return found_within + hold_time
    return found_within


class Results:
    """The record of what happened to the members of a plan.

    All times are in seconds of one monotonic clock, and handed in.

    :ivar joining: when each host called join
    :ivar joined: the message of each host that the call returned
    :ivar up: when each host was first seen up
    :ivar found: when each killed host was seen down
    :ivar not_up: the transitions of living hosts to other states than up
    :ivar usage: that of each process while holding
    """

    def __init__(self, wanted: plan.Plan) -> None:
        self._plan = wanted
        self._killed_at: float | None = None
        self.joining: dict[str, float] = {}
        self.joined: dict[str, hollow.Joined] = {}
        self.up: dict[str, float] = {}
        self.found: dict[str, float] = {}
        self.not_up: list[watcher.Transition] = []
        self.usage: list[hollow.Usage] = []

    @property
    def passed(self) -> bool:
        """Whether all were seen up, and down only after they were killed."""
        return (
            self.up.keys() == self._plan.hosts
            and self.found.keys() == self._killed
            and not self._false_downs
        )

    @property
    def _false_downs(self) -> list[watcher.Transition]:
        """The transitions to down of living hosts."""
        return [each for each in self.not_up if each.state == views.DOWN]

    @property
    def _refused(self) -> list[hollow.Joined]:
        """The messages of hosts that could not join."""
        return [each for each in self.joined.values() if each.error]

    @property
    def _killed(self) -> frozenset[str]:
        """The hosts that were killed so far."""
        return frozenset() if self._killed_at is None else self._plan.killed

    def kill(self, at: float) -> None:
        """Record when the doomed were killed."""
        self._killed_at = at

    def receive(self, messages: Iterable[object]) -> None:
        """Record messages of the processes."""
        for each in messages:
            match each:
                case hollow.Joining(host, begun):
                    self.joining[host] = begun
                case hollow.Joined(host):
                    self.joined[host] = each
                case hollow.Usage():
                    self.usage.append(each)

    def observe(self, transitions: Iterable[watcher.Transition]) -> None:
        """Record transitions that the observer has seen."""
        hosts = self._plan.hosts
        for each in transitions:
            if each.host in hosts and not each.keeps_state:
                self._observe_one(each)

    def _observe_one(self, seen: watcher.Transition) -> None:
        dead = self._killed_at is not None and seen.host in self._plan.killed
        if seen.state == views.UP:
            self.up.setdefault(seen.host, seen.at)
        elif not dead:
            self.not_up.append(seen)
        elif seen.state == views.DOWN:
            self.found.setdefault(seen.host, seen.at)

    def summary(self, promised: float | None) -> dict[str, Any]:
        """Return the figures of doc/source/admin/capacity.rst.

        Times are in seconds; None: unknown.

        :param promised: seconds within which killed hosts must be seen down
        """
        killed_at, false_downs = self._killed_at or 0.0, len(self._false_downs)
        return {
            'members': len(self._plan.hosts),
            'processes': len(self._plan.processes),
            **self._joins(),
            **self._heartbeats(),
            'seen_held': len(self.not_up) - false_downs,
            'false_downs': false_downs,
            'killed': len(self._killed),
            'found_down': len(self.found),
            **spread(
                'down_after', [at - killed_at for at in self.found.values()]
            ),
            'promised': promised,
            'cpu_per_member': self._cpu(),
            'memory_per_member': self._memory(),
        }

    def _joins(self) -> dict[str, Any]:
        joined = len(self.joined) - len(self._refused)
        begun = min(self.joining.values(), default=0.0)
        last = max((each.at for each in self.joined.values()), default=0.0)
        rate = round(joined / (last - begun), 1) if last > begun else None
        all_up = len(self.up) == len(self._plan.hosts)
        return {
            'joined': joined,
            'joins_per_second': rate,
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

    def _heartbeats(self) -> dict[str, Any]:
        held_for = max((each.seconds for each in self.usage), default=0)
        return {
            'held_for': round(held_for, 1),
            'heartbeats': sum(each.heartbeats for each in self.usage),
            'heartbeat_failures': sum(each.failures for each in self.usage),
        }

    def failures(self) -> list[str]:
        """Return a line for each kind of failure that was seen."""
        kinds: dict[str, Collection[str]] = {
            'could not join': [
                f'{each.host} ({each.error})' for each in self._refused
            ],
            'never seen up': self._plan.hosts - self.up.keys(),
            'heartbeats have failed': [
                each.failure for each in self.usage if each.failure
            ],
            'seen down although alive': [
                f'{each.host} ({each.reason})' for each in self._false_downs
            ],
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
        return round(1e6 * sum(rates) / len(self._plan.hosts), 1)

    def _memory(self) -> float | None:
        """Return the KiB of memory for each member."""
        if not self.usage:
            return None
        used = sum(each.memory for each in self.usage)
        return round(used / 1024 / len(self._plan.hosts), 1)
