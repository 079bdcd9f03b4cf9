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
import dataclasses
import math
import random
from typing import Any

from kazoo import exceptions as kazoo_exc
from tooz import coordination

from nova_servicegroup import condition
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.tests.promises import kernel
from nova_servicegroup.tests.promises import plan
from nova_servicegroup.tests.promises import renewals

GROUP = b'compute'


@dataclasses.dataclass
class Session:
    """The session of one member's coordinator."""

    member_id: bytes
    expires: float
    epoch: int
    mark: str | None = None


class Ensemble:
    """The servers.

    :ivar away: they do not answer: at all, or with an error
    :ivar latency: seconds that an answer takes
    """

    def __init__(self, timeout: float, tick: float) -> None:
        self.timeout = timeout
        self._tick = tick
        self.away: str | None = None
        self.latency = 0.002
        self.group_exists = True
        self.epoch = 0
        self._sessions: dict[bytes, Session] = {}
        # The mark that the agent of each host has left last.
        self._ended: dict[str, bytes] = {}

    def members(self) -> set[bytes]:
        """Return the member ids whose nodes are there, and the marks."""
        self._expire()
        ended = self._ended.values()
        return {*self._sessions, *self.marks(), *ended}

    def marks(self) -> set[bytes]:
        """Return the marks whose nodes are there."""
        return {
            naming.marked(each.member_id, each.mark)
            for each in self._sessions.values()
            if each.mark is not None
        }

    def join(self, member_id: bytes) -> Session:
        """Make a session and a node."""
        self.group_exists = True
        until = kernel.monotonic() + self.timeout
        made = self._sessions[member_id] = Session(
            member_id, until, self.epoch
        )
        return made

    def ping(self, session: Session) -> bool:
        """Renew a session; tell whether it is still there."""
        self._expire()
        session.expires = kernel.monotonic() + self.timeout
        return self._sessions.get(session.member_id) is session

    def close(self, session: Session) -> None:
        """End a session."""
        if self._sessions.get(session.member_id) is session:
            del self._sessions[session.member_id]

    def end(self, session: Session) -> None:
        """Remove the node of a session, as an agent does."""
        if self._sessions.get(session.member_id) is session:
            host = naming.host_of(session.member_id)
            mark = naming.marked(session.member_id, condition.ENDED_MARK)
            self._ended[host] = mark
            self.close(session)

    def wipe(self) -> None:
        """Forget everything."""
        self._sessions.clear()
        self._ended.clear()
        self.group_exists = False
        self.epoch += 1

    def restore(self) -> None:
        """Answer again. A new leader gives all sessions their time anew."""
        self.away = None
        for each in self._sessions.values():
            each.expires = kernel.monotonic() + self.timeout

    def _expire(self) -> None:
        if self.away:
            return
        now = math.floor(kernel.monotonic() / self._tick) * self._tick
        for member_id, each in list(self._sessions.items()):
            if each.expires <= now:
                del self._sessions[member_id]


class Member(renewals.Member):
    """See renewals.Member.

    :ivar member_id: of its coordinator; a new one for each
    """

    def __init__(
        self,
        host: str,
        ensemble: Ensemble,
        chance: random.Random,
        domain: str | None,
    ) -> None:
        self.interval = min(10.0, ensemble.timeout / 3)
        self._host = host
        self._domain = domain
        self._ensemble = ensemble
        self._chance = chance
        self._session: Session | None = None
        self._failed_since: float | None = None

    def _beat(self) -> bool:
        now = kernel.monotonic()
        if self._ensemble.away:
            self._failed_since = self._failed_since or now
            return False
        since, self._failed_since = self._failed_since, None
        patience = self._ensemble.timeout / 12
        if since is not None and now - since > patience:
            # Another coordinator was made meanwhile.
            self._close()
        if self._session and self._ensemble.ping(self._session):
            self._session.mark = self.mark
            return True
        old, member_id = self._session, self._new_id()
        if old is not None and old.epoch == self._ensemble.epoch:
            # It was away for too long, by its own fault.
            member_id = old.member_id
        self._session = self._ensemble.join(member_id)
        self._session.mark = self.mark
        return True

    def _close(self) -> None:
        if self._session is not None:
            self._ensemble.close(self._session)
            self._session = None

    def _leave(self) -> None:
        """See renewals.Member."""
        if not self._ensemble.away:
            self._close()

    def ending(self) -> Callable[[], bool]:
        """See world.Backend."""
        session = self._session

        def end() -> bool:
            if session is not None and not self._ensemble.away:
                self._ensemble.end(session)
            return session is None or not self._ensemble.away

        return end

    def start(self) -> None:
        """See renewals.Member."""
        self.working, self._session = True, None
        kernel.current().spawn(self._beat)

    def _new_id(self) -> bytes:
        token = self._chance.randbytes(8).hex()
        end = '' if self._domain is None else f'.{self._domain}'
        return f'{naming.escape(self._host)}@{token}{end}'.encode()


class Result(kernel.Double):
    """An answer that comes later."""

    def __init__(self, coordinator: 'Coordinator') -> None:
        self._coordinator = coordinator
        self._ensemble = coordinator.ensemble
        self._due = kernel.monotonic() + self._ensemble.latency
        self._found: Any = None
        self._taken = False

    def done(self) -> bool:
        """Tell whether it is there."""
        if self._taken:
            return True
        if self._ensemble.away == 'mute' or kernel.monotonic() < self._due:
            return False
        self._taken = True
        if self._ensemble.away:
            self._found = coordination.ToozConnectionError('away')
        elif not self._ensemble.group_exists:
            self._found = coordination.GroupNotCreated(GROUP)
        else:
            self._found = self._ensemble.members()
        if not self._ensemble.away:
            self._coordinator.answered()
        return True

    def get(self, timeout: float | None = None) -> Any:
        """Return the answer."""
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


class Client(kernel.Double):
    """kazoo's."""

    def stop(self) -> None:
        """Disconnect."""


class Coordinator(kernel.Double):
    """tooz's, for a process that reads.

    :param answered: called when the servers have answered
    """

    def __init__(self, ensemble: Ensemble, answered: Any) -> None:
        self.ensemble = ensemble
        self.answered = answered
        self._coord = Client()

    def start(self) -> None:
        """Connect."""
        end = kernel.monotonic() + self.ensemble.timeout
        while self.ensemble.away:
            if kernel.monotonic() >= end:
                raise coordination.ToozConnectionError('timed out')
            kernel.sleep(0.2)
        kernel.sleep(self.ensemble.latency)

    def stop(self) -> None:
        """Disconnect."""

    def get_members(self, group: bytes) -> Result:
        """Return who is in the group, later."""
        return Result(self)

    def get_member_capabilities(self, group: bytes, member: bytes) -> Any:
        """Return what a member says of itself, later."""
        raise kazoo_exc.ConnectionLoss


class Backend(renewals.Backend):
    """One ensemble for all."""

    def __init__(self, wanted: plan.Plan, chance: random.Random) -> None:
        super().__init__(wanted, chance)
        timeout, tick = wanted.settings['session'], wanted.settings['tick']
        self.bound = timeout + 2 * tick
        self.rejoin = 1.5 * timeout
        self.ensemble = Ensemble(timeout, tick)
        self._members = [
            Member(name, self.ensemble, chance, self.domains.get(name))
            for name in self.names
        ]
        for each in self._members:
            kernel.current().spawn(each.run, at=chance.uniform(0, 0.3))

    def prepare(self, driver: Any, asker: Any, known: Any) -> None:
        """See world.Backend."""

        def answered() -> None:
            known.answered(kernel.monotonic())

        connection = driver._reading.get().backend.connection
        connection._factory.make = lambda member_id: Coordinator(
            self.ensemble, answered
        )

    def fault(self, event: plan.Event) -> None:
        """See world.Backend."""
        servers = self.ensemble
        if event.what == 'slow':
            servers.latency = self.chance.choice((0.1, 0.6, 1.5))
            kernel.sleep(event.size)
            servers.latency = 0.002
            return
        servers.away = 'mute' if event.what == 'mute' else 'gone'
        kernel.sleep(event.size)
        if event.what == 'wipe':
            servers.wipe()
        servers.restore()

    def marked(self) -> set[str]:
        """See world.Backend."""
        return {
            each.decode().partition('@')[0] for each in self.ensemble.marks()
        }

    def registered(self) -> set[str]:
        """See world.Backend."""
        return {
            each.decode().partition('@')[0]
            for each in self.ensemble.members()
            if naming.MARK not in each
        }

    def is_well(self) -> bool:
        """See world.Backend."""
        slow = self.ensemble.latency > self.plan.options['read_timeout'] / 2
        return not (self.ensemble.away or slow)
