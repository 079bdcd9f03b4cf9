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

"""Members on ZooKeeper."""

import random
from typing import Any

from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import truth
from nova_servicegroup.tests.simulation import zookeeper

#: So often, in seconds, it looks whether it was told anything.
_TICK = 0.5


class Member:
    """One member, by the rules of the driver.

    It is told that its node is gone, and joins with a new id then, or where
    its connection has failed for a twelfth of a session.

    :ivar works: whether its process runs
    :ivar cut: whether it alone is cut off from the servers
    """

    def __init__(
        self, history: Any, host: truth.Host, chance: random.Random
    ) -> None:
        self.host = host
        self.works = False
        self.cut = False
        self._world = history
        self._ensemble = history.ensemble
        self._chance = chance
        self._session: zookeeper.Session | None = None
        self._turn = 0
        # Whether it, and nobody else, has lost contact since its last join.
        self._alone = False

    @property
    def connected(self) -> bool:
        """Whether it reaches the servers."""
        return self.works and not self.cut and not self._ensemble.away

    def start(self) -> None:
        """Start a process, which joins."""
        self.works, self._session = True, None
        self._join_later(self._chance.uniform(0.05, 0.5))

    def die(self) -> None:
        """End at once."""
        self.works = False
        self._turn += 1
        self.host.living.end(kernel.now())
        if self._session is not None:
            self._ensemble.starve(self._session)

    def leave(self) -> None:
        """End, and say so if that is possible."""
        session, possible = self._session, self.connected
        self.die()
        if session is not None and possible:
            self._ensemble.close(session)

    def lose(self) -> None:
        """Lose contact with the servers."""
        self._turn += 1
        self._alone |= self.cut
        if self._session is not None and self._ensemble.serving:
            self._ensemble.starve(self._session)

    def _ended(self) -> None:
        """One that is cut off alone counts as dead once it has expired."""
        if self._alone:
            self.host.living.end(kernel.now())

    def find(self, failed: float) -> None:
        """Have contact again after so many seconds without."""
        if not self.connected:
            return
        self._turn += 1
        timeout = self._ensemble.timeout
        back = self._chance.uniform(0.01, min(timeout / 4, 2.5))
        self._world.later(back, self._feed, self._session)
        if failed > timeout / 12:
            self._join_later(self._chance.uniform(back, timeout / 2 + 0.5))
        else:
            self._verify_later(back)

    def check(self) -> None:
        """Have it find out that its node is gone, as its watch tells."""
        if self.connected:
            self._verify_later(self._chance.uniform(0, _TICK))

    def _feed(self, session: zookeeper.Session | None) -> None:
        if session is not None and self.connected:
            self._ensemble.feed(session)
            self._alone = False

    def _verify_later(self, delay: float) -> None:
        self._world.later(delay, self._verify, self._turn)

    def _verify(self, turn: int) -> None:
        gone = self._session is None or not self._session.alive
        if self._turn == turn and self.connected and gone:
            self._join_later(self._chance.uniform(0, 0.6))

    def _join_later(self, delay: float) -> None:
        self._turn += 1
        delay += 4 * self._ensemble.latency
        self._world.later(delay, self._join, self._turn)

    def _join(self, turn: int) -> None:
        if self._turn != turn or not self.works:
            return
        if not self.connected:
            return
        old, self._session = self._session, self._ensemble.join(self.host)
        self._session.ended = self._ended
        self._alone = False
        if old is not None:
            self._ensemble.close(old)
        self.host.begin(kernel.now())
        self._world.note_join()
