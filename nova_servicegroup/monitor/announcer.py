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

"""Sends what waits, one after the other, until it is delivered."""

from collections.abc import Callable
import time

from oslo_log import log as logging

from nova_servicegroup.drivers.common import backoff
from nova_servicegroup import exceptions
from nova_servicegroup.monitor import election
from nova_servicegroup.monitor import ledger
from nova_servicegroup.monitor import loop
from nova_servicegroup.monitor import sender

LOG = logging.getLogger(__name__)

#: Seconds between two looks whether there is something to send.
_INTERVAL = 0.1
#: Seconds between two attempts, at most.
_LONGEST = 5.0


class Announcer(loop.Loop):
    """Sends what the leader's ledger has."""

    def __init__(
        self,
        book: ledger.Ledger,
        place: election.Alone,
        deliverer: sender.Sender,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__('announce', _INTERVAL)
        self._ledger = book
        self._election = place
        self._sender = deliverer
        self._rest = backoff.Rest(_LONGEST, clock=clock)
        self._outage = loop.Outage(clock=clock)

    def work(self) -> None:
        """Send what is due, as far as it is possible now."""
        for entry in self._ledger.due():
            if not self._election.leads():
                return
            try:
                with self._rest.guard('message queue'):
                    self._sender.send(entry)
            except exceptions.BackendError as error:
                if self._outage.failed():
                    LOG.warning(
                        'Notifications cannot be delivered: %s. They are '
                        'kept, and sent in order when they can be.',
                        error,
                    )
                return
            self._ledger.sent(entry)
            lasted = self._outage.over()
            if lasted is not None:
                LOG.info(
                    'Notifications are delivered again, after %.1f s.', lasted
                )
