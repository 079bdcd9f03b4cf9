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

"""Imports, errors, deadlines and requests of the drivers on tooz."""

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

#: Seconds between two looks at an outstanding request, at most.
_POLL = 0.005


def try_import(name: str) -> Any:
    """Return a module, or None if it cannot be imported; see require.

    A library of an unsuitable version may raise anything.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:
        LOG.debug('%s cannot be imported: %r', name, error)
        return None


def require(driver: str, library: str, extra: str, *modules: str) -> None:
    """Check that tooz and a client library can be imported.

    :param modules: the modules of the two that the driver uses
    :raises LibraryMissing: one of the two is not installed
    :raises LibraryUnusable: a module cannot be imported
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
    """Turn any error that is not one of this package into BackendError.

    The client libraries raise errors of tooz, of their own, of the operating
    system and of codecs. Each means that there is no usable answer.
    """
    try:
        yield
    except exceptions.ServiceGroupError:
        raise
    except Exception as error:
        raise exceptions.BackendError(backend, reason(error)) from error


def reason(error: BaseException) -> str:
    """Return the text of an error, or of its cause: tooz's are often empty.

    tooz looks up the number of an OSError in a table and raises KeyError if it
    is not there, as for a name without an address.
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
    """The results of several requests as one; a failed one becomes None.

    :param results: tooz's async results, by the id of what was asked about
    """

    def __init__(self, results: dict[bytes, Any]) -> None:
        self._results = results

    def done(self) -> bool:
        """Return whether all have been answered."""
        return all(each.done() for each in self._results.values())

    def get(self) -> dict[bytes, Any]:
        """Return the answers, by the same ids."""
        return {name: _get(each) for name, each in self._results.items()}


def _get(result: Any) -> Any:
    try:
        return result.get()
    except Exception as error:
        LOG.debug('No answer: %s', reason(error))
        return None


class Deadline:
    """The end of a wait, in seconds, that several steps share."""

    def __init__(self, wait: float) -> None:
        self._end = time.monotonic() + wait

    def left(self) -> float:
        """Return the seconds that are left, 0 if it has passed."""
        return max(0.0, self._end - time.monotonic())


class Request:
    """The one outstanding request to a coordinator.

    An answer that does not come in time stays awaited: asking anew would
    keep a mute server's connection alive for ever.

    :ivar asked_at: when the last request was issued, by the clock; its answer
        may be collected much later
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
        """Issue a request, unless it is outstanding, and await its answer.

        :param name: identifies the request: the same name, the same request
        :param issue: sends it to coordinator, returns tooz's async result
        :param collect: return the answer; else tooz's result, which is done
        :param max_age: drop an answer that has come to a request of more than
            so many seconds ago, and ask again
        :raises BackendTimeout: no answer yet; ask again, with the same name
        :raises tooz.ToozError: the answer
        """
        if self._pending is not None:
            self._drop_outdated(coordinator, name, deadline, max_age)
        if self._pending is None:
            self._asked, self.asked_at = (coordinator, name), self._clock()
            self._pending = issue()
        self._await(deadline)
        pending, self._pending = self._pending, None
        return pending.get() if collect else pending

    def _drop_outdated(
        self, coordinator: Any, name: str, deadline: Deadline, max_age: float
    ) -> None:
        """Drop the outstanding request if it is another one, or too old.

        Another one is awaited first, unless its coordinator was replaced.
        """
        if self._asked == (coordinator, name):
            age = self._clock() - self.asked_at
            if age <= max_age or not self._pending.done():
                return
        elif self._asked[0] is coordinator:
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
