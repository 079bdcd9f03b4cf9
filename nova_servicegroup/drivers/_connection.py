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


"""The life of a tooz coordinator in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import math
import operator
import threading
import time
from typing import Any, NamedTuple

from oslo_log import log as logging

from nova_servicegroup.drivers import _backoff
from nova_servicegroup.drivers import _tooz
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)


class Connected(NamedTuple):
    """A started coordinator and the member id that only it has."""

    coordinator: Any
    member_id: bytes


class Connection:
    """Connects a coordinator when it is wanted, and replaces a hopeless one.

    Connecting runs in a thread of its own, so that nobody waits for longer
    than the bound. One attempt runs at a time, with a backoff between them.

    :param backend: what to call the backend in errors
    :param make: returns a coordinator for a member id; does not start it
    :param new_id: returns a member id that was never used
    :param patience: seconds of failures without any success after which the
        coordinator is discarded
    :param max_backoff: seconds between two attempts to connect, at most
    :param max_idle: seconds without use after which the coordinator is
        replaced before it is lent again
    :param stop: ends a coordinator's connection
    :param failed: told, in the background, when an attempt has failed
    """

    def __init__(
        self,
        backend: str,
        make: Callable[[bytes], Any],
        new_id: Callable[[], bytes],
        *,
        patience: float,
        max_backoff: float,
        max_idle: float = math.inf,
        stop: Callable[[Any], None] = operator.methodcaller('stop'),
        failed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend = backend
        self._failed = failed
        self._make = make
        self._new_id = new_id
        self._patience = patience
        self._stop = stop
        self._max_backoff = max_backoff
        self._max_idle = max_idle
        self._used_at = math.inf
        self._clock = clock
        self._lock = threading.Lock()
        self._attempt: _Attempt | None = None
        self._retired: list[_Attempt] = []
        self._failures = 0
        self._retry_at = 0.0
        self._failing_since: float | None = None
        self._closed = False

    @contextlib.contextmanager
    def use(self, deadline: _tooz.Deadline) -> Iterator[Connected]:
        """Lend the coordinator, connecting if need be.

        :raises BackendTimeout: still connecting at the deadline, or as
            raised inside
        :raises BackendError: it cannot connect, or anything raised inside
        """
        with _tooz.translated(self.backend):
            connected = self._get(deadline)
            try:
                yield connected
            except Exception:
                self._failing_since = self._failing_since or self._clock()
                raise
            self._failing_since = None
            self._used_at = self._clock()
            self._stop_retired()

    def discard(self, wait: float = 0.0) -> None:
        """Drop the coordinator; wait at most so long for its stop."""
        with self._lock:
            attempt, self._attempt = self._attempt, None
        self._stop_retired()
        if attempt is not None:
            attempt.stop(wait)

    def _stop_retired(self) -> None:
        # Not before the new one is in use: a member would be gone meanwhile.
        while self._retired:
            self._retired.pop().stop(0.0)

    def close(self, wait: float) -> None:
        """Stop for good, waiting at most so many seconds."""
        self._closed = True
        self.discard(wait)

    def _get(self, deadline: _tooz.Deadline) -> Connected:
        with self._lock:
            attempt = self._current()
        attempt.finished.wait(deadline.left())
        if not attempt.finished.is_set():
            raise exceptions.BackendTimeout(self.backend, 'still connecting')
        if attempt.error is not None:
            raise exceptions.BackendError(
                self.backend, _tooz.reason(attempt.error)
            )
        return Connected(attempt.coordinator, attempt.member_id)

    def _current(self) -> _Attempt:
        """Return the attempt to go by, starting one where it is due."""
        if self._closed:
            raise exceptions.BackendError(self.backend, 'closed')
        attempt, now = self._attempt, self._clock()
        if attempt is None:
            return self._start()
        if not attempt.finished.is_set():
            return attempt
        if attempt.error is not None:
            return self._start() if self._may_retry(attempt, now) else attempt
        self._failures = 0
        if self._is_hopeless(now):
            LOG.info('%s: no success any more; connecting anew.', self.backend)
        elif now - self._used_at <= self._max_idle:
            return attempt
        self._retired.append(attempt)
        return self._start()

    def _is_hopeless(self, now: float) -> bool:
        return (
            self._failing_since is not None
            and now - self._failing_since > self._patience
        )

    def _start(self) -> _Attempt:
        self._failing_since = None
        self._used_at = math.inf
        self._attempt = _Attempt(
            self._make,
            self._stop,
            self._failed,
            self._new_id(),
            self._clock,
        )
        self._attempt.start()
        return self._attempt

    def _may_retry(self, attempt: _Attempt, now: float) -> bool:
        if not attempt.counted:
            attempt.counted = True
            self._retry_at = attempt.failed_at + _backoff.backoff(
                self._failures, self._max_backoff
            )
            self._failures += 1
        return now >= self._retry_at


class _Attempt:
    """One coordinator, and its start in the background."""

    def __init__(
        self,
        make: Callable[[bytes], Any],
        stop: Callable[[Any], None],
        failed: Callable[[], None],
        member_id: bytes,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._failed = failed
        self._make = make
        self._stop = stop
        self.member_id = member_id
        self.finished = threading.Event()
        self.coordinator: Any = None
        self.error: BaseException | None = None
        self.failed_at = 0.0
        self.counted = False
        self._unwanted = False

    def start(self) -> None:
        _in_background(self._connect, 'servicegroup-connect')

    def stop(self, wait: float) -> None:
        """Stop the coordinator, also one that is yet to connect."""
        self._unwanted = True
        if self.finished.is_set():
            _in_background(self._disconnect, 'servicegroup-disconnect').join(
                wait
            )

    def _connect(self) -> None:
        try:
            self.coordinator = self._make(self.member_id)
            self.coordinator.start()
        except Exception as error:
            self.failed_at, self.error = self._clock(), error
        self.finished.set()
        if self._unwanted or self.error is not None:
            self._disconnect()
        if not self._unwanted and self.error is not None:
            self._failed()

    def _disconnect(self) -> None:
        try:
            if self.coordinator is not None:
                self._stop(self.coordinator)
        except Exception as error:
            LOG.debug('Stopping a coordinator: %s', _tooz.reason(error))


def _in_background(call: Callable[[], None], name: str) -> threading.Thread:
    """Run call in a thread that never keeps the process from ending."""
    thread = threading.Thread(target=call, daemon=True, name=name)
    thread.start()
    return thread
