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

"""Failure domains: hosts that one fault can take away together, as a rack.

Pure, as evidence is.
"""

import collections
from collections.abc import Mapping, Set
import re
from typing import NamedTuple

from nova_servicegroup import condition
from nova_servicegroup import evidence
from nova_servicegroup.opts import servicegroup


#: Why a host is held that is the first to be missed of its domain.
AWAITED = 'the rest of its domain may be lost, too'


def is_name(name: str) -> bool:
    """Return whether a domain can have a name."""
    return re.fullmatch(servicegroup.DOMAIN, name) is not None


def reason(domain: str) -> str:
    """Return why the hosts of a domain are held."""
    return f'more than half of the domain {domain} was lost at once'


class Missed(NamedTuple):
    """The members that a reading misses.

    :ivar new: that the last one did not
    :ivar awaited: that are held as AWAITED
    :ivar recent: all that were lost a moment ago, with these
    """

    new: Set[str]
    awaited: Set[str]
    recent: Set[str]


class Domains:
    """The domains of the hosts of one group, present and missing.

    Hosts without a domain are in none.
    """

    def __init__(self) -> None:
        self._read: Mapping[str, str] = {}
        self._of: Mapping[str, str] = {}
        # Hosts that have said that they stop.
        self._stopping: Set[str] = frozenset()

    def of(self, host: str) -> str | None:
        """Return the domain of a host, or the last one that it had."""
        return self._of.get(host)

    def update(
        self, reading: evidence.Reading, joined: Set[str], missing: Set[str]
    ) -> None:
        """Take over the domains of a reading; keep those of missing hosts.

        :param joined: the hosts that the last one did not have
        """
        found = reading.domains
        moved = any(host in self._of and host not in found for host in joined)
        if moved or found is not self._read:
            known = self._of
            kept = {host: known[host] for host in missing & known.keys()}
            self._read, self._of = found, {**kept, **found}
        self._stopping = {
            host
            for host, each in reading.unfit.items()
            if each.state == condition.DRAINING
        }

    def doubts(
        self, reading: evidence.Reading, missed: Missed
    ) -> Mapping[str, str]:
        """Return why to hold hosts that are missed.

        All whose domain is lost. Else only the new ones of a domain that can
        be lost, unless they have said that they stop. Never those that were
        ended: the agent of each has seen that its process is dead.
        """
        of, found = self._of, dict[str, str]()
        lost = collections.Counter(
            of[host] for host in missed.recent & of.keys()
        )
        left = collections.Counter(
            each for each in reading.domains.values() if each in lost
        )
        new = missed.new - reading.ended
        for host in (new | missed.awaited) & of.keys():
            domain = of[host]
            if evidence.is_mass(lost[domain], left[domain]):
                found[host] = reason(domain)
            elif host in new - self._stopping and evidence.is_mass(
                lost[domain] + left[domain], 0
            ):
                found[host] = AWAITED
        return found
