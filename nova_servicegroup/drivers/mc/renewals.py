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

"""What a member knows of a server from its last beats."""

from collections.abc import Callable, Iterator
import contextlib
import math
import time

from nova_servicegroup.drivers.mc import storage
from nova_servicegroup import exceptions

#: Of so many beats, one looks at the server closely: once in a minute with
#: Nova's defaults. Who finds the member gone looks with the same beat.
_LOOK_EVERY = 6


class Renewals:
    """Tells when to look closely, and whether the server has lost the member.

    :param ttl: seconds after which a member that is not renewed is gone
    """

    def __init__(
        self, ttl: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl = ttl
        self._clock = clock
        # What the last close look has found, and the beats since. What it has
        # written: one that was slow may be older than what was asked since.
        self._looked: storage.Answer | None = None
        self._beats = 0
        self._value = b''
        # Until when the server must still have the member.
        self._kept_until: float | None = None

    def take_look(self, value: bytes) -> storage.Answer | None:
        """Return what the last close look has found; None: it is time for one.

        Unless this beat succeeds, the next one looks.

        :param value: of the member from now on
        """
        looked, self._looked = self._looked, None
        return looked if self._value == value else None

    def look(self) -> None:
        """Take note that this beat looks closely."""
        self._beats = 0

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Take note where the server does not answer.

        It is its fault, if it has not got the member the next time.
        """
        try:
            yield
        except exceptions.BackendError:
            if self._kept_until is not None:
                self._kept_until = math.inf
            raise

    def succeed(self, answer: storage.Answer, value: bytes) -> None:
        """Take note of a beat that the server has taken.

        :param value: of the member, as it is there now
        """
        self._value = value
        self._kept_until = self._clock() + self._ttl
        self._beats += 1
        if answer.marker is not None and self._beats % _LOOK_EVERY:
            self._looked = answer

    def has_lost(self) -> bool:
        """Tell whether it is the server that has lost a live member.

        And not the member that has not renewed itself for long.
        """
        return self._kept_until is not None and (
            self._clock() < self._kept_until
        )
