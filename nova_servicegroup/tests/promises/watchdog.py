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

"""``python -m nova_servicegroup.tests.promises.watchdog``: is *fenced* true?

Random schedules of faults around one host with a watchdog. The promises:

- After an observer has said *fenced*, the host does nothing any more.
- A host that dies while all else is well is *fenced* within the stated time.
- A host is not reset while the backend is well and its agent, which may be
  killed, is started again at once, or stops cleanly.
"""

import argparse
from collections.abc import Callable
import dataclasses
import logging
import math
import random
import sys

from nova_servicegroup.tests.promises import watchdog_mutations
from nova_servicegroup.tests.promises import watchdog_parts as parts
from nova_servicegroup.tests.promises import watchdog_world as worlds

#: The session timeouts or TTLs, and the timeouts of watchdogs.
_EXPIRIES, _TIMEOUTS = (4.0, 10.0, 10.0, 30.0), (2, 4, 10, 10, 30)
#: What may happen for some time: to observers; and in all.
_OBSERVER_FAULTS = ('one', 'two', 'one frozen', 'two frozen')
_FAULTS = (
    *_OBSERVER_FAULTS,
    'agent',
    'host',
    'frozen write',
    'agent cut off',
    'backend',
)
#: Seconds of two readings, at most 2.1 s apart and 1 s old, and of 0.7 s in
#: which the backend finds who has expired.
_READINGS = 7.0
#: The shortest lease with which a clean stop is confirmed in time.
_LEAST = 7.0
#: Seconds for a host to be well, at first.
_STARTED = 20.0


@dataclasses.dataclass
class Result:
    """What one schedule has shown.

    :ivar problem: the promise that it refutes, or None
    :ivar fenced: how many observers have said so
    :ivar is_dead: whether the host is dead in the end
    """

    problem: str | None
    fenced: int
    is_dead: bool
    events: list[str]


class Schedule:
    """One random schedule of faults."""

    def __init__(self, seed: int, within: Callable[[float, int], int]) -> None:
        self.chance = chance = random.Random(seed)
        self.expiry = chance.choice(_EXPIRIES)
        self.timeout = chance.choice(_TIMEOUTS)
        self.within = math.ceil(self.expiry + 3 * self.timeout)
        self.world = worlds.World(chance)
        self.backend = worlds.Backend(self.world, self.expiry)
        self.hardware = worlds.Hardware(self.world, self.timeout)
        self.events: list[str] = []
        self.agent = self._start_agent(1)
        self.observers = [
            parts.Observer(
                self.backend,
                name,
                within(self.expiry, self.timeout),
                chance.choice((0.0, 0.0, 0.5, 0.9)) * self.expiry,
            )
            for name in ('one', 'two')
        ]
        self.dies = chance.random() < 0.15
        self.is_well = False
        self.wants_verdicts = True
        self.last = 0.0

    def _start_agent(self, number: int) -> parts.Agent:
        return parts.Agent(number, self.backend, self.hardware, self.timeout)

    def run(self) -> Result:
        """Run it."""
        begins = _STARTED + 2 * self.timeout
        if self.dies:
            # One that stands still sees nobody fenced.
            for each in self.observers:
                each.pauses = 0.0
            self._at(begins + 20, self._lose_power)
        else:
            self._plan(begins)
        self._run()
        dead = self.hardware.dead
        told = [
            each.reset_at
            for each in self.observers
            if each.reset_at is not None
        ]
        return Result(
            self._problem(told), len(told), dead, sorted(self.events)
        )

    def _run(self) -> None:
        """Run until every observer must have said what it may."""
        ends = self.last + self.within + 3 * self.expiry + 10.0
        for moment in (self.last, *range(int(self.last), int(ends), 5), ends):
            told = [each.fenced_at for each in self.observers]
            if self.hardware.dead and None not in told:
                return
            self.world.run(moment)

    def _at(self, moment: float, call: Callable[[], None]) -> None:
        self.last = max(self.last, moment)
        self.world.after(max(0.0, moment - self.world.now), call)

    def _lose_power(self) -> None:
        self._log('power lost')
        self.hardware.die()

    def _problem(self, told: list[float]) -> str | None:
        early = [each for each in told if each < self.hardware.dead_at]
        if early:
            return (
                f'fenced at {early[0]:.1f}, alive until '
                f'{self.hardware.dead_at:.1f}'
            )
        if self.is_well and self.hardware.dead:
            return f'reset at {self.hardware.dead_at:.1f}, and well'
        if not self.dies or not self.wants_verdicts:
            return None
        for each in self.observers:
            # As evacuation.rst states it, with the lag of its server.
            bound = (
                self.hardware.dead_at
                + worlds.EXPIRES * self.expiry
                + each.lag
                + self.within
                + self.expiry
                + _READINGS
            )
            if each.fenced_at is None or each.fenced_at > bound:
                died = self.hardware.dead_at
                return f'died at {died:.1f}, fenced at {each.fenced_at}'
        return None

    def _log(self, what: str) -> None:
        self.events.append(f'{self.world.now:7.2f} {what}')

    def _plan(self, begins: float) -> None:
        """Choose what happens: of all, or much of what goes together."""
        moment = begins + self.chance.uniform(0, 40)
        self.chance.choice(
            (
                self._plan_any,
                self._plan_stop,
                self._plan_restarts,
                self._doze,
                self._plan_well,
                self._plan_late_kill,
            )
        )(moment)

    def _plan_late_kill(self, moment: float) -> None:
        """Stand still between the check and the write; be killed then."""
        self._cut_off(moment, 300.0)
        self._at(moment, lambda: self._break('frozen write', self.expiry))
        kill = self.expiry / 2 + self.timeout * self.chance.uniform(1.5, 2)
        self._at(moment + kill, self._end_agent)

    def _plan_well(self, moment: float) -> None:
        """Kill the agent several times, and stop it cleanly soon after.

        The lease has to be as long as evacuation.rst says.
        """
        self.is_well = self.expiry >= _LEAST
        for _ in range(self.chance.randint(0, 5)):
            self._at(moment, self._kill_and_start)
            moment += self.chance.choice((0.5, 2.0, 30.0))
        self._at(moment, self._stop)
        # Observers may have it otherwise.
        faults = self._faults(*_OBSERVER_FAULTS)
        for fault in self.chance.sample(faults, 2):
            self._at(moment + self.chance.uniform(-6, 8), fault)

    def _plan_any(self, moment: float) -> None:
        for _ in range(self.chance.randint(1, 6)):
            when = self.chance.uniform(moment, worlds.LASTS)
            for fault in self.chance.sample(
                self._faults(*_FAULTS), self.chance.choice((1, 2))
            ):
                self._at(when + self.chance.uniform(0, 3), fault)

    def _plan_stop(self, moment: float) -> None:
        """Stop the agent; what is near concerns mostly the observers."""
        self._at(moment, self._stop)
        faults = self._faults(*_OBSERVER_FAULTS, 'agent cut off', 'backend')
        for fault in self.chance.sample(faults, self.chance.randint(1, 3)):
            self._at(moment + self.chance.uniform(-6, 8), fault)
        if self.chance.random() < 0.4:
            # Its claim is lost, and comes back, before.
            seconds = self.expiry * self.chance.uniform(1.2, 1.8)
            self._cut_off(moment - seconds - 8, seconds)

    def _plan_restarts(self, moment: float) -> None:
        """Kill the agent again and again, when it has no claim any more."""
        self._cut_off(moment, self.expiry * self.chance.uniform(0.8, 1.5))
        when = moment + self.expiry
        for _ in range(self.chance.randint(2, 20)):
            self._at(when, self._kill_and_start)
            when += self.timeout * self.chance.uniform(0.5, 0.9)

    def _doze(self, moment: float) -> None:
        """Suspend a host that is cut off, for a little, many times."""
        self._cut_off(moment, 300.0)
        for _ in range(60):
            pause = self.timeout * self.chance.uniform(0.5, 0.7)
            self._at(moment, lambda each=pause: self._suspend(each))
            moment += pause + self.timeout * self.chance.uniform(0.3, 0.4)

    def _cut_off(self, moment: float, seconds: float) -> None:
        self._at(moment, lambda: self._break('agent cut off', seconds))

    def _faults(self, *names: str) -> list[Callable[[], None]]:
        some = [lambda name=name: self._break(name) for name in names]
        if names != _FAULTS:
            return some
        return [
            *some,
            self._suspend,
            self._kill,
            self._stop,
            self._wipe,
            self._lose_power,
        ]

    def _break(self, name: str, seconds: float | None = None) -> None:
        if seconds is None:
            usual = self.chance.choice(
                (2.0, 6.0, self.timeout, self.expiry, self.within)
            )
            seconds = usual * self.chance.uniform(0.3, 1.3)
        self._log(f'{name} for {seconds:.1f} s')
        self.world.faults[name] = self.world.now + seconds

    def _suspend(self, seconds: float | None = None) -> None:
        """Suspend the host; its hardware goes on."""
        if self.hardware.dead:
            return
        seconds = seconds or self.chance.uniform(1, self.timeout)
        self._log(f'suspended for {seconds:.1f} s')
        faults, now = self.world.faults, self.world.now
        faults['host'] = max(faults.get('host', 0.0), now + seconds)
        faults['slept'] = faults.get('slept', 0.0) + seconds

    def _kill(self) -> None:
        """Kill the agent, which is mostly started again."""
        if self.agent.over:
            return
        self._log('agent killed')
        self._end_agent()
        if self.chance.random() < 0.8:
            pause = self.chance.choice((0.5, 3.0, self.timeout, 30.0))
            self.world.after(pause, self._restart)
            if self.chance.random() < 0.4:
                self.world.after(pause + self.timeout / 2, self._kill)

    def _kill_and_start(self) -> None:
        self._log('agent killed')
        self._end_agent()
        self._restart()

    def _end_agent(self) -> None:
        self.agent.killed = True
        self.hardware.close()

    def _restart(self) -> None:
        if self.agent.over and not self.hardware.dead:
            self._log('agent started')
            self.agent = self._start_agent(self.agent.number + 1)

    def _stop(self) -> None:
        self._log('agent stops')
        self.agent.stop()
        if self.chance.random() < 0.3:
            self.world.after(40.0, self._restart)

    def _wipe(self) -> None:
        """Drop all members; a stop in that moment is not covered."""
        if self.agent.shows:
            return
        self._log('all members dropped')
        self.backend.wipe()


def main() -> int:
    """Run schedules; 1 if one refutes a promise."""
    parser = argparse.ArgumentParser(prog=__doc__.split('`')[2])
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--schedules', type=int, default=1)
    parser.add_argument('--mutate', help='the rule to break')
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    fenced = dead = refuted = 0
    with watchdog_mutations.mutated(args.mutate) as within:
        for seed in range(args.seed, args.seed + args.schedules):
            schedule = Schedule(seed, within)
            schedule.wants_verdicts = not args.mutate
            result = schedule.run()
            fenced += result.fenced
            dead += result.is_dead
            if result.problem is not None:
                refuted += 1
                print(f'seed {seed}: {result.problem}')
                print(f'expiry {schedule.expiry}, timeout {schedule.timeout}')
                print('\n'.join(result.events))
                if args.mutate:
                    break
    print(
        f'{args.schedules} schedules from {args.seed}: {dead} hosts died, '
        f'{fenced} verdicts, {refuted} refuted'
    )
    return 1 if refuted else 0


if __name__ == '__main__':
    sys.exit(main())
