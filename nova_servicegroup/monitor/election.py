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

"""The election of the monitor that sends: the one that joined first.

The leader holds a lease that each of its publications renews, and only a
member can publish. The lease ends before the membership can, and a monitor
that has just joined waits as long as a lease. So two monitors never lead at
the same time, however long one of them was frozen or cut off. A leader stays
the leader until it stops publishing. See Candidates.
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

#: The longest lease, in seconds. It is shorter where members expire soon.
_LEASE = 1.5


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """Another member of the group of monitors.

    :ivar digest: the hash of what it last published
    :ivar changed_at: when that, or the member itself, was first seen
    :ivar publication: what it publishes as a leader; or None
    :ivar leads: it has published as a leader twice in succession
    """

    digest: int
    changed_at: float
    publication: publication.Publication | None
    leads: bool


class Candidates:
    """The other members, and whether one monitor must follow them. Pure.

    Any client can add members, and a monitor may hang. So a member that
    publishes nothing new is not waited for: every monitor publishes something
    new in each interval. A member that stays silent for longer than a dead one
    takes to expire is no monitor, or hangs.

    :ivar lease: seconds for which a leader leads after it has published
    :param expiry: seconds of silence after which a member may be gone
    """

    def __init__(self, expiry: float) -> None:
        self.lease = min(_LEASE, expiry / 2)
        self._expiry = expiry
        self._known: dict[bytes, _Candidate] = {}
        # Since when this monitor takes part, and its last complete round.
        self._since = math.inf
        self._last_round = -math.inf

    def update(self, found: peers.Peers) -> None:
        """Record what the other members publish."""
        now, before = found.read_at, self._known
        self._known = {
            each: _updated(before.get(each), published, now)
            for each, published in found.others.items()
        }
        if now - self._last_round >= self._expiry:
            # Another monitor may have taken over in the meantime.
            self._since = now
        self._since = max(self._since, found.since)

    def is_current(self) -> bool:
        """Return whether this monitor has met the others lately."""
        return time.monotonic() - self._last_round < self._expiry

    def end_round(self, found: peers.Peers) -> None:
        """Record that this monitor has acted on what it found."""
        self._last_round = found.read_at

    def receive(
        self, found: peers.Peers
    ) -> tuple[publication.Publication | None, float]:
        """Return what the leader has published, and since when that is new.

        The publication is None if no member leads, or none is new.
        """
        leader = self._leader(found)
        if leader is None or self._known[leader].changed_at < found.read_at:
            return None, -math.inf
        return self._known[leader].publication, self._last_round

    def _leader(self, found: peers.Peers) -> bytes | None:
        """Return the oldest of the members that lead."""
        alive = self._alive(found)
        return next((it for it in alive if self._known[it].leads), None)

    def must_follow(self, found: peers.Peers, leads: bool) -> bool:
        """Return whether another member leads, or may do so before this one.

        :param leads: whether this monitor has led until now
        """
        leader, older = self._leader(found), found.older()
        if found.read_at - self._since < self.lease:
            return True
        if leader is not None:
            return not leads or leader in older
        # A member that was seen only once may turn out to be the leader.
        return not leads and any(
            each in older or self._known[each].publication is not None
            for each in self._alive(found)
        )

    def _alive(self, found: peers.Peers) -> list[bytes]:
        """Return the members that publish, or still may, by age."""
        # A monitor that died has expired by then, and another can lead.
        patience = 1.5 * self._expiry + self.lease
        return [
            each
            for each in found.by_age()
            if found.read_at - self._known[each].changed_at < patience
        ]


def _updated(
    known: _Candidate | None, published: Any, now: float
) -> _Candidate:
    digest = hash(published) if isinstance(published, bytes) else 0
    # None: the backend may not have answered for this member.
    if known is not None and (published is None or known.digest == digest):
        return known
    decoded = publication.decode(published)
    leads = known is not None and known.publication is not None
    return _Candidate(digest, now, decoded, leads and decoded is not None)


#: The group of the monitors.
GROUP = 'servicegroup-monitor'

_INTERVAL = 0.5

#: How many members a log line names.
_NAMED = 10

#: What a monitor does. One that yields has led and knows no other leader yet.
_LEADS, _YIELDS, _STANDS_BY = 'leads', 'yields', 'stands by'


class SoleMonitor(loop.Loop):
    """The election where there is only one monitor, which always leads."""

    def __init__(
        self, outbox: outbox.Outbox, interval: float = _INTERVAL
    ) -> None:
        super().__init__('attend', interval)
        self._outbox = outbox

    def work(self) -> None:
        """Read the other members, if any, and publish."""
        self._outbox.published(self._outbox.to_publish())

    def leads(self) -> bool:
        """Return whether this monitor may send at this moment."""
        return True

    def leave(self, wait: float) -> None:
        """Let another monitor lead, waiting at most so many seconds."""

    def unready(self) -> str | None:
        """Return in one line why it neither leads nor follows, or None."""
        return None


class Election(SoleMonitor):
    """The election among several monitors, as one of them runs it.

    :param peer_group: the group of the monitors
    :param slack: seconds by which one monitor may see a transition later than
        another
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
        """See SoleMonitor."""
        return time.monotonic() < self._until

    def unready(self) -> str | None:
        """See SoleMonitor."""
        if self.leads():
            return None
        if not self._candidates.is_current():
            return 'the monitors cannot meet'
        return None if self._role == _STANDS_BY else 'not decided yet'

    def leave(self, wait: float) -> None:
        """See SoleMonitor."""
        self._until = -math.inf
        self._peer_group.close(wait)

    def work(self) -> None:
        """See SoleMonitor."""
        try:
            self._run_round()
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

    def _run_round(self) -> None:
        found = self._peer_group.read()
        self._candidates.update(found)
        if self._candidates.must_follow(found, self._role == _LEADS):
            self._follow(found)
        elif time.monotonic() - found.read_at < self._candidates.lease:
            # Otherwise what was read is too old to lead by.
            self._lead(found)
        self._candidates.end_round(found)

    def _lead(self, found: peers.Peers) -> None:
        if self._role != _LEADS:
            self._outbox.lead()
        to_publish = self._outbox.to_publish()
        published_at = self._peer_group.publish(publication.encode(to_publish))
        self._until = published_at + self._candidates.lease
        self._outbox.published(to_publish)
        if self._role != _LEADS:
            self._role = _LEADS
            LOG.info('This monitor announces now: it has joined first.')
            self._log_silent(found.older())

    def _log_silent(self, silent: list[bytes]) -> None:
        if silent:
            LOG.warning(
                '%d members of the group of monitors say nothing, and are '
                'not waited for: %s',
                len(silent),
                escaping.names([each.decode() for each in silent], _NAMED),
            )

    def _follow(self, found: peers.Peers) -> None:
        self._until = -math.inf
        if self._role == _LEADS:
            self._role = _YIELDS
        received, since = self._candidates.receive(found)
        if received is not None:
            self._outbox.receive(received, since - received.lag - self._slack)
            self._stand_by()
        self._peer_group.publish(publication.encode(None))

    def _stand_by(self) -> None:
        if self._role == _YIELDS:
            LOG.warning('This monitor announces no more: another one does.')
        elif self._role is None:
            LOG.info('This monitor stands by; another one announces.')
        self._role = _STANDS_BY
