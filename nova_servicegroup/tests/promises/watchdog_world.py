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

"""A host with a watchdog, and a backend, in virtual time."""

from collections.abc import Callable
import dataclasses
import heapq
import itertools
import math
import random

AGENT, CLAIM = 'host', 'claim'
GROUPS = AGENT, CLAIM
#: Seconds of one schedule.
LASTS = 150.0
#: The time after which a member is dropped, at most, by its expiry.
EXPIRES = 1.3


class World:
    """Virtual time, and what happens in it.

    :ivar faults: those that are in force, by name: until when
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.now = 0.0
        self.faults: dict[str, float] = {}
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(
            self._queue, (self.now + seconds, next(self._numbers), call)
        )

    def every(self, seconds: float, call: Callable[[], bool]) -> None:
        """Call at varying intervals, until it returns False."""

        def run() -> None:
            if call():
                self.after(seconds * self.chance.uniform(0.8, 1.3), run)

        self.after(seconds * self.chance.random(), run)

    def run(self, until: float) -> None:
        while self._queue and self._queue[0][0] <= until:
            self.now, _, call = heapq.heappop(self._queue)
            call()
        self.now = max(self.now, until)

    def has(self, fault: str) -> bool:
        return self.now < self.faults.get(fault, -math.inf)

    def left(self, *faults: str) -> float:
        """Return the seconds until none of them is in force."""
        ends = [self.faults.get(each, -math.inf) for each in faults]
        return max(0.0, max(ends) - self.now)


@dataclasses.dataclass
class Member:
    """A membership in the backend, with what it was at each moment.

    :ivar changes: (when, whether it is there, whether it shows that it stops)
    """

    owner: int = 0
    expires: float = -math.inf
    changes: list[tuple[float, bool, bool]] = dataclasses.field(
        default_factory=lambda: [(-math.inf, False, False)]
    )

    def at(self, moment: float) -> tuple[bool, bool]:
        for when, there, stops in reversed(self.changes):
            if when <= moment:
                return there, stops
        raise AssertionError(moment)

    def set(self, now: float, there: bool, stops: bool) -> None:
        if self.changes[-1][1:] != (there, stops):
            self.changes.append((now, there, stops))


class Backend:
    """The memberships of one host, each of several owners one after another.

    It drops a member that was not renewed for expiry seconds, a little later.
    """

    def __init__(self, world: World, expiry: float) -> None:
        self.world = world
        self.expiry = expiry
        # By group: those of each incarnation of the agent.
        self.members: dict[str, dict[int, Member]] = {
            each: {} for each in GROUPS
        }
        world.every(0.5, self._expire)

    def renew(self, group: str, owner: int, stops: bool) -> None:
        found = self.members[group].setdefault(owner, Member(owner))
        found.expires = self.world.now + self.expiry * (
            self.world.chance.uniform(1, EXPIRES)
        )
        found.set(self.world.now, True, stops)

    def drop(self, group: str, owner: int) -> None:
        found = self.members[group].get(owner)
        if found is not None:
            found.expires = -math.inf
            found.set(self.world.now, False, False)

    def wipe(self) -> None:
        for group in GROUPS:
            for owner in self.members[group]:
                self.drop(group, owner)

    def _expire(self) -> bool:
        if self.world.has('backend'):
            return True
        for group in GROUPS:
            for owner, each in self.members[group].items():
                if each.expires < self.world.now:
                    self.drop(group, owner)
        return True

    def at(self, group: str, moment: float) -> tuple[bool, bool]:
        """Return whether the host was a member, and showed that it stops.

        It shows that only if each of its memberships does.
        """
        found = [each.at(moment) for each in self.members[group].values()]
        stops = [stop for there, stop in found if there]
        return bool(stops), all(stops)


class Hardware:
    """The watchdog, and the host that it resets."""

    def __init__(self, world: World, timeout: float) -> None:
        self.world = world
        self._timeout = timeout
        self.armed_until = math.inf
        self.dead_at = math.inf

    @property
    def dead(self) -> bool:
        self._check()
        return self.world.now >= self.dead_at

    def _check(self) -> None:
        if self.armed_until <= self.world.now:
            self.dead_at = min(self.dead_at, self.armed_until)

    def feed(self) -> None:
        self._check()
        if not self.dead:
            self.armed_until = self.world.now + self._timeout

    def close(self) -> None:
        """Feed it once more, as the kernel does for one that was killed."""
        if self.armed_until < math.inf:
            self.feed()

    def disarm(self) -> None:
        self._check()
        if not self.dead:
            self.armed_until = math.inf

    def die(self) -> None:
        """Lose power."""
        self._check()
        self.dead_at = min(self.dead_at, self.world.now)
