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

"""Why members that are lost are held: many are lost at once, or a domain.

Pure, as evidence is.
"""

from collections.abc import Mapping, Set
from typing import NamedTuple

from nova_servicegroup import domains
from nova_servicegroup import evidence

#: Why a host is held, and until when.
Doubt = tuple[str, float]


class Absent(NamedTuple):
    """The hosts that were missing already.

    :ivar missing: also those that are dead
    :ivar held: which of them are held
    """

    missing: Mapping[str, evidence.Missing]
    held: Set[str]

    def awaited(self) -> Set[str]:
        """Return those that are held as domains.AWAITED."""
        return {
            host
            for host in self.held
            if self.missing[host].reason == domains.AWAITED
        }


class Losses:
    """Decides which of the members that a reading misses are held.

    :param hold_time: seconds, as settle_time; see membership.Membership
    :ivar domains: the failure domains of the hosts
    """

    def __init__(self, hold_time: float, settle_time: float) -> None:
        self._hold_time = hold_time
        self._settle_time = settle_time
        self.domains = domains.Domains()

    def doubts(
        self,
        reading: evidence.Reading,
        contact: evidence.Contact,
        lost: Set[str],
        absent: Absent,
        now: float,
    ) -> dict[str, Doubt]:
        """Return the hosts to hold.

        :param lost: the members that it misses, without those that have left
        """
        if not lost:
            return {}
        recent = lost | evidence.recently_lost(
            reading, absent.missing, now - self._settle_time
        )
        found = evidence.doubt(
            reading, contact, len(recent), now, self._hold_time
        )
        awaited = absent.awaited() - reading.present
        missed = domains.Missed(lost, awaited, recent)
        held = self._of_domains(reading, contact, missed, now)
        if found is None:
            return held
        doubts = dict.fromkeys(lost | awaited, found)
        if found[0] == evidence.MANY_LOST:
            # Where a domain is lost, that is the reason.
            doubts |= {
                host: each
                for host, each in held.items()
                if each[0] != domains.AWAITED
            }
        return doubts

    def _of_domains(
        self,
        reading: evidence.Reading,
        contact: evidence.Contact,
        missed: domains.Missed,
        now: float,
    ) -> dict[str, Doubt]:
        """Return the hosts to hold for their domains."""
        return {
            host: (why, until)
            for host, why in self.domains.doubts(reading, missed).items()
            if (until := self._until(why, contact, now)) > now
        }

    def _until(
        self, reason: str, contact: evidence.Contact, now: float
    ) -> float:
        """Return until when a host of a domain is held.

        Members that are lost together expire within half of the settle time
        and a second, since some servers count whole seconds. If the group was
        not read for longer than the settle time, all have.
        """
        if reason != domains.AWAITED:
            return now + self._hold_time
        before = now if contact.confirmed is None else contact.confirmed
        if now - before > self._settle_time:
            return now
        return now + self._settle_time / 2 + 1.0
