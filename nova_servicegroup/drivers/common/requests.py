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

"""What the drivers on tooz share: waits, requests, errors, threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import importlib
import importlib.util
import math
import time
from typing import Any

from oslo_log import log as logging

from nova_servicegroup import escaping
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

_POLL = 0.005


def try_import(name: str) -> Any:
    """Return a module; None: it cannot be imported, as require says.

    A library that does not fit the others may raise anything.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:
        LOG.debug('%s cannot be imported: %r', name, error)
        return None


def require(driver: str, library: str, extra: str, *modules: str) -> None:
    """Check that tooz and a client library are there and can be used.

    :param modules: of them that are used
    :raises LibraryMissing: one is not installed
    :raises LibraryUnusable: one is, and cannot be imported
    """
    for name in ('tooz', library):
        if importlib.util.find_spec(name) is None:
            raise exceptions.LibraryMissing(driver, name, extra)
    for name in ('tooz.coordination', *modules):
        try:
            importlib.import_module(name)
        except Exception as error:
            raise exceptions.LibraryUnusable(driver, name, error) from error


@contextlib.contextmanager
def translated(backend: str) -> Iterator[None]:
    """Let nothing but BackendError out.

    The client libraries raise errors of tooz, of their own, of the operating
    system and of codecs; whatever it is, the backend was not asked.
    """
    try:
        yield
    except exceptions.ServiceGroupError:
        raise
    except Exception as error:
        raise exceptions.BackendError(backend, reason(error)) from error


def reason(error: BaseException) -> str:
    """Return a text for error; tooz's are often empty, its causes are not.

    tooz looks the number of an error of the operating system up in a table,
    and raises KeyError where that has none, as for a name without an address.
    """
    if isinstance(error, LookupError) and isinstance(
        error.__context__, OSError
    ):
        error = error.__context__
    for each in (error, getattr(error, 'cause', None), error.__cause__):
        if each is not None and str(each):
            return escaping.printable(f'{type(each).__name__}: {each}', 500)
    return type(error.__cause__ or error).__name__


class Answers:
    """The results of several questions, as one; those that failed are None.

    :param results: tooz's async results, by what was asked about
    """

    def __init__(self, results: dict[bytes, Any]) -> None:
        self._results = results

    def done(self) -> bool:
        """Tell whether get can be called."""
        return all(each.done() for each in self._results.values())

    def get(self) -> dict[bytes, Any]:
        """Return what was answered."""
        return {name: _get(each) for name, each in self._results.items()}


def _get(result: Any) -> Any:
    try:
        return result.get()
    except Exception as error:
        LOG.debug('No answer: %s', reason(error))
        return None


class Deadline:
    """The end of a wait that several steps share."""

    def __init__(self, wait: float) -> None:
        self._end = time.monotonic() + wait

    def left(self) -> float:
        """Return the seconds that are left; never less than 0."""
        return max(0.0, self._end - time.monotonic())


class Request:
    """At most one outstanding question to a coordinator.

    An answer that does not come in time stays awaited: asking anew would
    keep a mute server's connection alive for ever.

    :ivar asked_at: when the last one was issued, whose answer may be collected
        much later
    """

    def __init__(
        self, backend: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.backend = backend
        self._clock = clock
        self._asked: tuple[Any, str] = (None, '')
        self.asked_at = -math.inf
        self._pending: Any = None

    def ask(
        self,
        coordinator: Any,
        name: str,
        issue: Callable[[], Any],
        deadline: Deadline,
        collect: bool = True,
        max_age: float = math.inf,
    ) -> Any:
        """Issue a question, unless it is outstanding, and await the answer.

        :param name: says which question is the same one
        :param issue: asks it of coordinator, returns tooz's async result
        :param collect: return what it is; else tooz's own, which is done
        :param max_age: take an answer that is there if it was asked for in
            the last so many seconds
        :raises BackendTimeout: no answer yet; ask again, with the same name
        :raises tooz.ToozError: the answer
        """
        self._settle(coordinator, name, deadline)
        if self._is_stale(max_age):
            self._pending = None
        if self._pending is None:
            self._asked, self.asked_at = (coordinator, name), self._clock()
            self._pending = issue()
        self._await(deadline)
        pending, self._pending = self._pending, None
        return pending.get() if collect else pending

    def _is_stale(self, max_age: float) -> bool:
        """Tell whether there is an answer that may no longer be true."""
        return (
            self._clock() - self.asked_at > max_age
            and self._pending is not None
            and self._pending.done()
        )

    def _settle(self, coordinator: Any, name: str, deadline: Deadline) -> None:
        """Await and drop what was asked before, if it was something else."""
        if self._pending is None or self._asked == (coordinator, name):
            return
        if self._asked[0] is coordinator:
            self._await(deadline)
        self._pending = None

    def _await(self, deadline: Deadline) -> None:
        pause = _POLL / 10
        while not self._pending.done():
            if not deadline.left():
                raise exceptions.BackendTimeout(
                    self.backend, f'no answer yet: {self._asked[1]}'
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _POLL)
