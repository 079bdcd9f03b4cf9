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

import abc
from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import math
import threading
import time
from typing import Any, NamedTuple

from oslo_log import log as logging

from nova_servicegroup.drivers.common import backoff
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

#: Seconds that a start may take, at least, before another one is tried.
_START = 30.0


class Connected(NamedTuple):
    """A coordinator and the member id that only it has."""

    coordinator: Any
    member_id: bytes


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


class Factory(abc.ABC):
    """Makes coordinators, and stops them."""

    @abc.abstractmethod
    def new_id(self) -> bytes:
        """Return a member id for a new coordinator."""

    @abc.abstractmethod
    def make(self, member_id: bytes) -> Any:
        """Return a coordinator that has not been started."""

    def stop(self, coordinator: Any) -> None:
        """End its connection."""
        coordinator.stop()

    def failed(self) -> None:  # noqa: B027
        """Take note, in the background, that one could not be started."""


class HostFactory(Factory):
    """Makes coordinators, each with a new member id of a host."""

    def __init__(self, host: str, make: Callable[[bytes], Any]) -> None:
        self._host = host
        self._make = make

    def new_id(self) -> bytes:
        """See Factory."""
        return naming.member_id(self._host)

    def make(self, member_id: bytes) -> Any:
        """See Factory."""
        return self._make(member_id)


class Connection:
    """Connects a coordinator when it is wanted, and replaces a hopeless one.

    Connecting runs in a thread of its own, so that nobody waits for longer
    than the bound. There are two coordinators at most: the one that is lent,
    and its predecessor, which stays until the successor was used: a membership
    would be gone meanwhile. One that was never of use is stopped before the
    next one is made. The more there were of those, whether they could not be
    connected or not be used, the longer the next one has to wait.

    :param backend: what to call the backend in errors
    """

    def __init__(
        self,
        backend: str,
        factory: Factory,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend = backend
        self._factory = factory
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: list[_Session] = []
        self._failures = 0
        self._closed = False

    @contextlib.contextmanager
    def use(self, deadline: requests.Deadline) -> Iterator[Connected]:
        """Lend the coordinator, connecting if need be.

        :raises BackendTimeout: still connecting at the deadline, or as
            raised inside
        :raises BackendError: it cannot connect, or anything raised inside
        """
        with requests.translated(self.backend):
            session = self._get(deadline)
            try:
                yield session.start.connected
            except Exception:
                session.fail(self._clock())
                raise
            self._use_done(session)

    def discard(self, wait: float = 0.0) -> None:
        """Drop all coordinators; wait at most so long for their stop."""
        with self._lock:
            dropped, self._sessions = self._sessions, []
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

    def _get(self, deadline: requests.Deadline) -> _Session:
        with self._lock:
            session = self._current()
        if not session.start.finished.wait(deadline.left()):
            raise exceptions.BackendTimeout(self.backend, 'still connecting')
        failure = session.start.failure
        if failure is not None:
            raise exceptions.BackendError(
                self.backend, requests.reason(failure.error)
            )
        return session

    def _current(self) -> _Session:
        """Return the session to go by, making one where that is due."""
        if self._closed:
            raise exceptions.BackendError(self.backend, 'closed')
        if not self._sessions:
            return self._make()
        session, now = self._sessions[-1], self._clock()
        if session.is_over(now):
            if self._hang():
                return session
            self._failures += 1
            if session.start.failure is None:
                LOG.info(
                    '%s: no success any more; connecting anew.', self.backend
                )
        elif now - session.used_at <= self._limits.max_idle:
            return session
        return self._make()

    def _hang(self) -> bool:
        """Tell whether so many starts hang that another one may as well."""
        hanging = [
            each for each in self._sessions if not each.start.finished.is_set()
        ]
        return len(hanging) > 1

    def _make(self) -> _Session:
        """Make a session beside the last one that was of use."""
        longest = self._limits.max_backoff
        usable = backoff.backoff(self._failures, 2 * longest)
        made = _Session(
            _Start(self._factory, self._clock),
            self._clock() + max(_START, 6 * longest),
            backoff.backoff(self._failures, longest),
            max(self._limits.patience, usable),
        )
        former = [
            each for each in self._sessions if not each.start.ended.is_set()
        ]
        useful = [each for each in former if each.was_used][-1:]
        self._sessions = [*former, made]
        made.start.begin([each.start for each in former if each not in useful])
        return made

    def _use_done(self, session: _Session) -> None:
        """Take note of a success, and stop the predecessor."""
        session.succeed(self._clock())
        with self._lock:
            former = []
            if self._sessions[-1:] == [session]:
                former, self._sessions = self._sessions[:-1], [session]
                self._failures = 0
        for each in former:
            each.start.drop()


@dataclasses.dataclass(eq=False)
class _Session:
    """A coordinator, and whether it is of use. In seconds, or times.

    :ivar start_by: when to give it up, where it has not started
    :ivar retry_after: until the next one, where it cannot be connected
    :ivar replace_after: until the next one, where it cannot be used
    :ivar used_at: when it was last of use; infinite: never
    :ivar failing_since: when it first failed after that
    """

    start: _Start
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


class _Failure(NamedTuple):
    """Why something failed, and when."""

    error: BaseException
    at: float


class _Start:
    """Starts one coordinator in the background, and stops it.

    :ivar connected: the coordinator, once it is made
    :ivar finished: set when it is started, or cannot be
    :ivar failure: why it cannot be; None: it is
    :ivar ended: set when it is stopped
    """

    def __init__(self, factory: Factory, clock: Callable[[], float]) -> None:
        self._factory = factory
        self._clock = clock
        self._stopping = threading.Lock()
        self._dropped = False
        self.connected = Connected(None, factory.new_id())
        self.finished = threading.Event()
        self.failure: _Failure | None = None
        self.ended = threading.Event()

    def begin(self, before: Sequence[_Start]) -> None:
        """Start it. Where no thread can be had for that, it has failed.

        :param before: what to stop first
        """
        try:
            _in_background(lambda: self._run(before), 'servicegroup-connect')
        except RuntimeError as error:
            self._fail(error)

    def drop(self) -> None:
        """Stop it in the background, also when it is yet to start."""
        self._dropped = True
        if not self.finished.is_set() or self.ended.is_set():
            return
        try:
            _in_background(self.stop, 'servicegroup-disconnect')
        except RuntimeError:
            self.stop()

    def stop(self) -> None:
        """Stop it, unless that was done. Raises nothing."""
        with self._stopping:
            if self.ended.is_set():
                return
            self._dropped = True
            try:
                if self.connected.coordinator is not None:
                    self._factory.stop(self.connected.coordinator)
            except Exception as error:
                LOG.debug('Stopping a coordinator: %s', requests.reason(error))
            # One whose start still hangs is stopped again when it ends.
            if self.finished.is_set():
                self.ended.set()

    def _run(self, before: Sequence[_Start]) -> None:
        for each in before:
            each.stop()
        try:
            self._connect()
        except Exception as error:
            self._fail(error)
        self.finished.set()
        dropped = self._dropped
        if dropped or self.failure is not None:
            self.stop()
        if self.failure is not None and not dropped:
            self._factory.failed()

    def _connect(self) -> None:
        member_id = self.connected.member_id
        coordinator = self._factory.make(member_id)
        self.connected = Connected(coordinator, member_id)
        coordinator.start()

    def _fail(self, error: BaseException) -> None:
        self.failure = _Failure(error, self._clock())
        self.finished.set()


def _in_background(call: Callable[[], None], name: str) -> None:
    """Run call in a thread that never keeps the process from ending.

    :raises RuntimeError: there is no thread for it
    """
    threading.Thread(target=call, daemon=True, name=name).start()
