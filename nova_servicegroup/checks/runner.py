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

"""Runs the checks of a service, and says when it is of no use."""

from collections.abc import Callable, Mapping
import random
import threading
import time
from typing import Protocol

from oslo_log import log as logging

from nova_servicegroup.checks import base
from nova_servicegroup import condition
from nova_servicegroup import exceptions
from nova_servicegroup import process

LOG = logging.getLogger(__name__)

#: Seconds between two looks at what has become of the checks.
STEP = 1.0
#: Seconds after which a check that has not returned has failed.
TIMEOUT = 8.0
#: Seconds after which one that has failed is repeated, before it counts.
REPEAT = 5.0
#: Seconds within which all members run theirs.
SPREAD = 3.0

#: The states of a check. Only what is FAILING makes the service degraded.
PASSING, SUSPECT, FAILING = 'passing', 'suspect', 'failing'


class Start(Protocol):
    """Starts a call in a thread; see process.start_thread."""

    def __call__(
        self, call: Callable[[], None], name: str, native: bool
    ) -> None: ...


class Runner:
    """Runs checks and tells what a service says of itself.

    Nothing here waits: a timer calls tick, and each check runs in a thread.

    :param interval: seconds between two runs of a check
    :param tell: called with each change; None: the service is of use
    :param clock: by which intervals are measured
    :param wall: the time of day, in seconds since the epoch
    :param chance: a number from 0 to 1, of this process
    """

    def __init__(
        self,
        checks: Mapping[str, base.Check],
        interval: float,
        tell: Callable[[condition.Condition | None], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        start: Start = process.start_thread,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._tell = tell
        shift = chance() * min(SPREAD, interval / 3)
        self._checked = [
            _Checked(
                name, check, _Times(interval, check, shift, clock, wall), start
            )
            for name, check in checks.items()
        ]
        self._said: condition.Condition | None = None
        # The service may stop while a timer is here.
        self._lock = threading.Lock()

    def tick(self) -> None:
        """Run what is due, and tell what has changed."""
        with self._lock:
            if self._is_draining():
                return
            now = self._clock()
            for each in self._checked:
                each.step(now)
            self._say(self._degraded())

    def drain(self) -> None:
        """Tell that the service has begun to stop, and check no more."""
        with self._lock:
            if not self._is_draining():
                self._say(
                    condition.Condition(
                        condition.DRAINING, condition.STOPPING, self._wall()
                    )
                )

    def _is_draining(self) -> bool:
        said = self._said
        return said is not None and said.state == condition.DRAINING

    def _degraded(self) -> condition.Condition | None:
        failing = [each for each in self._checked if each.state == FAILING]
        if not failing:
            return None
        first = min(failing, key=lambda each: each.name)
        return condition.Condition(condition.DEGRADED, first.name, first.since)

    def _say(self, said: condition.Condition | None) -> None:
        if said != self._said:
            self._said = said
            self._tell(said)


class _Times:
    """When a check runs.

    All members run theirs at about the same times of day, so that what harms
    all of them is seen by all at once, and is not taken for the fault of a
    few. Not at the very same: so many messages and files at once would harm.

    :param shift: seconds by which this process is early
    :ivar interval: seconds between two runs
    """

    def __init__(
        self,
        interval: float,
        check: base.Check,
        shift: float,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.interval = interval
        self._shift = shift
        self._least = max(interval, check.least_interval)
        self._clock = clock
        self.wall = wall

    def next(self, passing: bool) -> float:
        """Return when to run it again, by the clock."""
        interval = self._least if passing else self.interval
        return (
            self._clock() + interval - (self.wall() + self._shift) % interval
        )


class _Run:
    """One run of a check.

    :ivar begun: when it was started
    :ivar late: whether it was not awaited any more
    :ivar done: whether it has ended
    :ivar trouble: what has gone wrong; None: nothing has
    """

    def __init__(self, check: base.Check, begun: float) -> None:
        self._check = check
        self.begun = begun
        self.late = False
        self.done = False
        self.trouble: str | None = None

    def run(self) -> None:
        """Run it, and keep what comes of it."""
        try:
            self._check.check()
        except BaseException as error:
            # The thread ends in any case.
            self.trouble = exceptions.first_line(error)
        self.done = True


class _Checked:
    """A check, and what has become of it so far.

    :ivar state: PASSING, SUSPECT or FAILING
    :ivar since: when it last began to fail, by the time of day
    """

    def __init__(
        self, name: str, check: base.Check, times: _Times, start: Start
    ) -> None:
        self.name = name
        self.state = PASSING
        self.since = 0.0
        self._check = check
        self._times = times
        self._start = start
        self._run: _Run | None = None
        # When to run it, or when its run has taken too long.
        self._due = times.next(passing=True)

    def step(self, now: float) -> None:
        """Start it, take what has become of it, or tire of waiting."""
        run = self._run
        if run is not None and run.done:
            self._end(run, now)
        elif now < self._due:
            return
        elif run is None:
            self._begin(now)
        else:
            run.late = True
            self._failed(now, f'no answer for {now - run.begun:.0f} s')

    def _begin(self, now: float) -> None:
        self._run = _Run(self._check, now)
        self._due = now + TIMEOUT
        try:
            self._start(
                self._run.run,
                f'servicegroup-check-{self.name}',
                self._check.blocks,
            )
        except RuntimeError as error:
            self._run = None
            self._failed(now, str(error))

    def _end(self, run: _Run, now: float) -> None:
        self._run = None
        if run.late:
            # It has been judged, and what it says now may be old. One that is
            # only slow does not run more often for it.
            if now - run.begun >= self._times.interval:
                self._begin(now)
        elif run.trouble is None:
            self._passed()
        else:
            self._failed(now, run.trouble)

    def _passed(self) -> None:
        if self.state == FAILING:
            LOG.info('The check %s succeeds again.', self.name)
        self.state = PASSING
        self._due = self._times.next(passing=True)

    def _failed(self, now: float, why: str) -> None:
        if self.state == PASSING:
            LOG.debug('The check %s has failed once: %s', self.name, why)
            self.state, self.since = SUSPECT, self._times.wall()
            self._due = now + REPEAT
            return
        if self.state == SUSPECT:
            LOG.warning(
                'The check %s has failed twice: %s. Until it succeeds, the '
                'scheduler passes over this service; it stays up.',
                self.name,
                why,
            )
        self.state = FAILING
        self._due = self._times.next(passing=False)
