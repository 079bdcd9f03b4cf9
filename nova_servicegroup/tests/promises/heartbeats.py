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

"""The heartbeats of hosts without a database, by the driver's own rules.

The route of the driver is run as it is, in virtual time; only what it sends
goes to a cell's table in memory.
"""

import contextlib
import math
from unittest import mock
import uuid

from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import routes
from nova_servicegroup import exceptions
from nova_servicegroup import services
from nova_servicegroup.tests.promises import kernel

#: Seconds for which a collector gathers, and in which Nova writes.
_GATHER = 1.0
_SAVE = 0.3


class Cell:
    """One cell's database, and the way of the heartbeats to it.

    :ivar ahead: what its clock shows too much
    :ivar last: the time of each host's last heartbeat, by its clock
    :ivar written: when it was written
    :ivar stalled_until: until when no heartbeat of a host is written
    :ivar unread_until: until when nobody reads the queue of the collectors
    :ivar able: when each host that was ever answered last had a heartbeat
        written, or could not have one written
    :ivar gap: the longest time for which one that could have had had none
    """

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.ahead = 0.0
        self.away = False
        self.fails = False
        self.latency = 0.005
        self.last: dict[str, float] = {}
        self.written: dict[str, float] = {}
        self.stalled_until: dict[str, float] = {}
        self.unread_until = 0.0
        self.able: dict[str, float] = {}
        self.gap = 0.0

    def collect(self, host: str, surely: bool = False) -> bool:
        """Have a collector write a heartbeat; tell whether it did.

        :param surely: though nobody reads the queue
        """
        now = kernel.monotonic()
        unread = now < self.unread_until and not surely
        if unread or not self.beat(host):
            return False
        self.able[host] = now
        return True

    def clock(self) -> float:
        """Return its time."""
        return kernel.EPOCH + kernel.monotonic() + self.ahead

    def beat(self, host: str) -> bool:
        """Write a heartbeat; tell whether it was."""
        now = kernel.monotonic()
        able = self.able.get(host, now)
        if host in self.able:
            self.able[host] = now
        if now < self.stalled_until.get(host, 0.0) or self.away:
            return False
        self.gap = max(self.gap, now - able)
        self.last[host] = float(int(self.clock()))
        self.written[host] = now
        return True

    def age(self, host: str) -> float:
        """Return the age of a heartbeat, whatever clock was set."""
        passed = kernel.monotonic() - self.written.get(host, -math.inf)
        return max(passed, self.clock() - self.last[host])

    def read(self) -> services.Heartbeats:
        """Read it."""
        if self.away:
            kernel.sleep(5.0)
        kernel.sleep(self.latency)
        if self.away or self.fails:
            raise exceptions.BackendError('services table', 'away')
        rows = [(number(host), host, at) for host, at in self.last.items()]
        return services.Heartbeats(self.clock(), rows)


def number(host: str) -> str:
    """Return the UUID of the record of a host."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, host))


class _Collectors:
    """Stands for relay.Client."""

    knows_time = True
    behind = False

    def __init__(self, name: str, cell: Cell) -> None:
        self._name = name
        self._cell = cell
        self._new = True

    def beat(self, record: int, timeout: float) -> bool:
        """See relay.Client.

        The first one is answered, whoever reads the queue: who never was waits
        for longer.
        """
        if not self._cell.collect(self._name, self._new):
            kernel.sleep(timeout)
            raise exceptions.BackendTimeout('collectors', 'no answer')
        self._new = False
        kernel.sleep(_GATHER)
        return True

    def send(self, record: int, timeout: float) -> None:
        """See relay.Client. Nobody knows what becomes of it."""
        self._cell.collect(self._name)


class Sender:
    """The service of one host.

    :ivar working: whether its process runs
    """

    record_id = 1

    def __init__(
        self, name: str, cell: Cell, interval: float, down_time: float
    ) -> None:
        self.report_interval = interval
        self.working = False
        self._name = name
        self._cell = cell
        self._down_time = down_time
        self._route: routes.Route | None = None

    def start(self) -> None:
        """Start a new process."""
        with mock.patch.object(relay, 'Client', lambda transport: transport):
            self._route = routes.choose(
                self,  # type: ignore[arg-type]
                self._name,
                self._down_time,
            )

    def beat(self) -> None:
        """Send one."""
        if self._route is not None:
            with contextlib.suppress(exceptions.BackendError):
                self._route.beat()

    def engine(self) -> None:
        """See services.Service."""

    def transport(self) -> _Collectors:
        """See services.Service."""
        return _Collectors(self._name, self._cell)

    def note_heartbeat(self) -> None:
        """See services.Service."""

    def save_heartbeat(self) -> None:
        """See services.Service."""
        kernel.sleep(_SAVE)
        if not (self.working and self._cell.beat(self._name)):
            raise exceptions.BackendError('nova-conductor', 'away')
