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

"""What one monitor knows of the others, and when it gives way to them. Pure.

Anybody may write among the members, and a member may hang. So nobody is waited
for who publishes nothing new: every monitor does so in each interval. Who is
silent for longer than a member may be that has died is no monitor, or hangs.
"""

import dataclasses
import math
from typing import Any

from nova_servicegroup.drivers.common import peers
from nova_servicegroup.monitor import publication

#: Seconds; less where members expire soon.
_LEASE = 1.5


@dataclasses.dataclass(frozen=True)
class _Rival:
    """Another member.

    :ivar said: what it has published, by its hash
    :ivar at: when that, or the member, was first seen
    :ivar publication: what it publishes as a leader
    :ivar leads: it has published as a leader twice in succession
    """

    said: int
    at: float
    publication: publication.Publication | None
    leads: bool


class Rivals:
    """The others of one election.

    :ivar lease: seconds for which a leader leads after it has published
    :param expiry: a member that is silent for so long may be gone (seconds)
    """

    def __init__(self, expiry: float) -> None:
        self.lease = min(_LEASE, expiry / 2)
        self._expiry = expiry
        self._known: dict[bytes, _Rival] = {}
        # Since when this monitor attends, and when it last did.
        self._since = math.inf
        self._attended = -math.inf

    def take(self, meeting: peers.Peers) -> None:
        """Take what the others publish."""
        now, before = meeting.asked, self._known
        self._known = {
            each: _updated(before.get(each), said, now)
            for each, said in meeting.others.items()
        }
        if now - self._attended >= self._expiry:
            # It was away for so long that another one may have taken over.
            self._since = now
        self._since = max(self._since, meeting.since)

    def attended(self, meeting: peers.Peers) -> None:
        """Take note that all that had to be done at a meeting was done."""
        self._attended = meeting.asked

    def hear(
        self, meeting: peers.Peers
    ) -> tuple[publication.Publication | None, float]:
        """Return what the leader among them has published, and after when.

        None: none leads, or it has published nothing new.
        """
        leader = self._leader(meeting)
        if leader is None or self._known[leader].at < meeting.asked:
            return None, -math.inf
        return self._known[leader].publication, self._attended

    def _leader(self, meeting: peers.Peers) -> bytes | None:
        """Return the oldest of those that lead."""
        alive = self._alive(meeting)
        return next((it for it in alive if self._known[it].leads), None)

    def give_way(self, meeting: peers.Peers, leads: bool) -> bool:
        """Tell whether another one leads, or may do so before this one.

        :param leads: whether this one has led until now
        """
        leader, older = self._leader(meeting), meeting.older()
        if meeting.asked - self._since < self.lease:
            return True
        if leader is not None:
            return not leads or leader in older
        # One that was just seen may be a leader that was not heard yet.
        return not leads and any(
            each in older or self._known[each].publication is not None
            for each in self._alive(meeting)
        )

    def _alive(self, meeting: peers.Peers) -> list[bytes]:
        """Return those that publish, or may do so yet, by age."""
        # Any that has died is gone by then, and has another one in its place.
        patience = 1.5 * self._expiry + self.lease
        return [
            each
            for each in meeting.by_age()
            if meeting.asked - self._known[each].at < patience
        ]


def _updated(rival: _Rival | None, said: Any, now: float) -> _Rival:
    value = hash(said) if isinstance(said, bytes) else 0
    # What it publishes may not have been answered.
    if rival is not None and (said is None or rival.said == value):
        return rival
    decoded = publication.decode(said)
    leads = rival is not None and rival.publication is not None
    return _Rival(value, now, decoded, leads and decoded is not None)
