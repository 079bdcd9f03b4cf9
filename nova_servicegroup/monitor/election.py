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


"""Which monitor announces: the one that has joined first.

To lead is to hold a lease, which each publication renews: it succeeds only
for a member. The lease is over before the membership can be, and whoever has
just joined waits for as long. So two never lead at the same time, however
long one of them was frozen or cut off.
"""

from collections.abc import Callable
import math
import time

from oslo_log import log as logging

from nova_servicegroup.drivers import gathering
from nova_servicegroup import exceptions
from nova_servicegroup.monitor import ledger
from nova_servicegroup.monitor import publication

LOG = logging.getLogger(__name__)

#: The group of the monitors.
GROUP = 'servicegroup-monitor'

#: Seconds; less where members expire soon. It is renewed three times as often.
_LEASE = 1.5


class Alone:
    """The election of a monitor that is the only one."""

    interval = math.inf

    def leads(self) -> bool:
        """Tell whether this monitor may announce, at this very moment."""
        return True

    def attend(self) -> None:
        """Renew what is known of the others."""

    def leave(self, wait: float) -> None:
        """Let another monitor lead, waiting at most so many seconds."""


class Election:
    """The part that one monitor takes in the election.

    :param meeting_place: where the monitors meet
    """

    def __init__(
        self,
        book: ledger.Ledger,
        meeting_place: gathering.Gathering,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = book
        self._gathering = meeting_place
        self._clock = clock
        self._lease = min(_LEASE, meeting_place.expiry / 2)
        self.interval = self._lease / 3
        self._until = -math.inf
        self._led = False
        self._failing_since: float | None = None
        self._lost_told = False
        self._stands_by = False

    def leads(self) -> bool:
        """See Alone."""
        return self._clock() < self._until

    def attend(self) -> None:
        """See Alone. Never raises."""
        error = self._try()
        if error is None:
            self._recovered()
        else:
            self._lost(error)

    def leave(self, wait: float) -> None:
        """See Alone."""
        self._until = -math.inf
        self._gathering.close(wait)

    def _try(self) -> exceptions.BackendError | None:
        try:
            self._attend()
        except exceptions.BackendError as error:
            return error
        return None

    def _attend(self) -> None:
        meeting = self._gathering.meet()
        waited = meeting.asked - meeting.since >= self._lease
        if not self._led:
            self._hear(meeting)
        if meeting.am_oldest() and waited:
            self._lead()
        else:
            self._follow(meeting)

    def _hear(self, meeting: gathering.Meeting) -> None:
        """Learn from who led last what was announced."""
        said = [
            each
            for each in map(publication.decode, meeting.others.values())
            if each is not None
        ]
        if said:
            latest = max(said, key=lambda each: (each.term, each.beat))
            self._ledger.hear(latest, meeting.asked)

    def _lead(self) -> None:
        gained, self._led = not self._led, True
        if gained:
            self._ledger.lead()
        self.publish()
        if gained:
            LOG.info('This monitor announces now: it has joined first.')

    def publish(self) -> None:
        """Tell the others what was announced, which renews the lease.

        :raises BackendError: they may not have been told
        """
        said = publication.encode(self._ledger.to_publish())
        self._until = self._gathering.publish(said) + self._lease

    def _follow(self, meeting: gathering.Meeting) -> None:
        self._until = -math.inf
        if self._led:
            LOG.warning('This monitor announces no more: another one does.')
        elif not self._stands_by and not meeting.am_oldest():
            self._stands_by = True
            LOG.info('This monitor stands by; another one announces.')
        self._led = False

    def _lost(self, error: exceptions.BackendError) -> None:
        now = self._clock()
        self._failing_since = self._failing_since or now
        if not self._lost_told and now - self._failing_since >= self._lease:
            self._lost_told = True
            LOG.warning(
                'The monitors cannot meet: %s. This one announces nothing '
                'until they can, and keeps what it sees.',
                error,
            )

    def _recovered(self) -> None:
        if self._lost_told and self._failing_since is not None:
            LOG.info(
                'The monitors meet again, after %.1f s.',
                self._clock() - self._failing_since,
            )
        self._failing_since, self._lost_told = None, False
