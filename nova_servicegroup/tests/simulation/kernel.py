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

"""Virtual time: threads are greenlets, and time passes when all wait.

Everything is deterministic: of what is due at the same time, that goes first
which was asked for first.
"""

from collections.abc import Callable
import heapq
import itertools
import traceback
from typing import Any

import greenlet

#: The wall clock when virtual time is 0, in seconds since the epoch.
EPOCH = 1_800_000_000.0


class Process:
    """A process of the world.

    :ivar green: its threads stand still unless somebody asks
    :ivar asking: so many of its threads are asking just now
    :ivar wall_offset: what its wall clock shows too much, in seconds
    :ivar strange: whether it asks what makes no sense just now
    """

    def __init__(self, name: str, pid: int, green: bool = False) -> None:
        self.name = name
        self.pid = pid
        self.green = green
        self.asking = 0
        self.wall_offset = 0.0
        self.strange = False
        self.parked: list[Waiter] = []


class Task(greenlet.greenlet):
    """A thread of a process."""

    __slots__ = ('asker', 'process')


class Waiter:
    """A task that waits, until it is woken or its time is over."""

    __slots__ = ('done', 'task')

    def __init__(self, task: Any) -> None:
        self.task = task
        self.done = False


class Kernel:
    """The scheduler of one history.

    :ivar now: virtual seconds
    :ivar process: the one that runs
    :ivar failures: what escaped from a thread: its process and the traceback
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.outside = Process('outside', 0)
        self.process = self.outside
        self.failures: list[tuple[Process, str]] = []
        self._queue: list[tuple[float, int, Any]] = []
        self._numbers = itertools.count()
        self._pids = itertools.count(1)
        self._hub = greenlet.getcurrent()
        self._tasks: set[Task] = set()
        self._stopped = False
        self._ended = False

    def new_process(self, name: str, green: bool = False) -> Process:
        """Return a new process."""
        return Process(name, next(self._pids), green)

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Have something happen that does not wait."""
        heapq.heappush(self._queue, (when, next(self._numbers), call))

    def spawn(
        self,
        call: Callable[[], None],
        process: Process | None = None,
        at: float | None = None,
        asker: bool = False,
    ) -> None:
        """Run a call in a thread of its own.

        :param asker: it goes on also where the other threads stand still
        """
        task = Task(lambda: self._run(task, call), self._hub)
        task.process, task.asker = process or self.process, asker
        self._tasks.add(task)
        self.at(self.now if at is None else at, Waiter(task))

    def _run(self, task: Task, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            self.failures.append((task.process, traceback.format_exc()))
        finally:
            self._tasks.discard(task)

    def run(self, until: float) -> None:
        """Let time pass until then, or until it is stopped."""
        queue = self._queue
        while queue and queue[0][0] <= until and not self._stopped:
            when, _, item = heapq.heappop(queue)
            if when > self.now:
                self.now = when
            if type(item) is not Waiter:
                item()
            elif not item.done:
                self._go_on(item)
            self.process = self.outside

    def _go_on(self, waiter: Waiter) -> None:
        task = waiter.task
        process = task.process
        if process.green and not process.asking and not task.asker:
            process.parked.append(waiter)
            return
        waiter.done, self.process = True, process
        task.switch()

    def begin_question(self, process: Process) -> None:
        """Let the other threads of a process run."""
        process.asking += 1
        while process.parked:
            self.at(self.now, process.parked.pop(0))

    def end_question(self, process: Process) -> None:
        """Let them stand still again, if that is how it works."""
        process.asking -= 1

    def stop(self) -> None:
        """Have run return."""
        self._stopped = True

    def end(self) -> None:
        """End all threads."""
        self._ended = True
        for task in list(self._tasks):
            task.throw(greenlet.GreenletExit)
        self._tasks.clear()
        self._queue.clear()

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds."""
        self.wait(Waiter(greenlet.getcurrent()), max(0.0, seconds))

    def wait(self, waiter: Waiter, timeout: float | None) -> None:
        """Wait until woken, or for so many seconds."""
        if self._ended:
            raise greenlet.GreenletExit
        if waiter.task is self._hub:
            raise RuntimeError('what happens at a time must not wait')
        if timeout is not None:
            self.at(self.now + timeout, waiter)
        self._hub.switch()

    def wake(self, waiter: Waiter) -> None:
        """Have a waiter go on now."""
        if not waiter.done:
            waiter.done = True
            self.at(self.now, Waiter(waiter.task))


class _Current:
    kernel = Kernel()


def begin(made: Kernel | None = None) -> Kernel:
    """Return the kernel that is in force from now on: a new one."""
    _Current.kernel = made or Kernel()
    return _Current.kernel


def current() -> Kernel:
    """Return the kernel that is in force."""
    return _Current.kernel


def now() -> float:
    """Return virtual time; stands for time.monotonic."""
    return _Current.kernel.now


def wall() -> float:
    """Stand for time.time, as the process that runs sees it."""
    kernel = _Current.kernel
    return EPOCH + kernel.now + kernel.process.wall_offset


def sleep(seconds: float) -> None:
    """Stand for time.sleep."""
    _Current.kernel.sleep(seconds)


def getpid() -> int:
    """Stand for os.getpid."""
    return _Current.kernel.process.pid
