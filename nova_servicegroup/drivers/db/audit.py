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

"""Checks now and then that heartbeats reach the record.

Any process that reads the collectors' queue can answer that it has written
what it has not. So a service without a database asks Nova from time to time
whether its record shows a recent heartbeat.
"""

import random
import time

from oslo_log import log as logging

from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

#: Seconds between two checks. A check is two calls to nova-conductor, with
#: some heartbeats between them.
INTERVAL = 300.0
#: The first check is up to so much later, to spread services (seconds).
_SPREAD = 60.0
#: After this time, a heartbeat changes even a record that holds the time of a
#: clock that is ahead (seconds), see store.
_AHEAD = 20.0


class Audit:
    """Compares the answers of collectors with the record of one service.

    :param service: one without services.Recorded's methods is not checked
    :param gap: seconds in which a heartbeat comes for certain
    """

    def __init__(self, service: object, gap: float) -> None:
        self._service = service
        self._gap = max(gap, _AHEAD)
        self._due = time.monotonic() + _SPREAD * random.uniform(0, 1)
        # What the record showed at the first call of a check, if that was made
        # and nothing but collectors has written since.
        self._shown: object = None

    def is_written(self) -> bool:
        """Return whether heartbeats are written, after one was answered.

        Between two checks it is presumed that they are.

        :raises RecordDeleted: the record is gone
        """
        if time.monotonic() < self._due:
            return True
        last, self._shown = self._shown, self._read()
        if last is None or self._shown is None:
            self._due = time.monotonic() + self._gap
            return True
        written = self._shown != last
        # Collectors that write nothing are checked again as soon as they are
        # asked again.
        rest = INTERVAL * random.uniform(0.8, 1.2) if written else 0.0
        self._shown, self._due = None, time.monotonic() + rest
        return written

    def is_gone(self) -> bool:
        """Return whether the record is gone, or cannot be read."""
        try:
            return self._read() is None
        except exceptions.RecordDeleted:
            return True

    def note_saved(self) -> None:
        """Note that Nova itself wrote to the record."""
        self._shown = None

    def _read(self) -> object:
        """Return what changes in the record with each heartbeat, if known.

        :raises RecordDeleted: the record is gone
        """
        read = getattr(self._service, 'read_heartbeat', None)
        try:
            return None if read is None else read()
        except exceptions.BackendError as error:
            LOG.debug('The own record cannot be read: %s', error)
            return None
