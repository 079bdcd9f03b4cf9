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


"""Two machines that believe to be the same host."""

from collections.abc import Callable
import contextlib
import dataclasses
import math
import threading
import time
from typing import Any

from oslo_log import log as logging

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import provenance
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import roster
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers import views
from nova_servicegroup import escaping
from nova_servicegroup import exceptions
from nova_servicegroup import membership

LOG = logging.getLogger(__name__)

#: So many lines are logged in an hour at most, with so many machines each.
_LINES = 10
_HOUR = 3600.0
_NAMED = 10
#: So many members are asked at once where they run.
_ASKED = 100


@dataclasses.dataclass
class _Double:
    """A host with more than one member id.

    :ivar since: when that was first seen
    """

    since: float
    warned: bool = False


class Duplicates:
    """Finds the hosts whose members run on several machines.

    Several workers of one machine are none, and a restart shows the old member
    beside the new one for a while.

    :param patience: seconds that a restart may take to be over
    """

    def __init__(
        self,
        group: str,
        roster: roster.Roster,
        patience: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._roster = roster
        self._patience = patience
        self._clock = clock
        self._doubles: dict[str, _Double] = {}
        self._known: dict[bytes, views.Incarnation] = {}
        # The lines that were logged in this hour, and when it ends.
        self._lines = 0
        self._lines_until = -math.inf

    def unknown(self, detailed: views.Detailed = False) -> list[bytes]:
        """Return the member ids that nothing is known of.

        :param detailed: whose; of no host in particular: of those doubled
        """
        self._update()
        if not detailed:
            return self._unknown(self._clock())
        ids = (
            self._roster.all_ids()
            if isinstance(detailed, bool)
            else {
                each
                for host in detailed
                for each in self._roster.ids(membership.canonical(host))
            }
        )
        return sorted(ids - self._known.keys())

    def doubtful(self) -> list[bytes]:
        """Return those of them that have been doubled for too long."""
        return self._unknown(self._clock() - self._patience)

    def tell(self, member_id: bytes, found: Any) -> None:
        """Take what a member said of its origin; anything is possible."""
        self._known[member_id] = _incarnation(member_id, found)
        for host, double in self._doubles.items():
            if member_id in self._roster.ids(host):
                self._warn(host, double)

    def incarnations(self, host: str) -> tuple[views.Incarnation, ...]:
        """Return the processes of host, with their origins if known."""
        return tuple(
            self._known.get(each) or _incarnation(each, None)
            for each in self._roster.ids(host)
        )

    def _unknown(self, before: float) -> list[bytes]:
        self._update()
        return [
            each
            for host, double in self._doubles.items()
            if double.since <= before
            for each in self._roster.ids(host)
            if each not in self._known
        ]

    def _update(self) -> None:
        """Keep what is known of the hosts that are still doubled."""
        if self._known:
            for each in self._known.keys() - self._roster.all_ids():
                del self._known[each]
        if not (self._doubles or self._roster.doubles):
            return
        now, old = self._clock(), self._doubles
        self._doubles = {
            host: old.get(host) or _Double(now)
            for host in self._roster.doubles
        }
        for host, double in self._doubles.items():
            self._warn(host, double)

    def _warn(self, host: str, double: _Double) -> None:
        machines = self._machines(host)
        young = self._clock() - double.since < self._patience
        if len(machines) < 2 or young or double.warned:
            return
        double.warned = True
        self._tell(host, machines)

    def _tell(self, host: str, machines: list[str]) -> None:
        """Log a host that is doubled; of many in an hour, only the first."""
        now = self._clock()
        if now >= self._lines_until:
            self._lines, self._lines_until = 0, now + _HOUR
        self._lines += 1
        if self._lines > _LINES:
            return
        more = ' There are others.' if self._lines == _LINES else ''
        LOG.warning(
            'Group %s: %s is the host name of several machines: %s. It is up '
            'while one of them is; give each a host name of its own.%s',
            self._group,
            escaping.printable(host),
            escaping.names(machines, _NAMED),
            more,
        )

    def _machines(self, host: str) -> list[str]:
        """Return where the members of a host run, as far as is known."""
        return sorted(
            {
                each.machine
                for each in self.incarnations(host)
                if each.machine is not None
            }
        )


def _incarnation(member_id: bytes, found: Any) -> views.Incarnation:
    name = member_id.decode('ascii')
    return provenance.incarnation(name, naming.joined(member_id), found)


class Origins:
    """Asks where members run, beside the reading; one question at a time.

    :param wait: seconds, at most, for each question
    """

    def __init__(
        self, doubles: Duplicates, lent: sessions.Sessions, wait: float
    ) -> None:
        self.duplicates = doubles
        self._sessions = lent
        self._wait = wait
        self._asking = threading.Lock()

    def learn(self, detailed: views.Detailed) -> None:
        """Ask about many; of doubled hosts, if none is named."""
        with self._asking, contextlib.suppress(exceptions.BackendError):
            unknown = self.duplicates.unknown(detailed)
            last = len(unknown) if detailed else _ASKED
            for start in range(0, min(len(unknown), last), _ASKED):
                deadline = requests.Deadline(self._wait)
                with self._sessions.lend(deadline) as session:
                    self._ask(session, unknown[start : start + _ASKED])

    def look(self, session: sessions.Session) -> None:
        """Ask about one member that is doubled, unless others are asked."""
        if not session.deadline.left() or not self._asking.acquire(
            blocking=False
        ):
            return
        try:
            doubtful = self.duplicates.doubtful()
            if doubtful:
                beside = session.beside(self._sessions.request)
                self._ask(beside, doubtful[:1])
        except exceptions.BackendTimeout as error:
            LOG.debug('A member has not said where it runs: %s', error)
        finally:
            self._asking.release()

    def _ask(self, session: sessions.Session, ids: list[bytes]) -> None:
        """Ask about some members at once.

        One that has just left, or whose data is foreign, has no origin.
        """
        for member_id, found in session.said(ids).items():
            self.duplicates.tell(member_id, found)
