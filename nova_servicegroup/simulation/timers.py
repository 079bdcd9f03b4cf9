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

"""The timers of many hollow services, run by a few threads."""

from collections.abc import Callable
import functools
import heapq
import itertools
import logging
import queue
import threading
import time
from typing import Any

from nova_servicegroup import process

LOG = logging.getLogger(__name__)

#: Seconds between two checks for due timers.
_GRAIN = 0.02

#: A heartbeat that waits for an unreachable backend occupies a thread for
#: seconds. But many threads that are late on a busy machine delay each other.
_MEMBERS_OF_A_THREAD = 8
_FEWEST_THREADS = 4
_MOST_THREADS = 32

#: When it is due, a number that orders equal times, its interval and its call.
_Timer = tuple[float, int, float, functools.partial[Any]]


def threads_for(members: int) -> int:
    """Return how many threads to run for the timers of so many members."""
    wanted = -(-members // _MEMBERS_OF_A_THREAD)
    return min(max(_FEWEST_THREADS, wanted), _MOST_THREADS)


class Timers:
    """A replacement of many services' thread groups; see services.Timers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._timers: list[_Timer] = []
        self._due: queue.SimpleQueue[_Timer] = queue.SimpleQueue()
        self._stopped = threading.Event()

    def add_timer_args(
        self,
        interval: float,
        callback: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        initial_delay: float | None = None,
        stop_on_exception: bool = True,
    ) -> None:
        """Run callback every interval seconds, until all are stopped."""
        call = functools.partial(callback, *(args or ()), **(kwargs or {}))
        self._add(time.monotonic() + (initial_delay or 0.0), interval, call)

    def start(self, threads: int) -> None:
        """Start so many threads to run timers; they end with the process."""
        for work in (self._watch, *[self._work] * threads):
            process.start_thread(work, 'timers')

    def stop(self) -> None:
        """Start no more calls, without waiting for those that run."""
        self._stopped.set()

    def take_due(self) -> None:
        """Hand the due timers to the threads."""
        with self._lock:
            while self._timers and self._timers[0][0] <= time.monotonic():
                self._due.put(heapq.heappop(self._timers))

    def run_one(self, timeout: float | None = None) -> None:
        """Run one due timer and schedule it again.

        As in Nova's services, a late timer does not catch up.

        :raises queue.Empty: no timer has become due within timeout
        """
        due, _, interval, call = self._due.get(timeout=timeout)
        try:
            if not self._stopped.is_set():
                call()
        except Exception:
            LOG.exception('A timer has failed')
        self._add(max(due + interval, time.monotonic()), interval, call)

    def _add(
        self, due: float, interval: float, call: functools.partial[Any]
    ) -> None:
        with self._lock:
            timer = due, next(self._numbers), interval, call
            heapq.heappush(self._timers, timer)

    def _watch(self) -> None:
        while not self._stopped.wait(_GRAIN):
            self.take_due()

    def _work(self) -> None:
        while True:
            self.run_one()
