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

from collections.abc import Callable, Hashable, Sequence
import functools
import threading
import time
from typing import Any, Generic, Protocol, TypeVar

from nova_servicegroup import background
from nova_servicegroup import exceptions

#: Seconds that a server may take longer than the first that has answered.
_GRACE = 0.2


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
        self._servers = servers
        self._slots = [
            background.Slot(server.name, self._changed) for server in servers
        ]

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
        both = list(zip(self._servers, self._slots, strict=True))
        for server, slot in both:
            slot.put(question, functools.partial(call, server), max_age)
        self._await(wait)
        answers = [
            (server, done.answer)
            for server, slot in both
            if (done := slot.take(question)) is not None
        ]
        if not answers:
            raise self._error()
        return answers

    def _await(self, wait: float) -> None:
        """Wait for those that are not mute, but not long for the last."""
        awaited = [slot for slot in self._slots if not slot.mute]
        awaited = awaited or self._slots
        begun = time.monotonic()
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    any(slot.answered for slot in self._slots)
                    or not any(slot.busy for slot in awaited)
                ),
                wait,
            )
            taken = time.monotonic() - begun
            self._changed.wait_for(
                lambda: not any(slot.busy for slot in awaited),
                max(0.0, min(wait - taken, taken + _GRACE)),
            )

    def _error(self) -> exceptions.ServiceGroupError:
        errors = [slot.error for slot in self._slots if slot.error]
        reasons = [
            each
            for each in errors
            if not isinstance(each, exceptions.BackendTimeout)
        ]
        if errors:
            return (reasons or errors)[-1]
        return background.no_answer(', '.join(s.name for s in self._slots))
