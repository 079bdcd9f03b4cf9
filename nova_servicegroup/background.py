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

"""Calls in background threads, which are awaited for a bounded time."""

import collections
from collections.abc import Callable, Hashable
import contextlib
import threading
import time
from typing import Any, Generic, TypeVar

from oslo_log import log as logging

from nova_servicegroup import exceptions
from nova_servicegroup import process

LOG = logging.getLogger(__name__)

#: Of the threads that wait for the next call, so many are kept, and for so
#: many seconds.
_KEPT = 32
_IDLE = 120.0

T = TypeVar('T')


class OneAtATime(Generic[T]):
    """Makes a call in the background, never a second one beside it.

    Threads that ask at the same time ask one after the other. A call that
    takes longer than it is awaited is not repeated: the next question awaits
    it.

    :param name: of what is called, for errors
    :param call: :raises ServiceGroupError: there is no answer
    :param max_age: an answer for which nobody waited any more is used for so
        many seconds after the call
    :param waits_again: whether each question waits for its whole time; else
        the time for which the call has been outstanding counts
    """

    def __init__(
        self,
        name: str,
        call: Callable[[], T],
        max_age: float = 0.0,
        *,
        waits_again: bool = False,
    ) -> None:
        self._name = name
        self._call = call
        self._max_age = max_age
        self._waits_again = waits_again
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._slot = Slot(name, self._changed)

    def ask(self, wait: float) -> T:
        """Return what the call returns.

        :param wait: seconds, at most. Green threads always get a moment: they
            may have stood still since the call was made
        :raises ServiceGroupError: what the call has raised
        :raises BackendTimeout: it takes longer
        """
        if not self._lock.acquire(timeout=wait):
            raise no_answer(self._name)
        try:
            return self._ask(wait)
        finally:
            self._lock.release()

    def _ask(self, wait: float) -> T:
        left = wait
        if not self._waits_again:
            left -= self._slot.outstanding
        left = max(min(wait, process.blind_wait()), left)
        self._slot.put(None, self._call, self._max_age)
        with self._changed:
            self._changed.wait_for(lambda: not self._slot.busy, left)
        done = self._slot.take(None)
        if done is None:
            raise self._slot.error or no_answer(self._name)
        answer: T = done.answer
        return answer


class Slot:
    """Room for one call at a time.

    :param changed: notified when a call is done
    :ivar mute: whether nobody need wait: the last call failed, or is still
        outstanding
    :ivar error: why there was no answer, the last time; None: there was
    """

    def __init__(self, name: str, changed: threading.Condition) -> None:
        self.name = name
        self.mute = False
        self.error: exceptions.ServiceGroupError | None = None
        self._changed = changed
        self._call: _Call | None = None

    @property
    def busy(self) -> bool:
        """Whether a call is outstanding."""
        return self._call is not None and not self._call.done

    @property
    def outstanding(self) -> float:
        """The seconds for which a call has been outstanding; or 0."""
        call = self._call
        if call is None or call.done:
            return 0.0
        return time.monotonic() - call.begun

    @property
    def answered(self) -> bool:
        """Whether an answer waits to be taken."""
        call = self._call
        return call is not None and call.done and call.error is None

    def put(
        self, question: Hashable, call: Callable[[], Any], max_age: float
    ) -> None:
        """Make a call, unless one is outstanding or its answer is there.

        :param question: tells which calls are the same
        :param max_age: the age of the answer, in seconds, at most
        """
        now = time.monotonic()
        current = self._call
        if current is not None and (
            not current.done or current.answers(question, now - max_age)
        ):
            return
        self._call = _Call(question, call, self.name, now)
        _threads.get().run(self._call, self._changed)

    def take(self, question: Hashable) -> '_Call | None':
        """Return the finished call that answers a question, once."""
        if self.busy or self._call is None:
            self.mute = True
            self.error = self._hang()
            return None
        done, self._call = self._call, None
        self.error = done.error
        self.mute = done.error is not None
        return None if self.mute or done.question != question else done

    def _hang(self) -> exceptions.BackendTimeout:
        """Return the error of a call that is outstanding.

        It is not that of the call before, though that may tell why.
        """
        last = self.error
        if isinstance(last, exceptions.BackendTimeout):
            return last
        if isinstance(last, exceptions.BackendError):
            return no_answer(self.name, f' (the last one: {last.reason})')
        return no_answer(self.name)


def no_answer(name: str, before: str = '') -> exceptions.BackendTimeout:
    """Return the error of a question whose time is over.

    :param before: what to add on the question before
    """
    return exceptions.BackendTimeout(name, f'no answer yet{before}')


class _Call:
    """One call, made in the background.

    :ivar begun: when it was made
    """

    def __init__(
        self,
        question: Hashable,
        call: Callable[[], Any],
        name: str,
        begun: float,
    ) -> None:
        self.question = question
        self.begun = begun
        self.answer: Any = None
        self.error: exceptions.ServiceGroupError | None = None
        self.done = False
        self._call = call
        self._name = name

    def answers(self, question: Hashable, since: float) -> bool:
        """Tell whether this answers a question, and was made since then."""
        return (
            self.error is None
            and self.question == question
            and self.begun >= since
        )

    def refuse(self, error: Exception) -> None:
        """Take note that it cannot be made."""
        self.error = exceptions.BackendError(self._name, str(error))
        self.done = True

    def run(self) -> None:
        """Make it, and keep what comes of it."""
        try:
            self.answer = self._call()
        except exceptions.ServiceGroupError as error:
            self.error = error
        except Exception as error:
            LOG.exception('Unexpected error while asking %s', self._name)
            self.error = exceptions.BackendError(self._name, repr(error))


#: A call, and what is notified when it is done.
_Asked = tuple[_Call, threading.Condition]


class _Threads:
    """Threads that make calls, started when none is idle.

    To start one for each call costs more than the call. They never keep the
    process from ending.
    """

    def __init__(self) -> None:
        self._wanted = threading.Condition()
        self._calls: collections.deque[_Asked] = collections.deque()
        self._idle = 0

    def run(self, call: _Call, changed: threading.Condition) -> None:
        """Make a call in the background.

        :param changed: notified when it is done
        """
        with self._wanted:
            self._calls.append((call, changed))
            if self._idle >= len(self._calls):
                self._wanted.notify()
                return
        try:
            threading.Thread(
                target=self._work, daemon=True, name='servicegroup-ask'
            ).start()
        except RuntimeError as error:
            # Unless another one has taken it meanwhile.
            with self._wanted, contextlib.suppress(ValueError):
                self._calls.remove((call, changed))
                call.refuse(error)

    def _work(self) -> None:
        while self._make_next():
            continue

    def _make_next(self) -> bool:
        """Await and make a call; tell whether there was one."""
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
