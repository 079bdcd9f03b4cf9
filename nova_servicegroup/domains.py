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

from nova_servicegroup import evidence
from nova_servicegroup.opts import servicegroup


def is_name(name: str) -> bool:
    """Return whether a domain can have a name."""
    return re.fullmatch(servicegroup.DOMAIN, name) is not None


def reason(domain: str) -> str:
    """Return why the hosts of a domain are held."""
    return f'more than half of the domain {domain} was lost at once'


class Domains:
    """The domains of the hosts of one group, present and missing.

    Hosts without a domain are in none.
    """

    def __init__(self) -> None:
        self._read: Mapping[str, str] = {}
        self._of: Mapping[str, str] = {}

    def of(self, host: str) -> str | None:
        """Return the domain of a host, or the last one that it had."""
        return self._of.get(host)

    def update(self, found: Mapping[str, str], missing: Set[str]) -> None:
        """Take over the domains of a reading; keep those of missing hosts.

        :param found: see evidence.Reading
        """
        if found is not self._read:
            known = self._of
            kept = {host: known[host] for host in missing & known.keys()}
            self._read, self._of = found, {**kept, **found}

    def lost(
        self, reading: evidence.Reading, lost: Set[str], recent: Set[str]
    ) -> Mapping[str, str]:
        """Return why to hold the lost hosts whose domains are lost as well.

        :param lost: the members that the reading misses
        :param recent: those, and the members that were lost a moment ago
        """
        of = self._of
        counts = collections.Counter(of[host] for host in recent & of.keys())
        left = collections.Counter(
            each for each in reading.domains.values() if each in counts
        )
        return {
            host: reason(of[host])
            for host in lost & of.keys()
            if evidence.is_mass(counts[of[host]], left[of[host]])
        }
