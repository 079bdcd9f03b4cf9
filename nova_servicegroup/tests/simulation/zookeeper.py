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

"""ZooKeeper as its clients see it: sessions and ephemeral nodes."""

from collections.abc import Callable
import itertools
import math
import random

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import truth

_tokens = itertools.count(1)


class Session:
    """The session of one member's client, and its node.

    :ivar fed: whether its client renews it
    :ivar alive: whether it is there
    :ivar turn: counts what was decided on its end
    :ivar node: the name of its node
    :ivar ended: called when it is gone
    """

    def __init__(self, host: truth.Host) -> None:
        self.host = host
        self.fed = True
        self.alive = True
        self.turn = 0
        self.ended: Callable[[], None] = lambda: None
        self.node = f'{naming.escape(host.name)}@{next(_tokens):016x}'.encode()


class Ensemble:
    """The servers.

    :ivar away: how they do not answer: 'loss' is an error, 'mute' nothing;
        '' if they do
    :ivar serving: whether they count time, reachable or not
    :ivar generation: counts how often all data was lost
    :ivar latency: seconds that an answer takes
    """

    def __init__(
        self,
        timeline: kernel.Kernel,
        timeout: float,
        tick: float,
        chance: random.Random,
    ) -> None:
        self.timeout = timeout
        self.away = ''
        self.serving = True
        self.generation = 0
        self.latency = 0.002
        self.group_exists = False
        self._kernel = timeline
        self._tick = tick
        self._chance = chance
        self._sessions: list[Session] = []

    def members(self) -> frozenset[int]:
        """Return the numbers of the hosts whose nodes are there."""
        return frozenset(each.host.number for each in self._sessions)

    def nodes(self) -> set[Session]:
        """Return the nodes."""
        return set(self._sessions)

    def sessions(self, host: truth.Host) -> list[Session]:
        """Return those of a host."""
        return [each for each in self._sessions if each.host is host]

    def join(self, host: truth.Host) -> Session:
        """Make a session with its node."""
        self.group_exists = True
        made = Session(host)
        self._sessions.append(made)
        host.seen.begin(self._kernel.now)
        return made

    def close(self, session: Session) -> None:
        """End a session, and remove its node."""
        if not session.alive:
            return
        session.alive = False
        self._sessions.remove(session)
        if not self.sessions(session.host):
            session.host.seen.end(self._kernel.now)
        session.ended()

    def starve(self, session: Session) -> None:
        """Note that its client does not renew a session any more."""
        if session.fed and session.alive:
            session.fed = False
            late = self._chance.uniform(0, self.timeout / 3)
            self._limit(session, self.timeout - late)

    def feed(self, session: Session) -> bool:
        """Renew a session from now on; tell whether it still is there."""
        session.fed, session.turn = True, session.turn + 1
        return session.alive

    def _limit(self, session: Session, left: float) -> None:
        """Have a session expire at the tick after so many seconds."""
        session.turn += 1
        turn, end = session.turn, self._kernel.now + left
        when = (math.floor(end / self._tick) + 1) * self._tick

        def expire() -> None:
            if session.turn == turn and self.serving:
                self.close(session)

        self._kernel.at(when, expire)

    def stop(self, how: str) -> None:
        """Serve nobody; no session expires."""
        self.away, self.serving = how, False

    def start(self) -> None:
        """Serve again. A new leader gives each session its time anew."""
        elected = not self.serving
        self.away, self.serving = '', True
        for each in self._sessions:
            if elected and not each.fed:
                self._limit(each, self.timeout)

    def wipe(self) -> None:
        """Lose all data."""
        self.generation += 1
        self.delete()

    def delete(self) -> None:
        """Lose the group, with all nodes."""
        self.group_exists = False
        for each in list(self._sessions):
            self.close(each)


def number_of(node: bytes, numbers: dict[str, int]) -> int:
    """Return the number of the host of a node."""
    return numbers[naming.host_of(node)]
