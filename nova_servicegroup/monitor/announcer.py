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


"""Announces what is pending, one after the other, until it is delivered."""

from collections.abc import Callable
import time

from oslo_log import log as logging

from nova_servicegroup.drivers import _backoff
from nova_servicegroup import exceptions
from nova_servicegroup.monitor import ledger

LOG = logging.getLogger(__name__)

#: Seconds between two attempts, at most.
_LONGEST = 5.0


class Announcer:
    """Has the leader's ledger announced.

    :param leads: tells whether this monitor leads, at this very moment
    :param send: delivers an entry.
        :raises BackendError: it may not have been delivered
    """

    def __init__(
        self,
        book: ledger.Ledger,
        leads: Callable[[], bool],
        send: Callable[[ledger.Entry], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = book
        self._leads = leads
        self._send = send
        self._clock = clock
        self._failures = 0
        self._failed_at = 0.0
        self._retry_at = 0.0

    def announce(self) -> None:
        """Announce what is due, as far as it is possible now."""
        while self._clock() >= self._retry_at and self._leads():
            entry = self._ledger.due()
            if entry is None:
                return
            error = self._try(entry)
            if error is None:
                self._ledger.told(entry)
                self._delivered()
            else:
                self._failed(error)

    def _try(self, entry: ledger.Entry) -> exceptions.BackendError | None:
        try:
            self._send(entry)
        except exceptions.BackendError as error:
            return error
        return None

    def _failed(self, error: exceptions.BackendError) -> None:
        now = self._clock()
        if not self._failures:
            self._failed_at = now
            LOG.warning(
                'Notifications cannot be delivered: %s. They are kept, and '
                'sent in order when they can be.',
                error,
            )
        self._retry_at = now + _backoff.backoff(self._failures, _LONGEST)
        self._failures += 1

    def _delivered(self) -> None:
        if self._failures:
            LOG.info(
                'Notifications are delivered again, after %.1f s.',
                self._clock() - self._failed_at,
            )
        self._failures, self._retry_at = 0, 0.0
