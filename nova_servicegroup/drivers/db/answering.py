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

#: So many threads more for each batch, and so many at most.
_THREADS = 4
_MOST_THREADS = 16
#: What takes longer hangs, as where the sender has vanished (seconds). So many
#: threads may hang besides.
_HANG = 3.0
_MOST_HUNG = 64


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
        # When each thread began with the answer that it sends.
        self._begun: dict[object, float] = {}

    def put(self, answers: Sequence[Answer]) -> None:
        """Have answers sent."""
        with self._changed:
            self._waiting += answers
            threads = self._more(min(_THREADS, len(answers)))
        for thread in threads:
            threading.Thread(
                target=self._run,
                args=(thread,),
                daemon=True,
                name='servicegroup-collector-answer',
            ).start()

    def _more(self, wanted: int) -> list[object]:
        """Return what stands for each thread that is to be started.

        Those that hang do not count, for a while.
        """
        now = self._clock()
        hung = sum(now - each > _HANG for each in self._begun.values())
        most = _MOST_THREADS + min(hung, _MOST_HUNG)
        more = max(0, min(wanted, most - len(self._begun)))
        threads = [object() for _ in range(more)]
        self._begun.update(dict.fromkeys(threads, now))
        return threads

    def wait(self, timeout: float) -> None:
        """Wait until all are sent, for so many seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._begun, timeout)

    def _run(self, thread: object) -> None:
        while (answer := self._next(thread)) is not None:
            answer.send()

    def _next(self, thread: object) -> Answer | None:
        """Return the last that somebody waits for, and forget the others."""
        now = self._clock()
        with self._changed:
            while self._waiting:
                answer = self._waiting.pop()
                if answer.until > now:
                    self._begun[thread] = now
                    return answer
            del self._begun[thread]
            self._changed.notify_all()
        return None
