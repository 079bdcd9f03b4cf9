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


"""Calls in threads of their own, some of which may hang."""

from collections.abc import Callable
import functools
import threading
import time
from typing import Any

from nova_servicegroup.drivers.db import messages
from nova_servicegroup import process

#: A call that takes longer hangs, most likely in a dead connection (seconds).
HANG = messages.MAX_AGE / 2
#: The most threads that may hang besides those that do not.
MOST_HUNG = 16


class Calls:
    """Limited number of threads that make calls of one kind.

    :param name: the name of the threads
    :param most: the most calls under way besides those that hang
    :param hang: the seconds after which a call is taken to hang
    :param most_hung: the most hanging calls that others are started beside
    :ivar failed: whether the last call that ended has failed, or None if none
        has ended. Like has_trouble, it ignores calls from before reset
    """

    def __init__(
        self,
        name: str,
        most: int,
        hang: float = HANG,
        most_hung: int = MOST_HUNG,
    ) -> None:
        self.failed: bool | None = None
        self._name = name
        self._most = most
        self._hang = hang
        self._most_hung = most_hung
        self._changed = threading.Condition()
        self._begun: dict[object, float] = {}
        self._since = time.monotonic()

    def start(self, target: Callable[..., Any], *args: Any) -> bool:
        """Start a call unless too many are under way; return whether it was.

        :param target: called with a token of the call, which it has to pass to
            end, and args
        :raises RuntimeError: no thread can be started; the call has failed
        """
        with self._changed:
            hung = min(len(self._hung()), self._most_hung)
            if len(self._begun) >= self._most + hung:
                return False
            call = object()
            self._begun[call] = time.monotonic()
        try:
            process.start_thread(
                functools.partial(target, call, *args), self._name
            )
        except RuntimeError:
            self.end(call, failed=True)
            raise
        return True

    def renew(self, call: object) -> None:
        """Restart the time after which a call is taken to hang."""
        with self._changed:
            self._begun[call] = time.monotonic()

    def end(self, call: object, failed: bool = False) -> None:
        """Note that a call has ended."""
        with self._changed:
            if self._begun.pop(call) >= self._since:
                self.failed = failed
            self._changed.notify_all()

    def has_trouble(self) -> bool:
        """Return whether the last call has failed, or one hangs."""
        with self._changed:
            hang = any(each >= self._since for each in self._hung())
            return hang or bool(self.failed)

    def reset(self) -> None:
        """Ignore the outcome of calls so far; they stay under way."""
        with self._changed:
            self.failed, self._since = None, time.monotonic()

    def wait(self, most: int, timeout: float) -> None:
        """Wait until at most so many calls are under way.

        :param timeout: seconds
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._begun) <= most, timeout)

    def _hung(self) -> list[float]:
        """Return the start times of the calls that hang."""
        now = time.monotonic()
        return [
            each for each in self._begun.values() if now - each > self._hang
        ]
