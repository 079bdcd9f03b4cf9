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

"""Stands for threading, in virtual time."""

import collections
import itertools
from typing import Any

import greenlet

from nova_servicegroup.tests.simulation import kernel

_idents = itertools.count(1)


class _Waiting:
    """Those that wait for something."""

    def __init__(self) -> None:
        self._waiters: collections.deque[kernel.Waiter] = collections.deque()

    def wait(self, timeout: float | None) -> bool:
        """Wait; tell whether it was woken."""
        waiter = kernel.Waiter(greenlet.getcurrent())
        self._waiters.append(waiter)
        kernel.current().wait(waiter, timeout)
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            return False
        return True

    def wake(self, count: int) -> None:
        while self._waiters and count > 0:
            kernel.current().wake(self._waiters.popleft())
            count -= 1

    def __len__(self) -> int:
        return len(self._waiters)


class Semaphore:
    """Stands for threading.Semaphore."""

    def __init__(self, value: int = 1) -> None:
        self._left = value
        self._waiting = _Waiting()

    def acquire(
        self, blocking: bool = True, timeout: float | None = -1
    ) -> bool:
        endless = timeout is None or timeout < 0
        end = None if endless else kernel.now() + (timeout or 0.0)
        while not self._left:
            left = None if end is None else end - kernel.now()
            if not blocking or (left is not None and left <= 0):
                return False
            self._waiting.wait(left)
        self._left -= 1
        return True

    def release(self, n: int = 1) -> None:
        self._left += n
        self._waiting.wake(n)

    def locked(self) -> bool:
        return not self._left

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *args: object) -> None:
        self.release()


class Lock(Semaphore):
    """Stands for threading.Lock."""

    def __init__(self) -> None:
        super().__init__(1)


class RLock:
    """Stands for threading.RLock."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._owner: object = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = greenlet.getcurrent()
        if self._owner is not me:
            if not self._lock.acquire(blocking, timeout):
                return False
            self._owner = me
        self._depth += 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *args: object) -> None:
        self.release()


class Condition:
    """Stands for threading.Condition."""

    def __init__(self, lock: Any = None) -> None:
        self._lock = RLock() if lock is None else lock
        self._waiting = _Waiting()
        self.acquire = self._lock.acquire
        self.release = self._lock.release

    def __enter__(self) -> bool:
        return bool(self._lock.__enter__())

    def __exit__(self, *args: object) -> None:
        self._lock.__exit__()

    def wait(self, timeout: float | None = None) -> bool:
        self._lock.release()
        try:
            return self._waiting.wait(timeout)
        finally:
            self._lock.acquire()

    def wait_for(self, predicate: Any, timeout: float | None = None) -> Any:
        end = None if timeout is None else kernel.now() + timeout
        result = predicate()
        while not result:
            left = None if end is None else end - kernel.now()
            if left is not None and left <= 0:
                break
            self.wait(left)
            result = predicate()
        return result

    def notify(self, n: int = 1) -> None:
        self._waiting.wake(n)

    def notify_all(self) -> None:
        self._waiting.wake(len(self._waiting))


class Event:
    """Stands for threading.Event."""

    def __init__(self) -> None:
        self._set = False
        self._waiting = _Waiting()

    def set(self) -> None:
        self._set = True
        self._waiting.wake(len(self._waiting))

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set and (timeout is None or timeout > 0):
            self._waiting.wait(timeout)
        return self._set


class Thread:
    """Stands for threading.Thread."""

    def __init__(
        self,
        group: None = None,
        target: Any = None,
        name: str = '',
        args: Any = (),
        kwargs: Any = None,
        *,
        daemon: bool = False,
    ) -> None:
        self._call = lambda: target(*args, **(kwargs or {}))
        self.name = name
        self.daemon = daemon
        self.ident = next(_idents)
        self._started = False
        self._done = Event()

    def start(self) -> None:
        self._started = True
        kernel.current().spawn(self._run)

    def is_alive(self) -> bool:
        return self._started and not self._done.is_set()

    def join(self, timeout: float | None = None) -> None:
        self._done.wait(timeout)

    def _run(self) -> None:
        try:
            self._call()
        finally:
            self._done.set()


BoundedSemaphore = Semaphore


def get_ident() -> int:
    """Stand for threading.get_ident."""
    return id(greenlet.getcurrent())
