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

"""Calls in background threads, each awaited for a bounded time."""

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

#: The most idle threads kept for the next call, and the seconds they wait.
_MAX_IDLE = 32
_IDLE_WAIT = 120.0

T = TypeVar('T')


class OneAtATime(Generic[T]):
    """A call that is made in the background, never twice at once.

    Threads that ask at the same time take turns. A call that takes too long is
    not repeated: the next question waits for it.

    :param name: of what is called, for errors
    :param call: :raises ServiceGroupError: there is no answer
    :param max_age: seconds after the call for which an answer that came too
        late for its own question is used
    :param waits_again: whether each question waits for its whole time; else
        the time for which the call has been outstanding is subtracted
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

        :param wait: seconds, at most. Green threads wait at least a moment:
            they may have stood still since the call was made
        :raises ServiceGroupError: raised by the call
        :raises BackendTimeout: the call takes longer
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
        done = self._slot.fetch(None)
        if done is None:
            raise self._slot.error or no_answer(self._name)
        answer: T = done.answer
        return answer


class Slot:
    """A place for one background call at a time.

    :param changed: notified when a call is done
    :ivar error: why the last fetch had no answer: the call had failed, or was
        still outstanding; None: it had one
    """

    def __init__(self, name: str, changed: threading.Condition) -> None:
        self.name = name
        self.error: exceptions.ServiceGroupError | None = None
        self._changed = changed
        self._call: _Call | None = None

    @property
    def busy(self) -> bool:
        """Whether a call is outstanding."""
        return self._call is not None and not self._call.done

    @property
    def outstanding(self) -> float:
        """The seconds for which a call has been outstanding, or 0."""
        call = self._call
        if call is None or call.done:
            return 0.0
        return time.monotonic() - call.begun

    @property
    def answered(self) -> bool:
        """Whether an answer can be fetched."""
        call = self._call
        return call is not None and call.done and call.error is None

    def put(
        self, question: Hashable, call: Callable[[], Any], max_age: float
    ) -> None:
        """Start a call, unless one is outstanding or its answer is there.

        :param question: equal for equal calls
        :param max_age: seconds since the call for which its answer is used
        """
        now = time.monotonic()
        current = self._call
        if current is not None and (
            not current.done or current.answers(question, now - max_age)
        ):
            return
        self._call = _Call(question, call, self.name, now)
        _threads.get().run(self._call, self._changed)

    def fetch(self, question: Hashable) -> '_Call | None':
        """Return the finished call that answers question, once."""
        if self.busy or self._call is None:
            self.error = self._timeout()
            return None
        done, self._call = self._call, None
        self.error = done.error
        return None if done.error or done.question != question else done

    def _timeout(self) -> exceptions.BackendTimeout:
        """Return the error of a call that is outstanding.

        The error of the call before is mentioned, since it may tell why.
        """
        last = self.error
        if isinstance(last, exceptions.BackendTimeout):
            return last
        if isinstance(last, exceptions.BackendError):
            return no_answer(self.name, f' (the last one: {last.reason})')
        return no_answer(self.name)


def no_answer(name: str, before: str = '') -> exceptions.BackendTimeout:
    """Return the error of a question that has timed out.

    :param before: what to add about the question before
    """
    return exceptions.BackendTimeout(name, f'no answer yet{before}')


class _Call:
    """One call in the background.

    :ivar begun: when it was started
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
        """Return whether this answers question, and began since then."""
        return (
            self.error is None
            and self.question == question
            and self.begun >= since
        )

    def fail(self, error: Exception) -> None:
        """Record that no thread could be started for it."""
        self.error = exceptions.BackendError(self._name, str(error))
        self.done = True

    def run(self) -> None:
        """Make the call, and keep its answer or error."""
        try:
            self.answer = self._call()
        except exceptions.ServiceGroupError as error:
            self.error = error
        except Exception as error:
            LOG.exception('Unexpected error while asking %s', self._name)
            self.error = exceptions.BackendError(self._name, repr(error))


#: A call, and the condition that is notified when it is done.
_Job = tuple[_Call, threading.Condition]


class _Threads:
    """A pool of threads that make calls. It grows if no thread is idle.

    Starting one for each call would cost more than the call. They are daemon
    threads: unlike those of concurrent.futures, they let the process end.
    """

    def __init__(self) -> None:
        self._added = threading.Condition()
        self._jobs: collections.deque[_Job] = collections.deque()
        self._idle = 0

    def run(self, call: _Call, changed: threading.Condition) -> None:
        """Make a call in the background.

        :param changed: notified when it is done
        """
        with self._added:
            self._jobs.append((call, changed))
            if self._idle >= len(self._jobs):
                self._added.notify()
                return
        try:
            process.start_thread(self._work, 'servicegroup-ask')
        except RuntimeError as error:
            # Another thread may have taken the call meanwhile.
            with self._added, contextlib.suppress(ValueError):
                self._jobs.remove((call, changed))
                call.fail(error)

    def _work(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Wait for a call and make it; return whether there was one."""
        job = self._next()
        if job is None:
            return False
        call, changed = job
        call.run()
        with changed:
            call.done = True
            changed.notify_all()
        return True

    def _next(self) -> _Job | None:
        with self._added:
            wait = _IDLE_WAIT if self._idle < _MAX_IDLE else 0.0
            self._idle += 1
            self._added.wait_for(lambda: self._jobs, wait)
            self._idle -= 1
            return self._jobs.popleft() if self._jobs else None


_threads = process.PerProcess(_Threads)
