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


"""Asks several at once, and waits for none that is mute."""

from collections.abc import Callable, Hashable, Iterable, Mapping
import dataclasses
import functools
import threading
import time
from typing import Generic, TypeVar

from nova_servicegroup import exceptions

K = TypeVar('K', bound=Hashable)
T = TypeVar('T')


@dataclasses.dataclass(frozen=True)
class Answer(Generic[T]):
    """What became of one question.

    :ivar value: the answer; None where there is an error
    :ivar error: why there is none
    """

    value: T | None = None
    error: Exception | None = None


def ask_all(
    calls: Mapping[K, Callable[[], T]], wait: float
) -> dict[K, Answer[T]]:
    """Make all calls, each in a thread of its own; return what they gave.

    A call that takes too long goes on in the background, which never keeps
    the process from ending. Its error is a BackendTimeout.

    :param wait: seconds for all of them together
    """
    answers: dict[K, Answer[T]] = {}
    threads = [
        threading.Thread(
            target=_answer,
            args=(answers, key, call),
            daemon=True,
            name='servicegroup-doctor',
        )
        for key, call in calls.items()
    ]
    end = time.monotonic() + wait
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    # What comes late must not change what is returned.
    in_time = answers.copy()
    return {key: in_time.get(key) or _late(str(key), wait) for key in calls}


def ask_each(
    ask: Callable[[K], T], about: Iterable[K], wait: float
) -> dict[K, Answer[T]]:
    """Ask the same about several; see ask_all."""
    return ask_all(
        {each: functools.partial(ask, each) for each in about}, wait
    )


def ask_one(what: str, call: Callable[[], T], wait: float) -> Answer[T]:
    """Make one call; see ask_all.

    :param what: what to call it in the error
    """
    return ask_all({what: call}, wait)[what]


def _answer(
    answers: dict[K, Answer[T]], key: K, call: Callable[[], T]
) -> None:
    try:
        answers[key] = Answer(call())
    except Exception as error:
        answers[key] = Answer(error=error)


def _late(what: str, wait: float) -> Answer[T]:
    return Answer(
        error=exceptions.BackendTimeout(what, f'no answer in {wait:g} s')
    )
