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

"""Notices that the monotonic clock stood still, as in a suspension."""

from collections.abc import Callable, Sequence
import time

#: The monotonic clock, and those that go on.
Clocks = Sequence[Callable[[], float]]


def boottime() -> float:
    """Return the seconds since the boot, with those of suspensions."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


#: In a virtual machine that was paused, only the time of day is set right.
CLOCKS: Clocks = (time.monotonic, boottime, time.time)


class Sleep:
    """The seconds in which the monotonic clock stood still.

    A step of the time of day looks like that, too.

    :param least: the seconds by which the clocks may differ without
    """

    def __init__(self, clocks: Clocks, least: float) -> None:
        self._clocks = clocks
        self._least = least
        self._ahead = self._read()

    def was_noticed(self) -> bool:
        """Return whether it stood still since the last call."""
        before, self._ahead = self._ahead, self._read()
        return any(
            now - then > self._least
            for then, now in zip(before, self._ahead, strict=True)
        )

    def _read(self) -> list[float]:
        """Return the seconds by which each clock is ahead of the first."""
        monotonic, *others = self._clocks
        # Others first: a pause between both is noticed, and hides nothing.
        read = [each() for each in others]
        now = monotonic()
        return [each - now for each in read]
