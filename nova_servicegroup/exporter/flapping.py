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


"""Who goes down again and again."""

import collections
from collections.abc import Callable

#: A service flaps when it has gone down so often in so many seconds.
TIMES = 3
WINDOW = 1800.0


class Flapping:
    """The services of one group that go down again and again.

    :param clock: monotonic, in seconds
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # The last times at which each went down, at most TIMES of them.
        self._downs: dict[str, collections.deque[float]] = {}

    def note(self, host: str) -> None:
        """Note that the service of a host has just gone down."""
        downs = self._downs.setdefault(host, collections.deque(maxlen=TIMES))
        downs.append(self._clock())

    def count(self) -> int:
        """Return how many services flap."""
        since = self._clock() - WINDOW
        self._downs = {
            host: downs
            for host, downs in self._downs.items()
            if downs[-1] >= since
        }
        return sum(
            len(downs) == TIMES and downs[0] >= since
            for downs in self._downs.values()
        )
