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


"""Calls in threads of their own, of which some may hang."""

from collections.abc import Callable
import threading
import time
from typing import Any

from nova_servicegroup.drivers.db import messages

#: What takes longer hangs, most likely in a connection that is dead (seconds).
HANG = messages.MAX_AGE / 2
#: So many threads may hang besides those that do not.
MOST_HUNG = 16


class Calls:
    """The calls that are under way, and which of them hang.

    :param name: of their threads
    :param most: so many may be under way besides those that hang
    :param hang: the seconds after which a call hangs
    :param most_hung: so many of those that hang make room for another
    :ivar failed: whether the last one that ended has failed; None: none has
        ended yet. Neither this nor has_trouble is about calls that were begun
        before forgive
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
        """Begin a call, unless there are enough; tell whether it was begun.

        :param target: called with what stands for the call, and args. It is
            to end the call
        :raises RuntimeError: there is no thread for it. It has failed
        """
        with self._changed:
            hung = min(len(self._hung()), self._most_hung)
            if len(self._begun) >= self._most + hung:
                return False
            call = object()
            self._begun[call] = time.monotonic()
        try:
            threading.Thread(
                target=target, args=(call, *args), daemon=True, name=self._name
            ).start()
        except RuntimeError:
            self.end(call, failed=True)
            raise
        return True

    def renew(self, call: object) -> None:
        """Take note that a call has begun with its next part."""
        with self._changed:
            self._begun[call] = time.monotonic()

    def end(self, call: object, failed: bool = False) -> None:
        """Take note that a call has ended."""
        with self._changed:
            if self._begun.pop(call) >= self._since:
                self.failed = failed
            self._changed.notify_all()

    def has_trouble(self) -> bool:
        """Tell whether the last one has failed, or one hangs."""
        with self._changed:
            hang = any(each >= self._since for each in self._hung())
            return hang or bool(self.failed)

    def forgive(self) -> None:
        """Forget what was begun so far, except that it is under way."""
        with self._changed:
            self.failed, self._since = None, time.monotonic()

    def wait(self, most: int, timeout: float) -> None:
        """Wait until no more than so many are under way."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._begun) <= most, timeout)

    def _hung(self) -> list[float]:
        """Return when those were begun that hang."""
        now = time.monotonic()
        return [
            each for each in self._begun.values() if now - each > self._hang
        ]
