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

"""The members that a reader asks for."""

from collections.abc import Collection
import math
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup import membership

#: The lists are read no more often than this (seconds), and where nobody asks
#: for a host that is on none, so often.
LIST_INTERVAL = 2.0

_RELIST_INTERVAL = 60.0

#: Seconds after which hosts are forgotten that are dead and on no list.
_FORGET_INTERVAL = 3600.0


class Wanted:
    """The members that a group reader asks for: all listed, all asked about.

    A host that is on no list has not joined; it is asked for all the same, in
    case that its list was lost.
    """

    def __init__(self, group: str, keys: keyspace.Keys) -> None:
        self._group = group
        self._keys = keys
        self._hosts: dict[str, str] = {}
        # The names of those that are not canonical.
        self._names: dict[str, str] = {}
        self._listed: set[str] = set()
        self._list_due = -math.inf
        self._listed_at = -math.inf
        self._forget_due = math.inf
        self._read: Collection[str] = ()

    def want(self, host: str) -> bool:
        """Ask for a host from now on, and for those that are listed now.

        :returns: whether the last reading has not asked for it
        """
        member_id = self._keys.member(self._group, host)
        self._hosts[member_id] = host
        self.want_list()
        return member_id not in self._read

    def want_list(self) -> None:
        """Have the lists read with the next reading."""
        self._list_due = min(self._list_due, self._listed_at + LIST_INTERVAL)

    def is_list_due(self, now: float) -> bool:
        """Tell whether to read the lists."""
        return now >= self._list_due

    def take_list(self, hosts: Collection[str], now: float) -> None:
        """Take the hosts of all lists."""
        self._listed_at, self._list_due = now, now + _RELIST_INTERVAL
        # Near to each other in memory, as whoever asks about all goes.
        listed = {
            self._keys.member(self._group, host): membership.canonical(host)
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
        """Return the hosts of some of them."""
        return {self._hosts[each] for each in ids if each in self._hosts}

    def name(self, host: str) -> str:
        """Return a host's name as it has joined."""
        return self._names.get(host, host)

    def take(
        self, ids: Collection[str], alive: Collection[str], now: float
    ) -> None:
        """Take what a reading has asked for, and whom of them it has found.

        Forgets, now and then, who is neither alive nor on a list.
        """
        self._read = frozenset(ids)
        if self._forget_due == math.inf:
            self._forget_due = now + _FORGET_INTERVAL
        if now >= self._forget_due:
            self._forget_due = now + _FORGET_INTERVAL
            for each in self.ids:
                if each not in alive and each not in self._listed:
                    del self._hosts[each]
