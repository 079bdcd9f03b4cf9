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

"""What happens to heartbeats and databases."""

import math
from typing import Any

from nova_servicegroup.tests.simulation import eye as eyes
from nova_servicegroup.tests.simulation import host_faults
from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import plan as plans
from nova_servicegroup.tests.simulation import table

#: Seconds in which a service is connected again to a queue that is back.
RECONNECT = 30.0


class Faults(host_faults.HostFaults):
    """What may happen in a history; see DbWorld."""

    rows: list[table.Row]
    cells: list[table.Cell]
    eyes: list[eyes.Eye]
    interval: float
    down_time: float
    unread_until: float
    _unread: list[tuple[float, float]]
    is_stalled: Any
    chance: Any
    rules: Any
    _stalls: Any
    _backs: Any
    _futures: dict[int, float]

    # What happens to hosts.

    def _host_stall(self, event: plans.Event) -> None:
        member = self._member(event)
        if member.works:
            member.blocked_until = self.kernel.now + event.size
            member.host.living.end(self.kernel.now)

    def _host_cut(self, event: plans.Event) -> None:
        self._host_stall(event)

    # What happens to the heartbeats and the databases.

    def _fault_stall(self, event: plans.Event) -> None:
        """No heartbeat is written; then they come back, some of them late."""
        now, chance = self.kernel.now, self.chance('stall', event)
        end = now + event.size
        self._stalls.append((now, end))
        for member in self.members:
            late = chance.choice((1.0, 1.0, 1.0, RECONNECT))
            until = end + chance.uniform(0, late)
            member.blocked_until = max(member.blocked_until, until)

    def _fault_unread(self, event: plans.Event) -> None:
        """The collectors have ended, and their queue stays: all is lost.

        So it is not where all was lost a moment ago, in some other way.
        """
        now = self.kernel.now
        if not self.is_stalled(now - self.down_time, now):
            self.unread_until = max(self.unread_until, now + event.size)
            self._unread.append((now, self.unread_until))

    def _fault_batch(self, event: plans.Event) -> None:
        """The heartbeats of some are late, though not too late."""
        most = self.down_time - self.interval - 5
        delay = min(event.size, most - self.interval)
        for member in self.members:
            if member.host.number % 10 < 10 * event.much:
                until = self.kernel.now + max(0.0, delay)
                member.blocked_until = max(member.blocked_until, until)

    def _cell(self, event: plans.Event) -> table.Cell:
        return self.cells[event.where % len(self.cells)]

    def _fault_away(self, event: plans.Event) -> None:
        """One cell's database is away, or only the reads of it fail."""
        cell = self._cell(event)
        if cell.fails:
            return
        read = self.kernel.now >= self.unread_until
        cell.fails, cell.away = True, event.much < 0.5 and read
        if cell.away:
            end = self.kernel.now + event.size
            self._stalls.append((self.kernel.now, end))
        self._end_ready(cell)
        self.later(event.size, self._return, cell)

    def _return(self, cell: table.Cell) -> None:
        cell.fails = cell.away = False
        self._begin_ready()

    def _fault_slow(self, event: plans.Event) -> None:
        cell = self._cell(event)
        cell.latency = 0.2 + 10 * event.much**2
        self._end_ready(cell)
        self.later(event.size, self._fast, cell)

    def _fast(self, cell: table.Cell) -> None:
        cell.latency = 0.003
        self._begin_ready()

    def _end_ready(self, cell: table.Cell) -> None:
        cell.ready.end(self.kernel.now)
        for eye in self.eyes:
            eye.ready.end(self.kernel.now)

    def _begin_ready(self) -> None:
        """Note from when on cells can be read again.

        What was asked before is awaited first.
        """
        now = self.kernel.now
        well = [
            cell
            for cell in self.cells
            if not cell.fails and cell.latency < 0.1
        ]
        for cell in well:
            if not cell.ready.within(now, now + 1):
                cell.ready.begin(now + 12.0 + self.rules().refresh)
        if len(well) == len(self.cells):
            for eye in self.eyes:
                eye.ready.begin(now + 12.0 + self.rules().refresh)

    def _fault_back(self, event: plans.Event) -> None:
        """The database's clock is set back."""
        cell, size = self._cell(event), max(130.0, event.size)
        cell.offset -= size
        self._backs.append((self.kernel.now, size, cell))

    def _fault_future(self, event: plans.Event) -> None:
        """A record shows a time that is yet to come."""
        number = event.where % len(self.rows)
        row, now = self.rows[number], self.kernel.now
        row.beats.append((now, math.floor(kernel.EPOCH + now + event.size)))
        row.host.seen.begin(now, now + self.down_time)
        self._futures[number] = event.size

    def _fault_clock(self, event: plans.Event) -> None:
        """The clock of one process that asks is set."""
        if self.eyes:
            eye = self.eyes[event.where % len(self.eyes)]
            eye.process.wall_offset += event.size * (event.much * 2 - 1)
