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

"""What depends on the process: forks, and native or green threads."""

from collections.abc import Callable
import os
import sys
import threading
from typing import Any, Generic, TypeVar

T = TypeVar('T')

#: The most seconds until a signal is handled.
_WAKE = 0.5


class PerProcess(Generic[T]):
    """An object that each process makes at its first use.

    A forked child must not use its parent's object: the sockets are shared and
    the threads are gone. So that object stays referenced and is never closed.
    No lock is used, since it might be held at the moment of a fork; so the
    factory must only construct.
    """

    def __init__(self, factory: Callable[[], T]) -> None:
        self._factory = factory
        self._made: dict[int, T] = {}

    def get(self) -> T:
        """Return this process's object."""
        made = self._made.get(os.getpid())
        if made is None:
            made = self._made.setdefault(os.getpid(), self._factory())
        return made

    def peek(self) -> T | None:
        """Return this process's object, or None before its first use."""
        return self._made.get(os.getpid())


def handler() -> str:
    """Return the kazoo handler for this process: 'eventlet' or 'threading'.

    That depends on what eventlet has patched. A process that has not imported
    it runs on native threads, where importing it may be forbidden.
    """
    patcher = sys.modules.get('eventlet.patcher')
    if patcher is not None and patcher.is_monkey_patched('socket'):
        return 'eventlet'
    return 'threading'


def blind_wait() -> float:
    """Return the seconds for which a question waits while contact is lost.

    Green threads under uWSGI stand still between requests: without that wait
    they would never reconnect.
    """
    return 0.1 if handler() == 'eventlet' else 0.0


def wait(event: threading.Event) -> None:
    """Wait for an event in the main thread, and handle signals meanwhile.

    A signal that another thread has received is only handled when the main
    thread wakes up. That happens to one which was sent to a stopped process.
    """
    while not event.wait(_WAKE):
        pass


def start_thread(
    call: Callable[[], None], name: str, native: bool = False
) -> None:
    """Start a call in a daemon thread.

    :param native: use a thread of the operating system even where threads are
        green
    :raises RuntimeError: no more threads can be started
    """
    threads: Any = threading
    if native and handler() == 'eventlet':
        threads = sys.modules['eventlet.patcher'].original('threading')
    threads.Thread(target=call, name=name, daemon=True).start()
