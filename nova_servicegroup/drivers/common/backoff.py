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

"""Waits before a server that has failed is used again."""

from collections.abc import Callable, Iterator
import contextlib
import math
import random
import time

from nova_servicegroup import exceptions

#: How often a wait is doubled at most, lest a float overflow.
_MOST_DOUBLED = 64


class CircuitBreaker:
    """Refuses the calls of one server for a while after one has failed.

    :param longest: the longest wait after a failure, in seconds
    """

    def __init__(
        self, longest: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._longest = longest
        self._clock = clock
        self._failures = 0
        self._until = -math.inf
        self._reason = ''

    @contextlib.contextmanager
    def guard(self, backend: str) -> Iterator[None]:
        """Refuse to run the body for a while after it has failed.

        :param backend: the name of the server in errors
        :raises BackendError: refused, or as raised inside
        """
        if self._clock() < self._until:
            raise exceptions.BackendError(
                backend, f'failed a moment ago: {self._reason}'
            )
        try:
            yield
        except exceptions.BackendError as error:
            self._reason = error.reason
            self._until = self._clock() + backoff(
                self._failures, self._longest
            )
            self._failures += 1
            raise
        self._failures = 0


def backoff(failures: int, longest: float) -> float:
    """Return the seconds to wait after a number of failures, with jitter."""
    doubled = 0.5 * 2.0 ** min(failures, _MOST_DOUBLED)
    return min(doubled, longest) * random.uniform(0.5, 1.0)
