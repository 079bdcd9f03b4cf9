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

"""The members that a group reader asks the servers for."""

from collections.abc import Collection
import functools
import math

from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup import membership

#: Seconds between two readings of the lists: at least, and at most where only
#: members are asked about that are listed.
LIST_INTERVAL = 2.0

_RELIST_INTERVAL = 60.0

#: Seconds after which hosts are forgotten that are dead and on no list.
_FORGET_INTERVAL = 3600.0


class Wanted:
    """The members of one group that are listed or were asked about.

    A host that is on no list has not joined; it is asked for nevertheless, in
    case its list was lost.
    """

    def __init__(self, group: str, keys: keyspace.Keys) -> None:
        self._member_id = functools.partial(keys.member, group)
        self._hosts: dict[str, str] = {}
        # The names as joined of hosts whose name is not canonical.
        self._names: dict[str, str] = {}
        self._listed: set[str] = set()
        self._list_due = -math.inf
        self._listed_at = -math.inf
        self._forget_due = math.inf
        self._last_read: Collection[str] = ()

    def request(self, host: str) -> bool:
        """Ask for a host from now on, and for the hosts listed by then.

        :returns: whether the last reading did not ask for it
        """
        member_id = self._member_id(host)
        self._hosts[member_id] = host
        self.request_lists()
        return member_id not in self._last_read

    def request_lists(self) -> None:
        """Make the lists due for the next reading."""
        self._list_due = min(self._list_due, self._listed_at + LIST_INTERVAL)

    def is_list_due(self, now: float) -> bool:
        """Return whether the lists are to be read."""
        return now >= self._list_due

    def update_listed(self, hosts: Collection[str], now: float) -> None:
        """Replace the listed hosts by those of all lists."""
        self._listed_at, self._list_due = now, now + _RELIST_INTERVAL
        # Sorted, so that they are near to each other in memory in the order
        # in which a request for all members reads them.
        listed = {
            self._member_id(host): membership.canonical(host)
            for host in sorted(hosts)
        }
        self._names = {
            membership.canonical(host): host
            for host in hosts
            if host != membership.canonical(host)
        }
        self._listed = set(listed)
        self._hosts.update(listed)

    @property
    def has_lists(self) -> bool:
        """Whether the lists were ever read."""
        return self._listed_at > -math.inf

    @property
    def ids(self) -> list[str]:
        """The member ids to ask for."""
        return list(self._hosts)

    def hosts(self, ids: Collection[str]) -> set[str]:
        """Return the hosts of some member ids."""
        return {self._hosts[each] for each in ids if each in self._hosts}

    def name(self, host: str) -> str:
        """Return a host's name as it has joined."""
        return self._names.get(host, host)

    def update_alive(
        self, ids: Collection[str], alive: Collection[str], now: float
    ) -> None:
        """Record what a reading asked for and which members it found.

        Once in a while, forget the hosts that are neither alive nor listed.
        """
        self._last_read = frozenset(ids)
        if self._forget_due == math.inf:
            self._forget_due = now + _FORGET_INTERVAL
        if now >= self._forget_due:
            self._forget_due = now + _FORGET_INTERVAL
            for each in self.ids:
                if each not in alive and each not in self._listed:
                    del self._hosts[each]
