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


"""The life of a tooz coordinator in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import math
import threading
import time
from typing import NamedTuple

from oslo_log import log as logging

from nova_servicegroup.drivers.common import backoff
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import starting
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

#: Seconds that a start may take, at least, before another one is tried.
_START = 30.0


class Limits(NamedTuple):
    """When to replace a coordinator. In seconds.

    :ivar patience: of failures without any success after which it is replaced
    :ivar max_backoff: between two that cannot be connected, at most; between
        two that can be connected but not used, twice that
    :ivar max_idle: without use after which it is replaced before it is lent
    """

    patience: float
    max_backoff: float
    max_idle: float = math.inf


class Connection:
    """Connects a coordinator when it is wanted, and replaces a hopeless one.

    Connecting runs in a thread of its own, so that nobody waits for longer
    than the bound. There are two coordinators at most: the one that is lent,
    and its predecessor, which stays until the successor was used: a membership
    would be gone meanwhile. One that was never of use is stopped before the
    next one is made. The more there were of those, whether they could not be
    connected or not be used, the longer the next one has to wait.

    :param host: whose member ids the coordinators get
    """

    def __init__(
        self,
        factory: starting.Factory,
        host: str,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._factory = factory
        self._host = host
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._attempts: list[_Attempt] = []
        self._failures = 0
        self._closed = False

    @property
    def backend(self) -> str:
        """What to call the backend in errors."""
        return self._factory.backend

    @contextlib.contextmanager
    def use(self, deadline: requests.Deadline) -> Iterator[starting.Connected]:
        """Lend the coordinator, connecting if need be.

        :raises BackendTimeout: still connecting at the deadline, or as
            raised inside
        :raises BackendError: it cannot connect, or anything raised inside
        """
        with requests.translated(self.backend):
            attempt = self._get(deadline)
            try:
                yield attempt.start.connected
            except Exception:
                attempt.fail(self._clock())
                raise
            self._use_done(attempt)

    def discard(self, wait: float = 0.0) -> None:
        """Drop all coordinators; wait at most so long for their stop."""
        with self._lock:
            dropped, self._attempts = self._attempts, []
        for each in dropped:
            each.start.drop()
        deadline = requests.Deadline(wait)
        for each in dropped:
            if each.start.finished.is_set():
                each.start.ended.wait(deadline.left())

    def close(self, wait: float) -> None:
        """Stop for good, waiting at most so many seconds."""
        self._closed = True
        self.discard(wait)

    def _get(self, deadline: requests.Deadline) -> _Attempt:
        with self._lock:
            attempt = self._current()
        if not attempt.start.finished.wait(deadline.left()):
            raise exceptions.BackendTimeout(self.backend, 'still connecting')
        failure = attempt.start.failure
        if failure is not None:
            raise exceptions.BackendError(
                self.backend, requests.reason(failure.error)
            )
        return attempt

    def _current(self) -> _Attempt:
        """Return the attempt to go by, making one where that is due."""
        if self._closed:
            raise exceptions.BackendError(self.backend, 'closed')
        if not self._attempts:
            return self._make()
        attempt, now = self._attempts[-1], self._clock()
        if attempt.is_over(now):
            if self._hang():
                return attempt
            self._failures += 1
            if attempt.start.failure is None:
                LOG.info(
                    '%s: no success any more; connecting anew.', self.backend
                )
        elif now - attempt.used_at <= self._limits.max_idle:
            return attempt
        return self._make()

    def _hang(self) -> bool:
        """Tell whether so many starts hang that another one may as well."""
        hanging = [
            each for each in self._attempts if not each.start.finished.is_set()
        ]
        return len(hanging) > 1

    def _make(self) -> _Attempt:
        """Make an attempt beside the last one that was of use."""
        longest = self._limits.max_backoff
        usable = backoff.backoff(self._failures, 2 * longest)
        made = _Attempt(
            starting.Start(self._factory, self._host, self._clock),
            self._clock() + max(_START, 6 * longest),
            backoff.backoff(self._failures, longest),
            max(self._limits.patience, usable),
        )
        former = [
            each for each in self._attempts if not each.start.ended.is_set()
        ]
        useful = [each for each in former if each.was_used][-1:]
        self._attempts = [*former, made]
        made.start.begin([each.start for each in former if each not in useful])
        return made

    def _use_done(self, attempt: _Attempt) -> None:
        """Take note of a success, and stop the predecessor."""
        attempt.succeed(self._clock())
        with self._lock:
            former = []
            if self._attempts[-1:] == [attempt]:
                former, self._attempts = self._attempts[:-1], [attempt]
                self._failures = 0
        for each in former:
            each.start.drop()


@dataclasses.dataclass(eq=False)
class _Attempt:
    """A coordinator, and whether it is of use. In seconds, or times.

    :ivar start_by: when to give it up, where it has not started
    :ivar retry_after: until the next one, where it cannot be connected
    :ivar replace_after: until the next one, where it cannot be used
    :ivar used_at: when it was last of use; infinite: never
    :ivar failing_since: when it first failed after that
    """

    start: starting.Start
    start_by: float
    retry_after: float
    replace_after: float
    used_at: float = math.inf
    failing_since: float = math.inf

    @property
    def was_used(self) -> bool:
        """Whether it was ever of use."""
        return self.used_at < math.inf

    def succeed(self, now: float) -> None:
        """Take note of a success."""
        self.used_at, self.failing_since = now, math.inf

    def fail(self, now: float) -> None:
        """Take note of a failure."""
        self.failing_since = min(self.failing_since, now)

    def is_over(self, now: float) -> bool:
        """Tell whether it is to be replaced for its failures."""
        if not self.start.finished.is_set():
            return now > self.start_by
        if self.start.failure is not None:
            return now >= self.start.failure.at + self.retry_after
        return now > self.failing_since + self.replace_after
