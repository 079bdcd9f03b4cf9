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


"""Asks several servers at once, and waits for none that is mute."""

import collections
from collections.abc import Callable, Hashable, Sequence
import threading
import time
from typing import Any, Generic, Protocol, TypeVar

from oslo_log import log as logging

from nova_servicegroup import exceptions
from nova_servicegroup import process

LOG = logging.getLogger(__name__)

#: Seconds that a server may take longer than the first that has answered.
_GRACE = 0.2
#: Of the threads that wait for the next question, so many are kept, and for
#: so many seconds.
_KEPT = 32
_IDLE = 120.0


class Named(Protocol):
    """What is asked."""

    name: str


S = TypeVar('S', bound=Named)


class Fanout(Generic[S]):
    """Asks every server in a thread of its own.

    A server has at most one question outstanding. One that failed, or let a
    question wait, is mute: nobody waits for it before it has answered, unless
    all are mute. So one server that is away slows nobody down, and is noticed
    when it is back.
    """

    def __init__(self, servers: Sequence[S]) -> None:
        self._changed = threading.Condition()
        self._lines = [_Line(server, self._changed) for server in servers]

    def ask(
        self,
        question: Hashable,
        call: Callable[[S], Any],
        wait: float,
        max_age: float = 0.0,
    ) -> list[tuple[S, Any]]:
        """Ask all; return those that answered in time and what they said.

        :param question: tells which questions are the same
        :param call: asks one server. :raises ServiceGroupError: no answer
        :param wait: seconds, at most
        :param max_age: take an answer to the same question that was put so
            many seconds ago and that nobody has fetched
        :raises ServiceGroupError: none answered; what the last one raised
        :raises BackendTimeout: none answered in time
        """
        for line in self._lines:
            line.put(question, call, max_age)
        self._await(wait)
        answers = [
            (line.server, done.answer)
            for line in self._lines
            if (done := line.take(question)) is not None
        ]
        if not answers:
            raise self._error()
        return answers

    def outstanding(self) -> float:
        """Return the seconds for which a question has been outstanding."""
        return max(line.outstanding for line in self._lines)

    def _await(self, wait: float) -> None:
        """Wait for those that are not mute, but not long for the last."""
        awaited = [line for line in self._lines if not line.mute]
        awaited = awaited or self._lines
        begun = time.monotonic()
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    any(line.answered for line in self._lines)
                    or not any(line.busy for line in awaited)
                ),
                wait,
            )
            taken = time.monotonic() - begun
            self._changed.wait_for(
                lambda: not any(line.busy for line in awaited),
                max(0.0, min(wait - taken, taken + _GRACE)),
            )

    def _error(self) -> exceptions.ServiceGroupError:
        errors = [line.error for line in self._lines if line.error]
        if errors:
            return errors[-1]
        names = ', '.join(line.server.name for line in self._lines)
        return exceptions.BackendTimeout(names, 'no answer yet')


class Single:
    """Asks one server, for several threads: one after the other.

    :param name: of the server
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._fanout = Fanout([self])

    def ask(self, call: Callable[[], Any], wait: float, max_age: float) -> Any:
        """Return what call returns; see Fanout.ask.

        :param wait: seconds, at most, since the question was put: one that
            is mute is waited for once
        :raises ServiceGroupError: what call has raised
        :raises BackendTimeout: it takes longer
        """
        if not self._lock.acquire(timeout=wait):
            raise exceptions.BackendTimeout(self.name, 'no answer yet')
        try:
            left = max(0.0, wait - self._fanout.outstanding())
            ((_, answer),) = self._fanout.ask(
                None, lambda _: call(), left, max_age
            )
        finally:
            self._lock.release()
        return answer


class _Line(Generic[S]):
    """The questions to one server."""

    def __init__(self, server: S, changed: threading.Condition) -> None:
        self.server = server
        self.mute = False
        #: Why there was no answer, the last time; None: there was.
        self.error: exceptions.ServiceGroupError | None = None
        self._changed = changed
        self._call: _Call | None = None

    @property
    def busy(self) -> bool:
        """Whether a question is outstanding."""
        return self._call is not None and not self._call.done

    @property
    def outstanding(self) -> float:
        """The seconds for which a question has been outstanding; or 0."""
        call = self._call
        return call.age() if call is not None and not call.done else 0.0

    @property
    def answered(self) -> bool:
        """Whether an answer waits to be taken."""
        call = self._call
        return call is not None and call.done and call.error is None

    def put(
        self, question: Hashable, call: Callable[[S], Any], max_age: float
    ) -> None:
        """Ask, unless a question is outstanding or its answer is there."""
        current = self._call
        if self.busy or (current and current.answers(question, max_age)):
            return
        self._call = _Call(
            question, lambda: call(self.server), self.server.name
        )
        _threads.get().run(self._call, self._changed)

    def take(self, question: Hashable) -> '_Call | None':
        """Return the finished call that answers a question, once."""
        if self.busy or self._call is None:
            self.mute = True
            return None
        done, self._call = self._call, None
        self.error = done.error
        self.mute = done.error is not None
        return None if self.mute or done.question != question else done


class _Call:
    """One question to one server, put in the background."""

    def __init__(
        self, question: Hashable, call: Callable[[], Any], name: str
    ) -> None:
        self.question = question
        self.answer: Any = None
        self.error: exceptions.ServiceGroupError | None = None
        self.done = False
        self._call = call
        self._name = name
        self._begun = time.monotonic()

    def answers(self, question: Hashable, max_age: float) -> bool:
        """Tell whether this is an answer to a question, and a young one."""
        return (
            self.error is None
            and self.question == question
            and self.age() <= max_age
        )

    def age(self) -> float:
        """Return the seconds since it was put."""
        return time.monotonic() - self._begun

    def run(self) -> None:
        """Put it, and keep what comes of it."""
        try:
            self.answer = self._call()
        except exceptions.ServiceGroupError as error:
            self.error = error
        except Exception as error:
            LOG.exception('Unexpected error while asking %s', self._name)
            self.error = exceptions.BackendError(self._name, repr(error))


#: A question, and who is told when it is done.
_Asked = tuple[_Call, threading.Condition]


class _Threads:
    """Threads that put questions, made when none is idle.

    To make one for each question costs more than the question. They never
    keep the process from ending.
    """

    def __init__(self) -> None:
        self._wanted = threading.Condition()
        self._calls: collections.deque[_Asked] = collections.deque()
        self._idle = 0

    def run(self, call: _Call, changed: threading.Condition) -> None:
        """Put a question in the background.

        :param changed: told when it is done
        """
        with self._wanted:
            self._calls.append((call, changed))
            if self._idle >= len(self._calls):
                self._wanted.notify()
                return
        threading.Thread(
            target=self._work, daemon=True, name='servicegroup-ask'
        ).start()

    def _work(self) -> None:
        while self._put_next():
            continue

    def _put_next(self) -> bool:
        """Await and put a question; tell whether there was one."""
        asked = self._take()
        if asked is None:
            return False
        call, changed = asked
        call.run()
        with changed:
            call.done = True
            changed.notify_all()
        return True

    def _take(self) -> _Asked | None:
        with self._wanted:
            wait = _IDLE if self._idle < _KEPT else 0.0
            self._idle += 1
            self._wanted.wait_for(lambda: self._calls, wait)
            self._idle -= 1
            return self._calls.popleft() if self._calls else None


_threads = process.PerProcess(_Threads)
