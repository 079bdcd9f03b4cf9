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
publishes no more. See Rivals.
"""

from collections.abc import Callable
import math
import time

from oslo_log import log as logging

from nova_servicegroup.drivers.common import peers
from nova_servicegroup import escaping
from nova_servicegroup import exceptions
from nova_servicegroup.monitor import ledger
from nova_servicegroup.monitor import loop
from nova_servicegroup.monitor import publication
from nova_servicegroup.monitor import rivals

LOG = logging.getLogger(__name__)

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
        self, book: ledger.Ledger, interval: float = _INTERVAL
    ) -> None:
        super().__init__('attend', interval)
        self._ledger = book

    def work(self) -> None:
        """Meet the others, and publish."""
        self._ledger.published(self._ledger.to_publish())

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
        self,
        book: ledger.Ledger,
        peer_group: peers.PeerGroup,
        slack: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rivals = rivals.Rivals(peer_group.expiry)
        super().__init__(book, self._rivals.lease / 3)
        self._peer_group = peer_group
        self._slack = slack
        self._clock = clock
        self._until = -math.inf
        self._role: str | None = None
        self._outage = loop.Outage(self._rivals.lease, clock=clock)

    def leads(self) -> bool:
        """See Alone."""
        return self._clock() < self._until

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
        self._rivals.take(meeting)
        if self._rivals.give_way(meeting, self._role == _LEADS):
            self._follow(meeting)
        elif self._clock() - meeting.asked < self._rivals.lease:
            # Later, what was seen there may not be true any more.
            self._lead(meeting)
        self._rivals.attended(meeting)

    def _lead(self, meeting: peers.Peers) -> None:
        if self._role != _LEADS:
            self._ledger.lead()
        said = self._ledger.to_publish()
        self._until = (
            self._peer_group.publish(publication.encode(said))
            + self._rivals.lease
        )
        self._ledger.published(said)
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
        heard, after = self._rivals.hear(meeting)
        if heard is not None:
            self._ledger.hear(heard, after - heard.lag - self._slack)
            self._stand_by()
        self._peer_group.publish(publication.encode(None))

    def _stand_by(self) -> None:
        if self._role == _YIELDS:
            LOG.warning('This monitor announces no more: another one does.')
        elif self._role is None:
            LOG.info('This monitor stands by; another one announces.')
        self._role = _STANDS_BY
