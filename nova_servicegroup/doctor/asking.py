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

"""Makes several calls at once, in bounded time."""

from collections.abc import Callable, Hashable, Iterable
import dataclasses
import threading
import time
from typing import Generic, TypeVar

from nova_servicegroup import exceptions

K = TypeVar('K', bound=Hashable)
T = TypeVar('T')


@dataclasses.dataclass(frozen=True)
class Answer(Generic[T]):
    """The result of one call.

    :ivar value: what it returned, or None if it failed
    :ivar error: why it failed, or None
    """

    value: T | None = None
    error: Exception | None = None


def ask_each(
    ask: Callable[[K], T], about: Iterable[K], wait: float
) -> dict[K, Answer[T]]:
    """Call a function with each of some keys, in a thread each.

    A call that takes too long goes on in the background, which never keeps
    the process from ending. Its error is a BackendTimeout.

    :param wait: seconds for all calls together
    :returns: the answers by key, in the order of the keys
    """
    answers: dict[K, Answer[T]] = {}
    end = time.monotonic() + wait
    threads = {key: _start(answers, ask, key) for key in about}
    for thread in threads.values():
        thread.join(max(0.0, end - time.monotonic()))
    # A late answer must not change what is returned.
    in_time = answers.copy()
    return {key: in_time.get(key) or _late(str(key), wait) for key in threads}


def ask_one(what: str, call: Callable[[], T], wait: float) -> Answer[T]:
    """Make one call; see ask_each.

    :param what: its name in the error
    """
    return ask_each(lambda _: call(), [what], wait)[what]


def reason(error: Exception | None) -> str:
    """Return why there is no answer, in one line."""
    if isinstance(error, exceptions.BackendError):
        return error.reason
    return exceptions.first_line(error or exceptions.ServiceGroupError())


def _start(
    answers: dict[K, Answer[T]], ask: Callable[[K], T], key: K
) -> threading.Thread:
    thread = threading.Thread(
        target=_answer,
        args=(answers, ask, key),
        daemon=True,
        name='servicegroup-doctor',
    )
    thread.start()
    return thread


def _answer(
    answers: dict[K, Answer[T]], ask: Callable[[K], T], key: K
) -> None:
    try:
        answers[key] = Answer(ask(key))
    except Exception as error:
        answers[key] = Answer(error=error)


def _late(what: str, wait: float) -> Answer[T]:
    return Answer(
        error=exceptions.BackendTimeout(what, f'no answer in {wait:g} s')
    )
