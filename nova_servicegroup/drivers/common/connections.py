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


"""Connects, lends and replaces the tooz coordinators of one process."""

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

#: Seconds before a start that has not finished is given up, at least.
_START = 30.0


class Limits(NamedTuple):
    """When to replace a coordinator. In seconds.

    :ivar patience: for how long all uses may fail until it is replaced
    :ivar max_backoff: the longest wait between two that cannot connect; twice
        that between two that connect and cannot be used
    :ivar max_idle: after so long without use, the next use replaces it
    """

    patience: float
    max_backoff: float
    max_idle: float = math.inf


class Connection:
    """Connects a coordinator at first use, and replaces one that fails.

    Connecting runs in a thread of its own, so that no caller waits beyond its
    deadline. Until the current coordinator was used, its predecessors keep
    their memberships: the last one that was used, and the last one that was
    not answered in time, which may have joined. Any other is stopped before
    the next one is made, and makes the wait for the next one longer.

    :param host: the host of the coordinators' member ids
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
        """The name of the backend in errors."""
        return self._factory.backend

    @contextlib.contextmanager
    def use(self, deadline: requests.Deadline) -> Iterator[starting.Connected]:
        """Lend the coordinator, connecting it if need be.

        :raises BackendTimeout: still connecting at the deadline, or as
            raised inside
        :raises BackendError: it cannot connect, or anything raised inside
        """
        with requests.translated(self.backend):
            attempt = self._get(deadline)
            try:
                yield attempt.start.connected
            except Exception as error:
                attempt.failed(error, self._clock())
                raise
            self._succeed(attempt)

    def discard(self, wait: float = 0.0) -> None:
        """Stop all coordinators, waiting for at most wait seconds."""
        with self._lock:
            dropped, self._attempts = self._attempts, []
        for each in dropped:
            each.start.drop()
        deadline = requests.Deadline(wait)
        for each in dropped:
            if each.start.finished.is_set():
                each.start.stopped.wait(deadline.left())

    def close(self, wait: float) -> None:
        """Stop for good, waiting for at most wait seconds."""
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
        """Return the last attempt, or a new one if it is to be replaced."""
        if self._closed:
            raise exceptions.BackendError(self.backend, 'closed')
        if not self._attempts:
            return self._make()
        attempt, now = self._attempts[-1], self._clock()
        if attempt.is_over(now):
            if sum(each.is_starting() for each in self._attempts) > 1:
                # Two starts hang, and so would another one.
                return attempt
            self._failures += 1
            if attempt.start.failure is None:
                LOG.info('%s: all requests fail; reconnecting.', self.backend)
        elif now - attempt.used_at <= self._limits.max_idle:
            return attempt
        return self._make()

    def _make(self) -> _Attempt:
        """Begin an attempt beside those that may have a membership."""
        longest = self._limits.max_backoff
        usable = backoff.backoff(self._failures, 2 * longest)
        made = _Attempt(
            starting.Start(self._factory, self._host, self._clock),
            self._clock() + max(_START, 6 * longest),
            backoff.backoff(self._failures, longest),
            max(self._limits.patience, usable),
        )
        former = [
            each for each in self._attempts if not each.start.stopped.is_set()
        ]
        kept = [each for each in former if each.used_at < math.inf][-1:]
        kept += [each for each in former if each.unanswered][-1:]
        self._attempts = [*former, made]
        made.start.begin([each.start for each in former if each not in kept])
        return made

    def _succeed(self, attempt: _Attempt) -> None:
        """Note a successful use, and stop the predecessor."""
        attempt.used_at, attempt.failing_since = self._clock(), math.inf
        with self._lock:
            former = []
            if self._attempts[-1:] == [attempt]:
                former, self._attempts = self._attempts[:-1], [attempt]
                self._failures = 0
        for each in former:
            each.start.drop()


@dataclasses.dataclass(eq=False)
class _Attempt:
    """A coordinator and when to replace it. In seconds, or monotonic times.

    :ivar start_by: when to give up a start that has not finished
    :ivar retry_after: the wait for the next one if it cannot connect
    :ivar replace_after: the wait for the next one if all its uses fail
    :ivar used_at: when it was last used with success, or infinity if never
    :ivar failing_since: when it first failed after that, or infinity
    :ivar unanswered: whether a use of it was not answered in time
    """

    start: starting.Start
    start_by: float
    retry_after: float
    replace_after: float
    used_at: float = math.inf
    failing_since: float = math.inf
    unanswered: bool = False

    def is_starting(self) -> bool:
        """Return whether its start has not finished."""
        return not self.start.finished.is_set()

    def failed(self, error: Exception, now: float) -> None:
        """Note a use that failed."""
        self.failing_since = min(self.failing_since, now)
        self.unanswered |= isinstance(error, exceptions.BackendTimeout)

    def is_over(self, now: float) -> bool:
        """Return whether its failures call for another one."""
        if self.is_starting():
            return now > self.start_by
        if self.start.failure is not None:
            return now >= self.start.failure.at + self.retry_after
        return now > self.failing_since + self.replace_after
