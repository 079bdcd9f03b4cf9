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

"""Turns the member ids of a group into hosts and their marks."""

from collections.abc import Callable, Collection, Mapping, Set
import math
import time

from oslo_log import log as logging

from nova_servicegroup import condition
from nova_servicegroup.drivers.common import marks
from nova_servicegroup.drivers.common import naming
from nova_servicegroup import escaping
from nova_servicegroup import evidence
from nova_servicegroup import membership

LOG = logging.getLogger(__name__)

#: Seconds between two lines on foreign nodes, at least, and the number of
#: nodes that one line names, at most.
_SELDOM = 3600.0
_NAMED = 10


class Roster:
    """The hosts of a group; an update handles only the ids that changed.

    :ivar duplicates: the hosts with more than one member id
    :ivar rejoined: whether more than half of the hosts that stayed have only
        new ids: they were lost and have joined again, and so may the others
    """

    def __init__(
        self, group: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._foreign = _ForeignNodes(group, clock)
        self._ids: Set[bytes] = frozenset()
        self._by_host: dict[str, set[bytes]] = {}
        self._hosts: Set[str] = frozenset()
        # The names, by host, that are not canonical.
        self._names: dict[str, str] = {}
        self.duplicates: set[str] = set()
        self.rejoined = False
        # The hosts that were lost since an agent has ended all their members.
        self._ended: set[str] = set()
        self._marks = marks.Marks()
        self._domains: dict[str, str] = {}
        # The hosts of the ids that have come with an update.
        self._joined: set[str] = set()
        #: The failure domains of the hosts that have one; see Reading.
        self.domains: Mapping[str, str] = {}

    def update(self, ids: Set[bytes]) -> Set[str]:
        """Replace all ids by these; return their hosts, canonical."""
        before = self._ids
        came, gone = ids - before, before - ids
        self._ids = ids
        left = {self._remove(each) for each in gone}
        # Sorted, hosts are near to each other in memory: faster to iterate.
        foreign = [each for each in sorted(came) if not self._add(each)]
        self._foreign.add(foreign)
        for host in left | self._joined:
            self._place(host)
        self._joined.clear()
        self.rejoined = bool(gone) and self._has_rejoined(left, before)
        self._ended |= self._find_ended(gone)
        self._ended -= self._by_host.keys()
        if came or gone:
            self._hosts = frozenset(self._by_host)
            self._marks.match(self._by_host)
            if self._domains != self.domains:
                self.domains = dict(self._domains)
        return self._hosts

    def name(self, host: str) -> str:
        """Return the name with which a host has joined."""
        return self._names.get(host, host)

    def unfit(self) -> Mapping[str, condition.Condition]:
        """Return the conditions of the unfit hosts."""
        return self._marks.unfit

    def all_ids(self) -> Set[bytes]:
        """Return the ids of all members."""
        return frozenset().union(*self._by_host.values())

    def ids(self, host: str) -> list[bytes]:
        """Return the member ids of host, sorted."""
        return sorted(self._by_host.get(host, ()))

    def take_ended(self) -> Set[str]:
        """Return the hosts that were lost since agents have ended them, once.

        Not those that have joined again since.
        """
        ended, self._ended = self._ended, set()
        return ended

    def ended_marks(self, host: str) -> list[bytes]:
        """Return the marks of members of host that an agent has ended."""
        return [
            naming.marked(each, condition.ENDED_MARK)
            for each in self._marks.ended
            if _host_of(each) == host
        ]

    def _has_rejoined(self, left: set[str | None], before: Set[bytes]) -> bool:
        """Return whether most of the hosts that stayed have joined anew.

        Fewer than three may do so by chance, unless no other host has stayed.

        :param left: the hosts that have lost an id
        :param before: all ids until now
        """
        stayed = sum(host in self._by_host for host in self._hosts)
        anew = sum(
            not self._by_host[host] & before
            for host in left
            if host is not None and host in self._by_host
        )
        if anew == stayed:
            return stayed > 0 and len(self._hosts) >= evidence.MASS_LOSS
        return evidence.is_mass(anew, stayed - anew)

    def _find_ended(self, gone: Set[bytes]) -> Set[str]:
        """Return the hosts that are lost with these ids, and were ended."""
        ended = gone & self._marks.ended
        if not ended:
            return frozenset()
        others = {_host_of(each) for each in gone - ended}
        lost = {_host_of(each) for each in ended} - others
        return {each for each in lost if each and each not in self._by_host}

    def _add(self, member_id: bytes) -> bool:
        """Add a member id or a mark; return whether it was one of them."""
        name = _name_of(member_id)
        if name is None:
            return self._marks.add(member_id)
        host = membership.canonical(name)
        if host != name:
            self._names[host] = name
        ids = self._by_host.setdefault(host, set())
        ids.add(member_id)
        if len(ids) > 1:
            self.duplicates.add(host)
        self._joined.add(host)
        return True

    def _place(self, host: str | None) -> None:
        """Note the domain of a host: that of the id that was made last."""
        if host is None:
            return
        ids = self._by_host.get(host)
        domain = naming.domain_of(max(ids, key=_made)) if ids else None
        if domain is not None:
            self._domains[host] = domain
        else:
            self._domains.pop(host, None)

    def _remove(self, member_id: bytes) -> str | None:
        """Remove a member id or a mark; return the host of a member id."""
        host = _host_of(member_id)
        if host is None:
            self._marks.remove(member_id)
            return None
        ids = self._by_host[host]
        ids.discard(member_id)
        if len(ids) < 2:
            self.duplicates.discard(host)
        if not ids:
            del self._by_host[host]
            self._names.pop(host, None)
        return host


class _ForeignNodes:
    """Logs the nodes in a group that are neither members nor marks.

    A client with access to the group can make and delete any number of them,
    so they are logged in one line, at most once in an hour.
    """

    def __init__(self, group: str, clock: Callable[[], float]) -> None:
        self._group = group
        self._clock = clock
        self._due = -math.inf
        self._unlogged = 0

    def add(self, ids: Collection[bytes]) -> None:
        """Add foreign nodes that have come, and log them if that is due."""
        self._unlogged += len(ids)
        if not ids or self._clock() < self._due:
            return
        LOG.warning(
            'Group %s: %d nodes are no members and are ignored: %s',
            escaping.printable(self._group),
            self._unlogged,
            escaping.names(
                [each.decode(errors='replace') for each in ids], _NAMED
            ),
        )
        self._due, self._unlogged = self._clock() + _SELDOM, 0


def _made(member_id: bytes) -> tuple[float, bytes]:
    """Return when a member id was made, and what makes the order unique."""
    return naming.joined(member_id) or 0.0, member_id


def _host_of(member_id: bytes) -> str | None:
    """Return the canonical host of a member id, or None if it is not one."""
    name = _name_of(member_id)
    return None if name is None else membership.canonical(name)


def _name_of(member_id: bytes) -> str | None:
    """Return the host of a member id, or None if it is not one."""
    try:
        return naming.host_of(member_id)
    except ValueError:
        return None
