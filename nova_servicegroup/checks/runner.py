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

"""Runs the checks of a service and reports when it is degraded or draining."""

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

#: Seconds between two calls of Runner.tick.
STEP = 1.0
#: Seconds after which a check that has not returned has failed.
TIMEOUT = 8.0
#: Seconds after which a check that failed once is repeated.
REPEAT = 5.0
#: Seconds within which all members run their checks.
SPREAD = 3.0

#: The states of a check. Only FAILING makes the service degraded.
PASSING, SUSPECT, FAILING = 'passing', 'suspect', 'failing'


class Start(Protocol):
    """A function that starts a call in a thread; see process.start_thread."""

    def __call__(
        self, call: Callable[[], None], name: str, native: bool
    ) -> None: ...


class Runner:
    """The runner of a service's checks, which reports the service's condition.

    Nothing here waits: a timer calls tick, and each check runs in a thread.

    :param interval: seconds between two runs of a check
    :param report: called with each new condition; None: all checks pass
    :param clock: a monotonic clock, for intervals
    :param wall: the time of day, in seconds since the epoch
    :param chance: returns a random number from 0 to 1
    """

    def __init__(
        self,
        checks: Mapping[str, base.Check],
        interval: float,
        report: Callable[[condition.Condition | None], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        start: Start = process.start_thread,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._report = report
        shift = chance() * min(SPREAD, interval / 3)
        self._scheduled = [
            _ScheduledCheck(
                name, check, _Times(interval, check, shift, clock, wall), start
            )
            for name, check in checks.items()
        ]
        self._condition: condition.Condition | None = None
        # drain may be called while a timer runs tick.
        self._lock = threading.Lock()

    def tick(self) -> None:
        """Run the due checks and report a change of the condition."""
        with self._lock:
            if self._is_draining():
                return
            now = self._clock()
            for each in self._scheduled:
                each.step(now)
            self._update(self._degraded())

    def drain(self) -> None:
        """Report that the service has begun to stop, and check no more."""
        with self._lock:
            if not self._is_draining():
                self._update(
                    condition.Condition(
                        condition.DRAINING, condition.STOPPING, self._wall()
                    )
                )

    def _is_draining(self) -> bool:
        now = self._condition
        return now is not None and now.state == condition.DRAINING

    def _degraded(self) -> condition.Condition | None:
        failing = [each for each in self._scheduled if each.state == FAILING]
        if not failing:
            return None
        first = min(failing, key=lambda each: each.name)
        return condition.Condition(condition.DEGRADED, first.name, first.since)

    def _update(self, new: condition.Condition | None) -> None:
        if new != self._condition:
            self._condition = new
            self._report(new)


class _Times:
    """The times at which a check runs.

    All members run a check at about the same times of day, so that a fault
    that affects all is seen by all at once, and is not taken for a fault of
    some. They are spread over some seconds, to avoid a burst of messages and
    files.

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
        """Return when to run the check next, by the clock."""
        interval = self._least if passing else self.interval
        return (
            self._clock() + interval - (self.wall() + self._shift) % interval
        )


class _Run:
    """One run of a check.

    :ivar begun: when it was started
    :ivar timed_out: whether it has failed by taking too long
    :ivar done: whether it has ended
    :ivar error: the first line of its error; or None
    """

    def __init__(self, check: base.Check, begun: float) -> None:
        self._check = check
        self.begun = begun
        self.timed_out = False
        self.done = False
        self.error: str | None = None

    def run(self) -> None:
        """Run the check and record its result."""
        try:
            self._check.check()
        except BaseException as error:
            # The thread ends in any case.
            self.error = exceptions.first_line(error)
        self.done = True


class _ScheduledCheck:
    """A check with its schedule, its current run and its state.

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
        # When to run it, or when its current run has taken too long.
        self._due = times.next(passing=True)

    def step(self, now: float) -> None:
        """Start a due run, record its result, or time it out."""
        run = self._run
        if run is not None and run.done:
            self._end(run, now)
        elif now < self._due:
            return
        elif run is None:
            self._begin(now)
        else:
            run.timed_out = True
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
        if run.timed_out:
            # It has failed already, and its result is old. Run it anew, but a
            # slow check not more often than others.
            if now - run.begun >= self._times.interval:
                self._begin(now)
        elif run.error is None:
            self._passed()
        else:
            self._failed(now, run.error)

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
