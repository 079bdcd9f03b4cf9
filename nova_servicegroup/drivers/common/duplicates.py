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

"""Finds several machines that report under one host name."""

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

#: Lines that are logged in an hour, and machines that each names, at most.
_LINES = 10
_HOUR = 3600.0
_NAMED = 10
#: Members whose origins are asked for at once, at most.
_ASKED = 100


@dataclasses.dataclass
class _Duplicate:
    """A host with more than one member id.

    :ivar since: when that was first seen, by the monotonic clock
    :ivar warned: whether a line was logged for it
    """

    since: float
    warned: bool = False


class Duplicates:
    """Finds the hosts whose members run on several machines.

    Several workers on one machine are no duplicates, and a restart shows the
    old member beside the new one for a while.

    :param patience: seconds for which a restart may do so
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
        self._duplicates: dict[str, _Duplicate] = {}
        self._known: dict[bytes, views.Incarnation] = {}
        # The lines that were logged in this hour, and when it ends.
        self._lines = 0
        self._lines_until = -math.inf

    def unknown(self, detailed: views.Detailed = False) -> list[bytes]:
        """Return the member ids whose origins are not known.

        :param detailed: of which hosts; False: of those with several members
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
        """Return such ids of hosts that have had several for too long."""
        self._update()
        return self._unknown(self._clock() - self._patience)

    def add_origin(self, member_id: bytes, found: Any) -> None:
        """Store the origin that a member has published, of any form."""
        self._known[member_id] = _incarnation(member_id, found)
        for host, duplicate in self._duplicates.items():
            if member_id in self._roster.ids(host):
                self._check(host, duplicate)

    def incarnations(self, host: str) -> tuple[views.Incarnation, ...]:
        """Return the processes of a host, with their origins if known."""
        return tuple(
            self._known.get(each) or _incarnation(each, None)
            for each in self._roster.ids(host)
        )

    def _unknown(self, before: float) -> list[bytes]:
        """Return such ids of hosts that have had several since before."""
        return [
            each
            for host, duplicate in self._duplicates.items()
            if duplicate.since <= before
            for each in self._roster.ids(host)
            if each not in self._known
        ]

    def _update(self) -> None:
        """Follow the roster, and check the hosts with several members."""
        if self._known:
            for each in self._known.keys() - self._roster.all_ids():
                del self._known[each]
        if not (self._duplicates or self._roster.duplicates):
            return
        now, old = self._clock(), self._duplicates
        self._duplicates = {
            host: old.get(host) or _Duplicate(now)
            for host in self._roster.duplicates
        }
        for host, duplicate in self._duplicates.items():
            self._check(host, duplicate)

    def _check(self, host: str, duplicate: _Duplicate) -> None:
        """Warn once of a host that has run on several machines for long."""
        machines = {
            each.machine
            for each in self.incarnations(host)
            if each.machine is not None
        }
        young = self._clock() - duplicate.since < self._patience
        if len(machines) < 2 or young or duplicate.warned:
            return
        duplicate.warned = True
        self._log(host, machines)

    def _log(self, host: str, machines: set[str]) -> None:
        """Log the machines of a host, of at most _LINES hosts in an hour."""
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


def _incarnation(member_id: bytes, found: Any) -> views.Incarnation:
    name = member_id.decode('ascii')
    return provenance.incarnation(name, naming.joined(member_id), found)


class Origins:
    """Asks members where they run, apart from the reading of the group.

    One request is outstanding at a time.

    :param wait: seconds that each answer may take
    """

    def __init__(
        self, duplicates: Duplicates, own: sessions.Sessions, wait: float
    ) -> None:
        self.duplicates = duplicates
        self._sessions = own
        self._wait = wait
        self._asking = threading.Lock()

    def learn(self, detailed: views.Detailed) -> None:
        """Ask the members of which the origins are not known.

        :param detailed: of which hosts; False: some of those with several
        """
        with self._asking, contextlib.suppress(exceptions.BackendError):
            unknown = self.duplicates.unknown(detailed)
            if not detailed:
                del unknown[_ASKED:]
            for start in range(0, len(unknown), _ASKED):
                deadline = requests.Deadline(self._wait)
                with self._sessions.use(deadline) as session:
                    self._ask(session, unknown[start : start + _ASKED])

    def check_one(self, session: sessions.Session) -> None:
        """Ask one member of a doubtful host, unless others are asked."""
        if not session.deadline.left() or not self._asking.acquire(
            blocking=False
        ):
            return
        try:
            doubtful = self.duplicates.doubtful()
            if doubtful:
                separate = session.with_request(self._sessions.request)
                self._ask(separate, doubtful[:1])
        except exceptions.BackendTimeout as error:
            LOG.debug('A member has not reported where it runs: %s', error)
        finally:
            self._asking.release()

    def _ask(self, session: sessions.Session, ids: list[bytes]) -> None:
        """Ask some members at once.

        One that has just left, or whose data is foreign, has no origin.
        """
        for member_id, found in session.capabilities(ids).items():
            self.duplicates.add_origin(member_id, found)
