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

Who reads the queue of the collectors can answer that it has written what it
has not. So a service without a database asks Nova from time to time whether
its record shows a heartbeat of late.
"""

import random
import time

from oslo_log import log as logging

from nova_servicegroup import exceptions
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: Seconds from one look to the next. A look is two calls to nova-conductor,
#: with some heartbeats between them.
INTERVAL = 300.0
#: The first one differs among services that start together (seconds).
_SPREAD = 60.0
#: A heartbeat changes a record that shows one of a clock that is so far ahead
#: (seconds).
_AHEAD = 20.0


class Audit:
    """Compares what collectors have said with the record.

    :param service: whose record it is
    :param gap: seconds in which a heartbeat comes for certain
    """

    def __init__(self, service: services.Recorded, gap: float) -> None:
        self._service = service
        self._gap = max(gap, _AHEAD)
        self._due = time.monotonic() + _SPREAD * random.uniform(0, 1)
        # What the record showed; None: it is not known since when.
        self._shown: object = None

    def is_written(self) -> bool:
        """Tell whether heartbeats are written, after one was answered.

        Between two looks it is presumed that they are.

        :raises RecordDeleted: the record is gone
        """
        if time.monotonic() < self._due:
            return True
        last, self._shown = self._shown, self._look()
        if last is None or self._shown is None:
            self._due = time.monotonic() + self._gap
            return True
        written = self._shown != last
        # When collectors are asked again that write nothing, that is soon
        # looked at.
        rest = INTERVAL * random.uniform(0.8, 1.2) if written else 0.0
        self._shown, self._due = None, time.monotonic() + rest
        return written

    def is_gone(self) -> bool:
        """Tell whether the record is gone, or cannot be read."""
        try:
            return self._look() is None
        except exceptions.RecordDeleted:
            return True

    def note_saved(self) -> None:
        """Take note that Nova itself wrote to the record."""
        self._shown = None

    def _look(self) -> object:
        try:
            return self._service.read_heartbeat()
        except exceptions.BackendError as error:
            LOG.debug('The own record cannot be read: %s', error)
            return None
