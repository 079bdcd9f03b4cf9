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

"""The agent of a host with a watchdog, and an observer, in virtual time.

The guard, its lease and the rules of the observer are the real ones.
"""

from collections.abc import Callable

from nova_servicegroup.agent import guarding
from nova_servicegroup.agent import ports
from nova_servicegroup.agent import watchdog
from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import fencing
from nova_servicegroup.tests.promises import watchdog_world as worlds
from nova_servicegroup.watch import claims
from nova_servicegroup.watch import deaths

AGENT, CLAIM, GROUPS = worlds.AGENT, worlds.CLAIM, worlds.GROUPS
#: Seconds for which the agent stays after the watchdog is disarmed.
_NOTICE = 2.0
#: Seconds for which an observer stands still between two groups, at most.
_PAUSE = 12.0


class Agent:
    """One process of the agent: the ports of the real guard.

    :param number: its incarnation
    """

    def __init__(
        self,
        number: int,
        backend: worlds.Backend,
        hardware: worlds.Hardware,
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
            ports.Times(timeout, _stop_within(backend)),
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

    def open(self, claimed: bool) -> bool:
        self.feed()
        return True

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

    def disarm(self) -> bool:
        self._hardware.disarm()
        return True

    def agent_proof(self) -> float | None:
        return self._proofs[AGENT]

    def claim_proof(self) -> float | None:
        return self._proofs[CLAIM]

    def see_agent(self) -> ports.Seen | None:
        return self._see(AGENT)

    def see_claim(self) -> ports.Seen | None:
        return self._see(CLAIM)

    def _see(self, group: str) -> ports.Seen | None:
        if not self._reaches():
            return None
        age = self._world.chance.uniform(0, 1)
        there, stops = self._backend.at(
            group, self._world.now - self._world.chance.uniform(0, age)
        )
        return ports.Seen(there, stops, self.clock() - age)

    def join(self) -> None:
        self._joined[CLAIM] = True

    def leave(self) -> None:
        self._joined[CLAIM], self._proofs[CLAIM] = False, None
        if self._reaches():
            self._backend.drop(CLAIM, self.number)


def _stop_within(backend: worlds.Backend) -> float:
    """Return the seconds of a clean stop; see fencing.stop_within."""
    return worlds.EXPIRES * backend.expiry + fencing.NOTICE + 10.0


class Observer:
    """An observer, with its real rules and its own clock.

    :param lag: seconds by which its server is behind
    :ivar pauses: the share of readings between whose groups it stands still
    :ivar reset_at: when the claim alone has first shown a reset, in true time
    :ivar fenced_at: when the agent was silent, too
    """

    def __init__(
        self, backend: worlds.Backend, name: str, within: int, lag: float
    ) -> None:
        self._backend = backend
        self._world = world = backend.world
        self._name = name
        self.lag = lag
        self._ahead = world.chance.uniform(0, 1e6)
        self._claims = claims.Claims(
            within,
            backend.expiry,
            min(fencing.NOTICE, backend.expiry),
            (self._clock,),
        )
        self._agents = deaths.Agents(2 * backend.expiry)
        self.reset_at: float | None = None
        self.fenced_at: float | None = None
        self.pauses = 0.02
        self._reads = False
        world.every(world.chance.choice((0.4, 1.0, 1.6)), self._poll)

    def _clock(self) -> float:
        return self._world.now + self._ahead

    def _poll(self) -> bool:
        frozen = self._world.left(f'{self._name} frozen')
        if frozen or self._reads:
            return True
        begun, claimed = self._clock(), self._view(CLAIM)
        chance, self._reads = self._world.chance, True
        pause = 0.0
        if chance.random() < self.pauses:
            pause = chance.uniform(0, _PAUSE)
        self._world.after(pause, lambda: self._take(claimed, begun))
        return self.fenced_at is None

    def _take(self, claimed: views.View, begun: float) -> None:
        """Go on with the group of agents."""
        now, self._reads = self._clock(), False
        found = self._view(AGENT)
        self._agents.update(found, now)
        self._claims.update(claimed, found, begun, now)
        if self.reset_at is None and self._claims.is_fenced('a'):
            self.reset_at = self._world.now
        silent = self._agents.evidence('a', 'compute', None, False)
        if self.reset_at is not None and silent == deaths.SILENT:
            self.fenced_at = self._world.now

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
