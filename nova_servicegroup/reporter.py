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

"""The heartbeat of one member, on the timer of its own service."""

from collections.abc import Callable
import functools
import threading
import time
from typing import Protocol

from oslo_log import log as logging

from nova_servicegroup import exceptions
from nova_servicegroup import heartbeat
from nova_servicegroup import process
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: Seconds before the first beat of the timer, as in Nova.
INITIAL_DELAY = 5
#: Seconds for which a stop waits for a heartbeat under way, which would
#: otherwise restore the membership afterwards.
STOP_WAIT = 1.0


class _Outcomes:
    """Counts the outcomes of heartbeats, and logs what changes.

    A loss of contact and the recovery are logged once each.
    """

    def __init__(
        self, name: str, clock: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self.counts = heartbeat.Counts()
        self._name = name
        self._clock = clock
        self._wall = wall
        self._lost_at: float | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the last heartbeat failed."""
        return self._lost_at is not None

    def succeeded(self) -> None:
        """Note that a heartbeat succeeded."""
        self.counts.last_success = self._wall()
        if self._lost_at is not None:
            self.counts.recovered += 1
            LOG.info(
                '%s: recovered, the heartbeat works again after %.1f s.',
                self._name,
                self._clock() - self._lost_at,
            )
            self._lost_at = None

    def failed(self, error: Exception) -> None:
        """Note that a heartbeat failed. Called while error is handled."""
        is_first = self._count_failure()
        if isinstance(error, exceptions.RecordDeleted):
            LOG.error('%s: %s', self._name, error)
        elif not isinstance(error, exceptions.ServiceGroupError):
            LOG.exception('%s: unexpected error in the heartbeat', self._name)
        elif is_first:
            LOG.warning(
                '%s: lost contact, the heartbeat failed (%s). It '
                'will go on trying.',
                self._name,
                error,
            )

    def _count_failure(self) -> bool:
        """Count a failure; return whether it is the first of several."""
        self.counts.failures += 1
        if self._lost_at is not None:
            return False
        self._lost_at = self._clock()
        self.counts.lost += 1
        return True


class Reporter:
    """Runs the heartbeats of one member. No exception leaves it.

    :param name: what to call the member in the log
    :param member: the membership to renew
    :param wall: returns the seconds since the epoch
    :ivar last_run: when the service's timer last called
    """

    def __init__(
        self,
        name: str,
        member: heartbeat.Renewable,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._member = member
        self._clock = clock
        self._outcomes = _Outcomes(name, clock, wall)
        self._schedule = heartbeat.Schedule()
        self._running = threading.Lock()
        self._stopped = False
        self.last_run = clock()

    @property
    def counts(self) -> heartbeat.Counts:
        """The outcomes so far."""
        return self._outcomes.counts

    def start(
        self,
        service: services.Service,
        interval: float,
        leave_on_stop: bool = True,
        retry_interval: float | None = None,
    ) -> None:
        """Run a heartbeat every interval seconds until service stops.

        :param leave_on_stop: leave when service stops
        :param retry_interval: seconds between two heartbeats while they fail
            or are urgent; default: interval
        """
        retry_interval = min(interval, retry_interval or interval)
        self._schedule.set_interval(interval, retry_interval)
        service.on_stop(functools.partial(self.stop, leave_on_stop))
        service.tg.add_timer_args(
            retry_interval,
            self.tick,
            initial_delay=min(INITIAL_DELAY, interval),
            stop_on_exception=False,
        )

    def tick(self) -> None:
        """Run a heartbeat if one is due or urgent, or the last one failed."""
        now = self.last_run = self._clock()
        if (
            self._outcomes.is_lost
            or self._schedule.is_due(now)
            or self._member.is_urgent()
        ):
            self.run()

    def run(self) -> None:
        """Run a heartbeat from the service's timer."""
        self.last_run = self._clock()
        self.beat_now()

    def beat_now(self) -> None:
        """Run a heartbeat from elsewhere: it is no sign that timers run."""
        with self._running:
            if not self._stopped:
                self._run()

    def _run(self) -> None:
        self._schedule.begin(self._clock())
        self.counts.beats += 1
        try:
            postponed = self._member.beat()
        except Exception as error:
            self._outcomes.failed(error)
        else:
            self._schedule.postpone(postponed or 0.0)
            self._outcomes.succeeded()

    def stop(self, leave: bool = True) -> None:
        """Leave, if wanted, and run no more heartbeats."""
        if self._stopped:
            return
        self._stopped = True
        if self._running.acquire(timeout=STOP_WAIT):
            self._running.release()
        if leave:
            self._leave()

    def _leave(self) -> None:
        try:
            self._member.leave()
        except exceptions.ServiceGroupError as error:
            LOG.warning(
                '%s could not leave (%s); its membership will expire.',
                self._name,
                error,
            )
        except Exception:
            LOG.exception('%s: unexpected error while leaving', self._name)


class Discardable(Protocol):
    """What keeps a membership, such as a connection."""

    def discard(self) -> None:
        """Drop what it has, at once; the next heartbeat restores it."""


class ProgressGate:
    """A watchdog: ends a membership when its service makes no progress.

    Otherwise the threads of a client library would keep the membership of a
    process whose own timers stand still.

    :param patience: seconds without a heartbeat
    :param connection: is discarded to end the membership
    """

    def __init__(
        self,
        reporter: Reporter,
        connection: Discardable,
        patience: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reporter = reporter
        self._connection = connection
        self._patience = patience
        self._clock = clock
        self._given_up_at: float | None = None
        self._stop = threading.Event()
        # None: no thread could be started, and that was logged.
        self._is_watched: bool | None = False

    def keep(self) -> None:
        """Start the thread that watches, unless it runs or was stopped.

        Every heartbeat calls this: without the thread, a stuck service would
        stay up.
        """
        if self._is_watched or self._stop.is_set():
            return
        try:
            process.start_thread(self._watch, 'servicegroup-progress')
        except RuntimeError as error:
            if self._is_watched is False:
                LOG.warning(
                    'No thread watches whether the service makes progress: %s',
                    error,
                )
            self._is_watched = None
        else:
            self._is_watched = True

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()

    def check(self) -> None:
        """Give up, once, if the last heartbeat is too old."""
        last_run = self._reporter.last_run
        if (
            self._clock() - last_run <= self._patience
            or self._given_up_at == last_run
        ):
            return
        self._given_up_at = last_run
        LOG.error(
            'No heartbeat was run for %.0f s: the service is stuck. '
            'Its membership is given up.',
            self._clock() - last_run,
        )
        self._connection.discard()

    def _watch(self) -> None:
        while not self._stop.wait(self._patience / 8):
            self.check()
