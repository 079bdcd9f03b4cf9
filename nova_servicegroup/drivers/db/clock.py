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

"""The database's clock, between two looks at it."""

from collections.abc import Callable
import time

#: Seconds for which the difference between two clocks is believed.
_AGE = 5.0
_ERROR = 1.0


class Clock:
    """Somebody else's clock, between two looks at it.

    :param ask: returns its time in seconds, or None
    """

    def __init__(
        self,
        ask: Callable[[], float | None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._ahead: float | None = None
        self._set_at = 0.0

    def set(self, now: float | None) -> None:
        """Note what it shows."""
        self._set_at = self._clock()
        self._ahead = None if now is None else now - self._set_at

    def read(self) -> float | None:
        """Return its time; None: it was never told."""
        begun = self._clock()
        if self._ahead is None or begun - self._set_at > _AGE:
            now = self._ask()
            # What has taken long is no longer true.
            if now is not None and self._clock() - begun <= _ERROR:
                self.set(now)
        return None if self._ahead is None else self._clock() + self._ahead
