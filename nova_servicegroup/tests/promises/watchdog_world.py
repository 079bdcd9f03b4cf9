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

"""One host with a watchdog, a backend and observers, in virtual time.

The guard, its lease and the observers are the real ones. The host, its
hardware and the backend are not.
"""

from collections.abc import Callable
import dataclasses
import heapq
import itertools
import math
import random

from nova_servicegroup.agent import guarding
from nova_servicegroup.agent import watchdog
from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import fencing
from nova_servicegroup.watch import claims
from nova_servicegroup.watch import deaths

AGENT, CLAIM = 'host', 'claim'
GROUPS = AGENT, CLAIM
#: Seconds of one schedule.
LASTS = 150.0
#: The time after which a member is dropped, at most, by its expiry.
EXPIRES = 1.3
#: Seconds for which the agent stays after the watchdog is disarmed.
_NOTICE = 2.0


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
        """Return whether the host was a member, and showed that it stops."""
        found = [each.at(moment) for each in self.members[group].values()]
        return any(there for there, _ in found), any(stop for _, stop in found)


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

    def disarm(self) -> None:
        self._check()
        if not self.dead:
            self.armed_until = math.inf

    def die(self) -> None:
        """Lose power."""
        self._check()
        self.dead_at = min(self.dead_at, self.world.now)


class Agent:
    """One process of the agent: the ports of the real guard.

    :param number: its incarnation
    """

    def __init__(
        self,
        number: int,
        backend: Backend,
        hardware: Hardware,
        timeout: int,
    ) -> None:
        self.number = number
        self.timeout = timeout
        self.killed = self.stops = self.shows = self.gone = False
        self._joined = {AGENT: True, CLAIM: False}
        self._proofs: dict[str, float | None] = dict.fromkeys(GROUPS)
        self._backend = backend
        self._hardware = hardware
        self._world = world = backend.world
        self.guard = guarding.Guard(
            self,
            watchdog.Lease(
                backend.expiry,
                clock=self.clock,
                boot=lambda: world.now,
            ),
            self,
            timeout,
            clock=self.clock,
        )
        for group in GROUPS:
            world.every(
                min(1.0, backend.expiry / 3),
                lambda each=group: self._when_awake(
                    lambda: self._heartbeat(each)
                ),
            )
        world.every(0.5, lambda: self._when_awake(self._poll))
        world.every(timeout / 4, lambda: self._when_awake(self.guard.feed))

    def clock(self) -> float:
        """Return the monotonic time, which suspensions do not count in."""
        return self._world.now - self._world.faults.get('slept', 0.0)

    @property
    def over(self) -> bool:
        return self.killed or self.gone or self._hardware.dead

    def _when_awake(self, call: Callable[[], None]) -> bool:
        """Call it now, or when the process goes on; return whether it lives.

        A process that is killed while it is frozen does not.
        """
        frozen = self._world.left('agent', 'host')
        if frozen:
            self._world.after(
                frozen + 0.01, lambda: None if self.over else call()
            )
            return not self.over
        if not self.over:
            call()
        return not self.over

    def _reaches(self) -> bool:
        return not (
            self._world.has('backend') or self._world.has('agent cut off')
        )

    def _heartbeat(self, group: str) -> None:
        if not self._joined[group] or not self._reaches():
            return
        chance, sent = self._world.chance, self.clock()

        def arrive() -> None:
            if not self._reaches() or not self._joined[group]:
                return
            self._backend.renew(
                group, self.number, self.shows and group == AGENT
            )
            if chance.random() < 0.95:
                self._world.after(
                    chance.uniform(0, 0.2), lambda: self._when_awake(confirm)
                )

        def confirm() -> None:
            if self._joined[group]:
                self._proofs[group] = max(self._proofs[group] or 0.0, sent)

        self._world.after(chance.uniform(0, 0.2), arrive)

    def _poll(self) -> None:
        if self.stops:
            self.guard.stop()
        self.guard.poll()
        if self.guard.ended and self.stops:
            self.stops = False
            self._world.after(
                _NOTICE, lambda: self._when_awake(self._leave_all)
            )

    def _leave_all(self) -> None:
        self.gone = True
        for group in GROUPS:
            if self._reaches():
                self._backend.drop(group, self.number)

    def stop(self) -> None:
        """Begin a clean stop."""
        self.stops = self.shows = True

    # The ports of the guard.

    def open(self) -> None:
        self.feed()

    def feed(self) -> None:
        """Write, at once or after the process has been frozen."""
        if self._world.faults.pop('frozen write', None):
            seconds = self._world.chance.uniform(0, 1.2 * self.timeout)
            self._world.faults['agent'] = self._world.now + seconds

            def write() -> None:
                if not self.killed:
                    self._hardware.feed()

            self._world.after(seconds, write)
        else:
            self._hardware.feed()

    def disarm(self) -> None:
        self._hardware.disarm()

    def agent_proof(self) -> float | None:
        return self._proofs[AGENT]

    def claim_proof(self) -> float | None:
        return self._proofs[CLAIM]

    def see_agent(self) -> guarding.Seen | None:
        return self._see(AGENT)

    def see_claim(self) -> guarding.Seen | None:
        return self._see(CLAIM)

    def _see(self, group: str) -> guarding.Seen | None:
        if not self._reaches():
            return None
        age = self._world.chance.uniform(0, 1)
        there, stops = self._backend.at(
            group, self._world.now - self._world.chance.uniform(0, age)
        )
        return guarding.Seen(there, stops, self.clock() - age)

    def join(self) -> None:
        self._joined[CLAIM] = True

    def leave(self) -> None:
        self._joined[CLAIM], self._proofs[CLAIM] = False, None
        if self._reaches():
            self._backend.drop(CLAIM, self.number)


class Observer:
    """An observer, with its real rules and its own clock.

    :param lag: seconds by which its server is behind
    :ivar reset_at: when the claim alone has first shown a reset, in true time
    :ivar fenced_at: when the agent was silent, too
    """

    def __init__(
        self, backend: Backend, name: str, within: int, lag: float
    ) -> None:
        self._backend = backend
        self._world = world = backend.world
        self._name = name
        self.lag = lag
        self._ahead = world.chance.uniform(0, 1e6)
        self._claims = claims.Claims(
            within, backend.expiry, min(fencing.NOTICE, backend.expiry)
        )
        self._agents = deaths.Agents(2 * backend.expiry)
        self.reset_at: float | None = None
        self.fenced_at: float | None = None
        world.every(world.chance.choice((0.4, 1.0, 1.6)), self._poll)

    def _poll(self) -> bool:
        frozen = self._world.left(f'{self._name} frozen')
        if frozen:
            return True
        now = self._world.now + self._ahead
        claimed, found = self._view(CLAIM), self._view(AGENT)
        self._agents.update(found, now)
        self._claims.update(claimed, found, now)
        if self.reset_at is None and self._claims.is_fenced('a'):
            self.reset_at = self._world.now
        silent = self._agents.evidence('a', 'compute', None, False)
        if self.reset_at is not None and silent == deaths.SILENT:
            self.fenced_at = self._world.now
        return self.fenced_at is None

    def _view(self, group: str) -> views.View:
        if self._world.has('backend') or self._world.has(self._name):
            return views.View(
                (), 1.0, exceptions.BackendError('it', 'away'), asked=1.0
            )
        age = self._world.chance.uniform(0, 1.0)
        read = self._world.now - self._world.chance.uniform(0, age)
        there, stops = self._backend.at(group, read - self.lag)
        members = [views.Member('b', group, True, False, age)]
        if there:
            reported = (
                condition.Condition(condition.DRAINING, 'stopping', 0.0)
                if stops
                else None
            )
            members.append(
                views.Member('A', group, True, False, age, condition=reported)
            )
        return views.View(tuple(members), age, asked=age)
