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
import dataclasses
import functools
import math
import threading
import time

from oslo_log import log as logging

from nova_servicegroup import exceptions
from nova_servicegroup import process
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: Seconds before the first beat of the timer, as in Nova.
INITIAL_DELAY = 5
#: Seconds for which a stop waits for a heartbeat under way, which would
#: otherwise restore the membership afterwards.
STOP_WAIT = 1.0


@dataclasses.dataclass
class Counts:
    """The outcomes of the heartbeats of one member.

    :ivar beats: how many were run
    :ivar failures: how many of them failed
    :ivar lost: how often contact was lost
    :ivar recovered: how often it was recovered
    :ivar last_success: when the last heartbeat succeeded, in seconds since the
        epoch; None: none has
    """

    beats: int = 0
    failures: int = 0
    lost: int = 0
    recovered: int = 0
    last_success: float | None = None


class Reporter:
    """The heartbeat of one member. No exception leaves it.

    A loss of contact and the recovery are logged once each.

    :param name: what to call the member in the log
    :param beat: renews and verifies the membership, in bounded time; may
        return the seconds by which to postpone the next heartbeat.
        :raises ServiceGroupError: it failed
    :param leave: ends the membership when the service stops, in bounded time
    :param urgent: returns, without waiting, whether the next heartbeat must
        run before it is due
    :param wall: returns the seconds since the epoch
    :ivar counts: the outcomes so far
    :ivar last_run: when the service's timer last called
    """

    def __init__(
        self,
        name: str,
        beat: Callable[[], float | None],
        leave: Callable[[], None] | None = None,
        *,
        urgent: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.counts = Counts()
        self._name = name
        self._beat = beat
        self._leave = leave
        self._urgent = urgent
        self._clock = clock
        self._wall = wall
        self._lost_at: float | None = None
        self._stopped = False
        self._running = threading.Lock()
        self._interval = 0.0
        self._due = -math.inf
        self.last_run = clock()

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
        # A timer is never exact: what is nearly due runs.
        self._interval = interval - retry_interval / 2
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
        failed = self._lost_at is not None
        if failed or now >= self._due or self._urgent():
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
        self._due = self._clock() + self._interval
        self.counts.beats += 1
        try:
            postponed = self._beat()
        except exceptions.RecordDeleted as error:
            LOG.error('%s: %s', self._name, error)
            self._failed()
        except exceptions.ServiceGroupError as error:
            self._lost(error)
        except Exception:
            LOG.exception('%s: unexpected error in the heartbeat', self._name)
            self._failed()
        else:
            self._due += postponed or 0.0
            self.counts.last_success = self._wall()
            self._recovered()

    def stop(self, leave: bool = True) -> None:
        """Leave, if wanted, and run no more heartbeats."""
        if self._stopped:
            return
        self._stopped = True
        if self._running.acquire(timeout=STOP_WAIT):
            self._running.release()
        if not leave or self._leave is None:
            return
        try:
            self._leave()
        except exceptions.ServiceGroupError as error:
            LOG.warning(
                '%s could not leave (%s); its membership will expire.',
                self._name,
                error,
            )
        except Exception:
            LOG.exception('%s: unexpected error while leaving', self._name)

    def _failed(self) -> bool:
        """Count a failure; return whether it is the first of several."""
        self.counts.failures += 1
        if self._lost_at is not None:
            return False
        self._lost_at = self._clock()
        self.counts.lost += 1
        return True

    def _lost(self, error: Exception) -> None:
        if self._failed():
            LOG.warning(
                '%s: lost contact, the heartbeat failed (%s). It '
                'will go on trying.',
                self._name,
                error,
            )

    def _recovered(self) -> None:
        if self._lost_at is not None:
            self.counts.recovered += 1
            LOG.info(
                '%s: recovered, the heartbeat works again after %.1f s.',
                self._name,
                self._clock() - self._lost_at,
            )
            self._lost_at = None


class ProgressGate:
    """A watchdog: ends a membership when its service makes no progress.

    Otherwise the threads of a client library would keep the membership of a
    process whose own timers stand still.

    :param patience: seconds without a heartbeat
    :param give_up: ends the membership; the next heartbeat restores it
    """

    def __init__(
        self,
        reporter: Reporter,
        give_up: Callable[[], None],
        patience: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reporter = reporter
        self._give_up = give_up
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
        self._give_up()

    def _watch(self) -> None:
        while not self._stop.wait(self._patience / 8):
            self.check()
