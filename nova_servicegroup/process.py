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

"""What a process is: forked or not, and with which threads."""

from collections.abc import Callable
import os
import sys
import threading
from typing import Any, Generic, TypeVar

T = TypeVar('T')


class PerProcess(Generic[T]):
    """Makes an object at first use, and anew in every forked child.

    A child must not touch what its parent made: the sockets are shared and
    the threads are gone. So the parent's object stays referenced, is never
    closed, and is never seen again. No lock is used, since a lock may be
    held at the moment of a fork; the factory must do nothing but construct.
    """

    def __init__(self, factory: Callable[[], T]) -> None:
        self._factory = factory
        self._made: dict[int, T] = {}

    def get(self) -> T:
        """Return this process's object."""
        made = self._made.get(os.getpid())
        return made if made is not None else self._make()

    def peek(self) -> T | None:
        """Return this process's object if it has been made."""
        return self._made.get(os.getpid())

    def _make(self) -> T:
        return self._made.setdefault(os.getpid(), self._factory())


def handler() -> str:
    """Return the kazoo handler that suits this process.

    Read off what eventlet has patched; a process that never imported it
    runs on native threads, where importing it may be forbidden.
    """
    patcher = sys.modules.get('eventlet.patcher')
    if patcher is not None and patcher.is_monkey_patched('socket'):
        return 'eventlet'
    return 'threading'


def blind_wait() -> float:
    """Return the seconds to lend to other threads while contact is lost.

    Green threads under uWSGI stand still between requests, so there a
    connection would never be made again.
    """
    return 0.1 if handler() == 'eventlet' else 0.0


def start_thread(
    call: Callable[[], None], name: str, native: bool = False
) -> None:
    """Start a call in a thread that keeps no process from ending.

    :param native: use a thread of the operating system also where threads
        are green
    :raises RuntimeError: no more threads can be started
    """
    threads: Any = threading
    if native and handler() == 'eventlet':
        threads = sys.modules['eventlet.patcher'].original('threading')
    threads.Thread(target=call, name=name, daemon=True).start()
