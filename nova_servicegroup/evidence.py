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

"""What counts as evidence: readings, contact, and doubt.

Pure: every time is in seconds of one monotonic clock and is handed in.
"""

import collections
from collections.abc import Iterable, Mapping, Set
import dataclasses
import math
from typing import NamedTuple

from nova_servicegroup import condition

#: Fewer members than this may all be lost at once without it being strange.
MASS_LOSS = 3

_NOBODY: frozenset[str] = frozenset()

ABSENT = 'not in the group'
EMPTIED = 'the backend has forgotten the group, or was emptied'
BLIND = 'the backend does not answer'
MANY_LOST = 'more than half of the group was lost at once'
REJOINED = 'most members have joined anew since the last look'
UNSETTLED = 'the backend was away, or had lost members, a moment ago'
UNREAD = 'the group has not been read since it was first asked about'


@dataclasses.dataclass(frozen=True)
class Reading:
    """What one read of a group has confirmed.

    :ivar present: the hosts, canonical; an own set of the reader's
    :ivar doubt: why absence from this reading may be no evidence; None: it is
    :ivar doubted: the seconds for which each host may be held that the doubt
        is about; None: it is about every host, for the hold time
    :ivar left: the hosts of which it says that they have left, so that their
        absence is evidence in any case
    :ivar complete: whether a host that was never seen would be in it
    :ivar unfit: what those say who are of no use, by canonical host
    """

    present: Set[str]
    doubt: str | None = None
    doubted: Mapping[str, float] | None = None
    complete: bool = True
    left: Set[str] = _NOBODY
    unfit: Mapping[str, condition.Condition] = dataclasses.field(
        default_factory=dict
    )


class Missing(NamedTuple):
    """A host that is not present.

    :ivar until: it is up until then
    :ivar reason: why it is held, or was
    :ivar lost_at: when it was first missing
    :ivar proof: when it was last confirmed; None: never
    :ivar renewed: how often it was held anew
    """

    until: float
    reason: str
    lost_at: float
    proof: float | None
    renewed: int = 0

    def is_stranger(self, moment: float) -> bool:
        """Tell whether it was held before because it was unknown."""
        unknown = self.reason in (UNSETTLED, UNREAD)
        return self.proof is None and unknown and self.lost_at <= moment


@dataclasses.dataclass(frozen=True)
class Changes:
    """The verdicts that one event has changed.

    :ivar up: confirmed, after having been down or unknown
    :ivar down: absent, and absence is evidence
    :ivar held: absent, but up for a while: the reason, by host
    :ivar expired: down since they were held for long enough
    """

    up: Set[str] = _NOBODY
    down: Set[str] = _NOBODY
    held: Mapping[str, str] = dataclasses.field(default_factory=dict)
    expired: Set[str] = _NOBODY


@dataclasses.dataclass
class Contact:
    """What an observer knows of its contact with the backend.

    :ivar asked: when it was last asked, whatever came of it
    :ivar confirmed: when it last answered; None: never
    :ivar blind_since: since when it does not answer; None: it does
    :ivar present_until: until when present members are up
    :ivar restarts: how often the blindness began anew
    :ivar settled: members that were lost in an outage are back by then
    :ivar doubtful: until when absence of the unknown is no evidence
    :ivar held_until: until when those are held whom either is about
    """

    asked: float
    confirmed: float | None = None
    blind_since: float | None = None
    present_until: float = math.inf
    restarts: int = 0
    settled: float = -math.inf
    doubtful: float = -math.inf
    held_until: float = -math.inf

    def lose(self, now: float, until: float) -> None:
        """Begin a blindness, or begin it anew."""
        self.restarts += self.blind_since is not None
        self.blind_since, self.present_until = now, until

    def outage(self, now: float) -> float:
        """Return the seconds for which nothing was confirmed."""
        if self.blind_since is None:
            return 0.0
        return now - (
            self.blind_since if self.confirmed is None else self.confirmed
        )

    def confirm(self, now: float) -> None:
        """End a blindness."""
        self.asked = self.confirmed = now
        self.blind_since, self.present_until = None, math.inf
        self.restarts = 0

    def outage_until(self, now: float) -> float:
        """Return until when those are held whom a reading misses now.

        Infinite unless it ends an outage, before which the last proof was.
        """
        ends = self.blind_since is not None and now <= self.settled
        return self.held_until if ends else math.inf

    def is_settled(self, now: float) -> bool:
        """Tell whether whoever is unknown would be there by now."""
        return now > self.settled and now > self.doubtful

    def unsettled_until(self, now: float) -> float:
        """Return until when a live host may be unknown."""
        return -math.inf if self.is_settled(now) else self.held_until


def recently_lost(
    reading: Reading, missing: Mapping[str, Missing], since: float
) -> int:
    """Return how many were lost not long ago, and are still."""
    return sum(
        each.proof is not None
        and each.lost_at >= since
        and host not in reading.present
        and host not in reading.left
        for host, each in missing.items()
    )


def doubt(
    reading: Reading, contact: Contact, lost: int, now: float, hold_time: float
) -> tuple[str, float] | None:
    """Tell why absence from a reading is no evidence on anybody.

    :param lost: how many members were lost of late, with this reading
    :returns: the reason, and until when those that are lost are held; None:
        absence is evidence
    """
    unsettled = UNSETTLED, contact.held_until
    if contact.outage_until(now) < math.inf:
        return unsettled
    if reading.doubt is not None and reading.doubted is None:
        return reading.doubt, now + hold_time
    if now <= contact.settled:
        return unsettled
    if lost >= MASS_LOSS and lost > len(reading.present):
        return MANY_LOST, now + hold_time
    return None


def shared(said: Iterable[condition.Condition], members: int) -> Set[str]:
    """Return the checks that fail by no fault of the members that fail them.

    Those are the ones that more than half of the group fail, and at least
    three. A stop is no check: it has no cause but the member, whoever else
    stops.

    :param said: what the members say
    :param members: the number of all
    """
    failing = collections.Counter(
        each.reason for each in said if each.state == condition.DEGRADED
    )
    return {
        check
        for check, number in failing.items()
        if number >= MASS_LOSS and 2 * number > members
    }
