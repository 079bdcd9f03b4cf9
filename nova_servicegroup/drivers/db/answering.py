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


"""Answers to heartbeats, as long as somebody waits for them."""

from collections.abc import Callable, Sequence
import dataclasses
import threading
import time

#: So many threads more for each batch, and so many at most. One whose sender
#: has vanished may take a minute.
_THREADS = 4
_MOST_THREADS = 16


@dataclasses.dataclass(frozen=True)
class Answer:
    """What answers one call.

    :ivar send: sends it; raises nothing
    :ivar until: when nobody waits for it any more, by the monotonic clock
    """

    send: Callable[[], None]
    until: float


class Answers:
    """Sends answers in the background.

    Where there are too many, the last to come goes first: those that have
    waited for long would be too late, like all others after them.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[Answer] = []
        self._running = 0

    def put(self, answers: Sequence[Answer]) -> None:
        """Have answers sent."""
        with self._changed:
            self._waiting += answers
            wanted = min(_THREADS, len(answers))
            more = min(wanted, _MOST_THREADS - self._running)
            self._running += more
        for _ in range(more):
            threading.Thread(
                target=self._run,
                daemon=True,
                name='servicegroup-collector-answer',
            ).start()

    def wait(self, timeout: float) -> None:
        """Wait until all are sent, for so many seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running, timeout)

    def _run(self) -> None:
        while (answer := self._next()) is not None:
            answer.send()

    def _next(self) -> Answer | None:
        """Return the last that somebody waits for, and forget the others."""
        now = self._clock()
        with self._changed:
            while self._waiting:
                answer = self._waiting.pop()
                if answer.until > now:
                    return answer
            self._running -= 1
            self._changed.notify_all()
        return None
