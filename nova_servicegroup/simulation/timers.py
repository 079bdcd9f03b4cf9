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

"""The timers of many hollow services, on a few threads."""

from collections.abc import Callable
import functools
import heapq
import itertools
import logging
import queue
import threading
import time
from typing import Any

LOG = logging.getLogger(__name__)

#: Seconds between two looks at what is due.
_GRAIN = 0.02

#: A beat that waits for a backend that is away keeps a thread for seconds. But
#: many threads that are late on a busy machine keep each other from working.
_MEMBERS_OF_A_THREAD = 8
_FEWEST_THREADS = 4
_MOST_THREADS = 32

#: When it is due, a number that orders those due together, interval, call.
_Timer = tuple[float, int, float, functools.partial[Any]]


def threads_for(members: int) -> int:
    """Return how many threads run the timers of so many members."""
    wanted = -(-members // _MEMBERS_OF_A_THREAD)
    return min(max(_FEWEST_THREADS, wanted), _MOST_THREADS)


class Timers:
    """Stands for the thread groups of many services; see services.Timers."""

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
        """Have callback run every interval seconds, until all are stopped."""
        call = functools.partial(callback, *(args or ()), **(kwargs or {}))
        self._add(time.monotonic() + (initial_delay or 0.0), interval, call)

    def start(self, threads: int) -> None:
        """Run what is due in so many threads, which end with the process."""
        for work in (self._watch, *[self._work] * threads):
            threading.Thread(target=work, daemon=True, name='timers').start()

    def stop(self) -> None:
        """Run nothing more; what is running is not awaited."""
        self._stopped.set()

    def take_due(self) -> None:
        """Have the threads run what is due."""
        with self._lock:
            while self._timers and self._timers[0][0] <= time.monotonic():
                self._due.put(heapq.heappop(self._timers))

    def run_one(self, timeout: float | None = None) -> None:
        """Run one of those that are due, and set it anew.

        As in Nova's services, one that comes late does not catch up.

        :raises queue.Empty: none has become due within timeout
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
