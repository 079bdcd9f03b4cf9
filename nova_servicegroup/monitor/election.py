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

"""Which monitor sends: the one that has joined first.

To lead is to hold a lease, which each publication renews: it succeeds only
for a member. The lease is over before the membership can be, and whoever has
just joined waits for as long. So two never lead at the same time, however
long one of them was frozen or cut off. Who leads stays the leader until it
publishes no more. See Candidates.
"""

import dataclasses
import math
import time
from typing import Any

from oslo_log import log as logging

from nova_servicegroup.drivers.common import peers
from nova_servicegroup import escaping
from nova_servicegroup import exceptions
from nova_servicegroup.monitor import loop
from nova_servicegroup.monitor import outbox
from nova_servicegroup.monitor import publication

LOG = logging.getLogger(__name__)

#: Seconds; less where members expire soon.
_LEASE = 1.5


@dataclasses.dataclass(frozen=True)
class _Candidate:
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


class Candidates:
    """The other members, and when one monitor gives way to them. Pure.

    Anybody may write among the members, and a member may hang. So nobody is
    waited for who publishes nothing new: every monitor does so in each
    interval. Who is silent for longer than a member may be that has died is
    no monitor, or hangs.

    :ivar lease: seconds for which a leader leads after it has published
    :param expiry: a member that is silent for so long may be gone (seconds)
    """

    def __init__(self, expiry: float) -> None:
        self.lease = min(_LEASE, expiry / 2)
        self._expiry = expiry
        self._known: dict[bytes, _Candidate] = {}
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


def _updated(known: _Candidate | None, said: Any, now: float) -> _Candidate:
    value = hash(said) if isinstance(said, bytes) else 0
    # What it publishes may not have been answered.
    if known is not None and (said is None or known.said == value):
        return known
    decoded = publication.decode(said)
    leads = known is not None and known.publication is not None
    return _Candidate(value, now, decoded, leads and decoded is not None)


#: The group of the monitors.
GROUP = 'servicegroup-monitor'

_INTERVAL = 0.5

#: So many members are named in a line of the log.
_NAMED = 10

#: What a monitor does. One that yields has led, and hears no other leader.
_LEADS, _YIELDS, _STANDS_BY = 'leads', 'yields', 'stands by'


class Alone(loop.Loop):
    """The election of a monitor that is the only one."""

    def __init__(
        self, outbox: outbox.Outbox, interval: float = _INTERVAL
    ) -> None:
        super().__init__('attend', interval)
        self._outbox = outbox

    def work(self) -> None:
        """Meet the others, and publish."""
        self._outbox.published(self._outbox.to_publish())

    def leads(self) -> bool:
        """Tell whether this monitor may send, at this very moment."""
        return True

    def leave(self, wait: float) -> None:
        """Let another monitor lead, waiting at most so many seconds."""


class Election(Alone):
    """The part that one monitor takes in the election.

    :param peer_group: where the monitors meet
    :param slack: seconds by which one monitor may see later than another
    """

    def __init__(
        self, outbox: outbox.Outbox, peer_group: peers.PeerGroup, slack: float
    ) -> None:
        self._candidates = Candidates(peer_group.expiry)
        super().__init__(outbox, self._candidates.lease / 3)
        self._peer_group = peer_group
        self._slack = slack
        self._until = -math.inf
        self._role: str | None = None
        self._outage = loop.Outage(self._candidates.lease)

    def leads(self) -> bool:
        """See Alone."""
        return time.monotonic() < self._until

    def leave(self, wait: float) -> None:
        """See Alone."""
        self._until = -math.inf
        self._peer_group.close(wait)

    def work(self) -> None:
        """See Alone."""
        try:
            self._attend()
        except exceptions.BackendError as error:
            if self._outage.failed():
                LOG.warning(
                    'The monitors cannot meet: %s. This one announces nothing '
                    'until they can, and keeps what it sees.',
                    error,
                )
            return
        lasted = self._outage.over()
        if lasted is not None:
            LOG.info('The monitors meet again, after %.1f s.', lasted)

    def _attend(self) -> None:
        meeting = self._peer_group.meet()
        self._candidates.take(meeting)
        if self._candidates.give_way(meeting, self._role == _LEADS):
            self._follow(meeting)
        elif time.monotonic() - meeting.asked < self._candidates.lease:
            # Later, what was seen there may not be true any more.
            self._lead(meeting)
        self._candidates.attended(meeting)

    def _lead(self, meeting: peers.Peers) -> None:
        if self._role != _LEADS:
            self._outbox.lead()
        said = self._outbox.to_publish()
        self._until = (
            self._peer_group.publish(publication.encode(said))
            + self._candidates.lease
        )
        self._outbox.published(said)
        if self._role != _LEADS:
            self._role = _LEADS
            LOG.info('This monitor announces now: it has joined first.')
            self._log_silent(meeting.older())

    def _log_silent(self, silent: list[bytes]) -> None:
        if silent:
            LOG.warning(
                '%d members of the group of monitors say nothing, and are '
                'not waited for: %s',
                len(silent),
                escaping.names([each.decode() for each in silent], _NAMED),
            )

    def _follow(self, meeting: peers.Peers) -> None:
        self._until = -math.inf
        if self._role == _LEADS:
            self._role = _YIELDS
        heard, after = self._candidates.hear(meeting)
        if heard is not None:
            self._outbox.receive(heard, after - heard.lag - self._slack)
            self._stand_by()
        self._peer_group.publish(publication.encode(None))

    def _stand_by(self) -> None:
        if self._role == _YIELDS:
            LOG.warning('This monitor announces no more: another one does.')
        elif self._role is None:
            LOG.info('This monitor stands by; another one announces.')
        self._role = _STANDS_BY
