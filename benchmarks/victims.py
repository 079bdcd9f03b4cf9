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

"""Hosts that are killed and started again and again."""

import random
import time

from benchmarks import fleet as fleet_

#: Seconds within which a host that was started again must be up.
START = 60.0


class Victims:
    """The hosts of a contestant that are killed, and started again.

    :ivar killed: when each dead host was killed, and under which stress
    """

    def __init__(self, fleet: fleet_.Fleet, count: int) -> None:
        self._fleet = fleet
        self._numbers = {
            host: number
            for number, (host, *_) in enumerate(fleet.shares)
            if number >= len(fleet.shares) - count
        }
        self._up = set(self._numbers)
        self._started: dict[str, float] = {}
        self.killed: dict[str, tuple[float, str]] = {}

    def kill(self, stress: str) -> None:
        """Kill one of those that are up, if any."""
        if self._up:
            host = random.choice(sorted(self._up))
            self._up.remove(host)
            self.killed[host] = self._fleet.kill(self._numbers[host]), stress

    def rise(self, host: str) -> None:
        """Note that a host was seen up."""
        if host in self._numbers and host not in self.killed:
            self._up.add(host)
            self._started.pop(host, None)

    def fall(self, host: str) -> None:
        """Note that a host was seen down; start it if it is dead."""
        self._up.discard(host)
        if self.killed.pop(host, None):
            self._start(host)

    def retry(self) -> None:
        """Start those again that did not come up, as without a server."""
        late = time.monotonic() - START
        for host in [each for each, at in self._started.items() if at < late]:
            self._start(host)

    def _start(self, host: str) -> None:
        self._fleet.revive(self._numbers[host])
        self._started[host] = time.monotonic()
