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

"""Asks where the members of a roster run."""

from collections.abc import Sequence
import contextlib
import threading

from oslo_log import log as logging

from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import duplicates
from nova_servicegroup.drivers.common import requests
from nova_servicegroup import exceptions

#: So many members are asked at once where they run.
_ORIGINS = 100

LOG = logging.getLogger(__name__)


class Origins:
    """Asks where members run, beside the reading; one question at a time.

    :param group: as the servers have it
    :param wait: seconds, at most, for each question
    """

    def __init__(
        self,
        group: bytes,
        connection: connections.Connection,
        doubles: duplicates.Duplicates,
        wait: float,
    ) -> None:
        self.duplicates = doubles
        self._group = group
        self._connection = connection
        self._wait = wait
        self._request = requests.Request(connection.backend)
        self._asking = threading.Lock()

    def learn(self, detailed: base.Detailed) -> None:
        """Ask about many; of doubled hosts, if none is named."""
        with self._asking, contextlib.suppress(exceptions.BackendError):
            unknown = self.duplicates.unknown(detailed)
            last = len(unknown) if detailed else _ORIGINS
            for start in range(0, min(len(unknown), last), _ORIGINS):
                deadline = requests.Deadline(self._wait)
                with self._connection.use(deadline) as connected:
                    some = unknown[start : start + _ORIGINS]
                    self._ask(connected, some, deadline)

    def look(
        self, connected: connections.Connected, deadline: requests.Deadline
    ) -> None:
        """Ask about one member that is doubled, unless others are asked."""
        if not deadline.left() or not self._asking.acquire(blocking=False):
            return
        try:
            doubtful = self.duplicates.doubtful()
            if doubtful:
                self._ask(connected, doubtful[:1], deadline)
        except exceptions.BackendTimeout as error:
            LOG.debug('A member has not said where it runs: %s', error)
        finally:
            self._asking.release()

    def _ask(
        self,
        connected: connections.Connected,
        member_ids: Sequence[bytes],
        deadline: requests.Deadline,
    ) -> None:
        """Ask about some members at once.

        One that has just left, or whose data is foreign, has no origin.
        """
        ask = connected.coordinator.get_member_capabilities
        answers = self._request.ask(
            connected.coordinator,
            f'origins of {len(member_ids)} members, {member_ids[0]!r} first',
            lambda: requests.Answers(
                {each: ask(self._group, each) for each in member_ids}
            ),
            deadline,
        )
        for member_id, found in answers.items():
            self.duplicates.tell(member_id, found)
