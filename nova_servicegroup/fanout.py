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

"""Asks several servers at once, without waiting for mute ones."""

from collections.abc import Callable, Hashable, Sequence
import functools
import threading
import time
from typing import Any, Generic, Protocol, TypeVar

from nova_servicegroup import background
from nova_servicegroup import exceptions

#: Seconds that a server may take longer than twice the first answer.
_GRACE = 0.2


class Named(Protocol):
    """A server that can be asked."""

    name: str


S = TypeVar('S', bound=Named)


class Fanout(Generic[S]):
    """Several servers that are asked at once, each in a background thread.

    A server has at most one question outstanding. A server that failed or did
    not answer in time is mute: questions do not wait for it until it has
    answered again, unless all servers are mute. So a dead server slows no
    question down, and is used again when it is back.

    :param silent: the names of the servers that did not answer in time, if
        other questions to the same servers are to know it, too
    """

    def __init__(
        self, servers: Sequence[S], silent: set[str] | None = None
    ) -> None:
        self._silent = set[str]() if silent is None else silent
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
        """Ask all servers; return the answers that came in time, by server.

        :param question: equal for equal questions
        :param call: asks one server. :raises ServiceGroupError: no answer
        :param wait: seconds, at most
        :param max_age: seconds for which a late answer to an equal question is
            used
        :raises ServiceGroupError: none answered; raised by the last one
        :raises BackendTimeout: none answered in time
        """
        for server, slot in zip(self._servers, self._slots, strict=True):
            slot.put(question, functools.partial(call, server), max_age)
        self._await(wait)
        answers = self._fetch(question)
        if not answers:
            raise self._error()
        return answers

    def _fetch(self, question: Hashable) -> list[tuple[S, Any]]:
        answers = []
        for server, slot in zip(self._servers, self._slots, strict=True):
            done = slot.fetch(question)
            if done is not None:
                answers.append((server, done.answer))
            if isinstance(slot.error, exceptions.BackendTimeout):
                self._silent.add(server.name)
            else:
                self._silent.discard(server.name)
        return answers

    def _awaited(self) -> list[background.Slot]:
        """Return the slots of the servers that are not mute, or all."""
        awaited = [
            slot
            for slot in self._slots
            if slot.error is None and slot.name not in self._silent
        ]
        return awaited or self._slots

    def _await(self, wait: float) -> None:
        """Wait for servers that are not mute; briefly for the last ones."""
        awaited = self._awaited()
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
