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

"""What counts as evidence: readings, contact with the backend, and doubt.

Pure: every time is in seconds of one monotonic clock and is handed in.
"""

import collections
from collections.abc import Iterable, Mapping, Set
import dataclasses
import math
from typing import NamedTuple

from nova_servicegroup import condition

#: A loss of fewer members than this is never a mass loss.
MASS_LOSS = 3

_NO_HOSTS: frozenset[str] = frozenset()

ABSENT = 'not in the group'
EMPTIED = 'the backend has forgotten the group, or was emptied'
BLIND = 'the backend does not answer'
MANY_LOST = 'more than half of the group was lost at once'
REJOINED = 'most members have rejoined since the last reading'
UNSETTLED = 'the backend was away, or had lost members, a moment ago'
UNREAD = 'the group has not been read since it was first asked about'


@dataclasses.dataclass(frozen=True)
class Reading:
    """The result of one successful read of a group.

    :ivar present: the canonical hosts of the members; the reader does not
        change the set afterwards
    :ivar doubt: why absence from this reading may be no evidence, or None
    :ivar doubted: the seconds for which each doubtful host may be held, by
        host; None: the doubt is about every host, for the hold time
    :ivar left: the hosts that have announced that they leave: their absence is
        always evidence
    :ivar ended: hosts that it misses since the agent of each has ended the
        membership; their domains are no reason to hold them
    :ivar renewed: the doubtful hosts that have renewed since the last reading,
        and so are held even if they were dead then
    :ivar complete: whether a member that was never seen would be in it
    :ivar unfit: the conditions of unfit members, by canonical host
    :ivar domains: the failure domains of the hosts that have one; as long as
        none changes, it is the same mapping
    """

    present: Set[str]
    doubt: str | None = None
    doubted: Mapping[str, float] | None = None
    complete: bool = True
    left: Set[str] = _NO_HOSTS
    ended: Set[str] = _NO_HOSTS
    renewed: Set[str] = _NO_HOSTS
    unfit: Mapping[str, condition.Condition] = dataclasses.field(
        default_factory=dict
    )
    domains: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Missing(NamedTuple):
    """A host that is not present.

    :ivar until: it is up until then; dead if that is in the past
    :ivar reason: why it is held, or was
    :ivar lost_at: when it was first missing
    :ivar proof: when it was last confirmed; None: never
    :ivar restarts: how often its hold was started anew
    """

    until: float
    reason: str
    lost_at: float
    proof: float | None
    restarts: int = 0

    def restart(self, until: float) -> 'Missing':
        """Return it with a hold that starts anew."""
        return self._replace(until=until, restarts=self.restarts + 1)

    def was_unknown(self, moment: float) -> bool:
        """Return whether it was held as an unknown host, by that moment."""
        unknown = self.reason in (UNSETTLED, UNREAD)
        return self.proof is None and unknown and self.lost_at <= moment


@dataclasses.dataclass(frozen=True)
class Changes:
    """The verdicts that one event has changed.

    :ivar up: hosts that were down or unknown, and are confirmed now
    :ivar down: hosts that are absent, where absence is evidence
    :ivar held: why absent hosts are still up, by host
    :ivar expired: hosts that are down since their hold has ended
    """

    up: Set[str] = _NO_HOSTS
    down: Set[str] = _NO_HOSTS
    held: Mapping[str, str] = dataclasses.field(default_factory=dict)
    expired: Set[str] = _NO_HOSTS


@dataclasses.dataclass
class Contact:
    """What an observer knows of its contact with the backend.

    :ivar asked: when it was last asked, with or without success
    :ivar confirmed: when it last answered; None: never
    :ivar blind_since: when it stopped answering; None: it answers
    :ivar present_until: until when present members are up
    :ivar restarts: how often the blindness was started anew
    :ivar settling_until: members lost in an outage have rejoined by then
    :ivar doubtful_until: until when absence of an unknown host is no evidence
    :ivar held_until: until when the hosts that either concerns are held
    """

    asked: float
    confirmed: float | None = None
    blind_since: float | None = None
    present_until: float = math.inf
    restarts: int = 0
    settling_until: float = -math.inf
    doubtful_until: float = -math.inf
    held_until: float = -math.inf

    def lose(self, now: float, until: float) -> None:
        """Start a blindness, or start it anew.

        :param until: until when present members are up
        """
        self.restarts += self.blind_since is not None
        self.blind_since, self.present_until = now, until

    def outage(self, now: float) -> float:
        """Return the seconds since the last confirmation; 0 if not blind."""
        if self.blind_since is None:
            return 0.0
        return now - (
            self.blind_since if self.confirmed is None else self.confirmed
        )

    def confirm(self, now: float) -> None:
        """Record an answer, which ends a blindness."""
        self.asked = self.confirmed = now
        self.blind_since, self.present_until = None, math.inf
        self.restarts = 0

    def outage_until(self, now: float) -> float:
        """Return until when hosts that a reading misses now are held, at most.

        Infinite unless the reading ends an outage: then their last proof of
        life is from before it.
        """
        ends = self.blind_since is not None and now <= self.settling_until
        return self.held_until if ends else math.inf

    def is_settled(self, now: float) -> bool:
        """Return whether every live host would have joined by now."""
        return now > self.settling_until and now > self.doubtful_until

    def unsettled_until(self, now: float) -> float:
        """Return until when an unknown host may be alive; -inf if settled."""
        return -math.inf if self.is_settled(now) else self.held_until


def recently_lost(
    reading: Reading, missing: Mapping[str, Missing], since: float
) -> Set[str]:
    """Return the members that were lost since then and are still missing.

    Members that have left do not count.
    """
    return {
        host
        for host, each in missing.items()
        if each.proof is not None
        and each.lost_at >= since
        and host not in reading.present
        and host not in reading.left
    }


def is_mass(lost: int, left: int) -> bool:
    """Return whether so many were lost that it may have a common cause."""
    return lost >= MASS_LOSS and lost > left


def doubt(
    reading: Reading, contact: Contact, lost: int, now: float, hold_time: float
) -> tuple[str, float] | None:
    """Return why absence from a reading is no evidence for any host.

    :param lost: how many members were lost recently, with this reading
    :returns: the reason, and until when lost members are held; None: absence
        is evidence
    """
    unsettled = UNSETTLED, contact.held_until
    if contact.outage_until(now) < math.inf:
        return unsettled
    if reading.doubt is not None and reading.doubted is None:
        return reading.doubt, now + hold_time
    if now <= contact.settling_until:
        return unsettled
    if is_mass(lost, len(reading.present)):
        return MANY_LOST, now + hold_time
    return None


def shared(
    conditions: Iterable[condition.Condition], members: int
) -> Set[str]:
    """Return the checks that fail because of a shared fault.

    Those are the checks that fail on more than half of the group and on at
    least three members. A stop is no check: its cause is the member itself,
    however many members stop.

    :param conditions: of the unfit members
    :param members: the size of the group
    """
    failing = collections.Counter(
        each.reason for each in conditions if each.state == condition.DEGRADED
    )
    return {
        check
        for check, number in failing.items()
        if is_mass(number, members - number)
    }
