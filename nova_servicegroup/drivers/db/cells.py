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

"""Which cell a service is in, also where its record does not say it."""

from collections.abc import Callable
import contextlib
import math
import time

from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import services

#: Seconds between two looks for services that are new.
_INTERVAL = 60.0


class Cells:
    """The cells of the services that this process is asked about.

    nova-scheduler asks with plain dicts, without the context that tells the
    cell. Then all records of the group are read, which is no more than it
    reads itself for every server that it places.

    :param read: see base.Driver.read_records
    :param wait: seconds for which a question may wait for that
    """

    def __init__(
        self,
        read: Callable[[str, float], list[services.ServiceRef]],
        wait: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._wait = wait
        self._clock = clock
        self._known: dict[str, str | None] = {}
        self._due = -math.inf

    def find(self, service_ref: services.ServiceRef) -> str | None:
        """Return the cell of a service; None: it cannot be told."""
        cell = services.cell_of(service_ref)
        if cell is not None:
            return cell
        number = services.number_of(service_ref)
        if number is None:
            return None
        if number not in self._known and self._clock() >= self._due:
            self._due = self._clock() + _INTERVAL
            with contextlib.suppress(exceptions.BackendError):
                self.read(base.group_of(service_ref), self._wait)
        return self._known.get(number)

    def read(self, group: str, wait: float) -> list[services.ServiceRef]:
        """Read a group's records, which tell their cells.

        :param wait: seconds, at most
        :raises BackendError: they cannot be read in time
        """
        found = self._read(group, wait)
        for each in found:
            number = services.number_of(each)
            if number is not None:
                self._known[number] = services.cell_of(each)
        return found
