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

"""A history with Nova's own database."""

from collections.abc import Callable
import math
from typing import Any

from nova_servicegroup import opts
from nova_servicegroup.tests.simulation import db_faults
from nova_servicegroup.tests.simulation import db_members
from nova_servicegroup.tests.simulation import db_oracle
from nova_servicegroup.tests.simulation import eye as eyes
from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import plan as plans
from nova_servicegroup.tests.simulation import table
from nova_servicegroup.tests.simulation import truth
from nova_servicegroup.tests.simulation import world


class DbWorld(db_faults.Faults, world.World):
    """A history with Nova's own database.

    :ivar ahead: what the clock of the conductors shows too much, where they
        write the heartbeats; None: the database's clock is used
    :ivar lag: for so long those who ask have had their records
    :ivar unread_until: until when no collector reads the queue that is there
    """

    oracle_class = db_oracle.DbOracle

    def __init__(self, plan: plans.Plan) -> None:
        super().__init__(plan)
        self.oracle.world = self
        self.interval = float(self.options['report_interval'] or 10)
        self.down_time = float(opts.service_down_time(self.conf))
        chance = self.chance('clocks')
        self.ahead: float | None = self.settings['ahead']
        self.lag = chance.choice((0.0, 0.0, 1.0, 3.0))
        count = self.settings['cells']
        self.cells = [
            table.Cell(None if count == 1 else f'cell{number}')
            for number in range(count)
        ]
        self.rows = [self._row(host) for host in self.hosts]
        self.members = [db_members.Member(self, row) for row in self.rows]
        self.unread_until = 0.0
        self._unread: list[tuple[float, float]] = []
        self._stalls: list[tuple[float, float]] = []
        self._backs: list[tuple[float, float, table.Cell]] = []
        self._futures: dict[int, float] = {}
        self._askers: dict[eyes.Eye, plans.Asker] = {}

    def _row(self, host: truth.Host) -> table.Row:
        cell = self.cells[host.number % len(self.cells)]
        row = table.Row(host, cell, world.GROUP)
        host.sure = truth.Timeline()
        cell.rows.append(row)
        return row

    def rules(self) -> eyes.Rules:
        """See World."""
        timeout = self.options['read_timeout']
        return eyes.Rules(
            self.options['hold_time'],
            self.options['refresh_interval'],
            timeout,
            0.0,
            0.3,
        )

    def prepare_servers(self) -> None:
        """See World."""
        chance = self.chance('dead')
        for number in self.plan.dead:
            ago = chance.choice((400.0, 3600.0, 300000.0))
            stamp = math.floor(kernel.EPOCH - ago)
            self.rows[number].beats.append((-ago, stamp))
            self.hosts[number].seen.begin(-ago, self.down_time - ago)

    def prepare(
        self, driver: Any, asker: plans.Asker, eye: eyes.Eye
    ) -> Callable[[int], Any]:
        """See World."""
        self._askers[eye] = asker
        eye.ready.begin(0.0)

        def taken(cell: table.Cell, issued: float, valid: float) -> None:
            self._read(eye, cell, issued, valid)

        its = table.Table(self.cells, asker.access, taken)
        driver.table = its
        driver.cells, driver.heartbeats = its.cells, its.heartbeats
        driver.records = its.records
        rows, lag, plain = self.rows, self.lag, asker.plain
        timeline = self.kernel
        return lambda number: rows[number].record(timeline.now - lag, plain)

    def _read(
        self, eye: eyes.Eye, cell: table.Cell, issued: float, valid: float
    ) -> None:
        now, source = self.kernel.now, str(cell.uuid)
        if now - issued > 0.1:
            eye.take_late(source, issued, now)
            return
        shown = frozenset(
            row.host.number for row in cell.rows if row.host.seen.holds(valid)
        )
        well = not any(each.fails for each in self.cells)
        self.oracle.read(
            eye, issued, valid, now, shown, source, confirmed=well
        )

    def write(self, row: table.Row, since: float) -> None:
        """Write a heartbeat.

        :param since: from when on its member was able to send
        """
        now = self.kernel.now
        last = row.beats[-1][0] if row.beats else now
        if last >= since and not self.is_stalled(last, now):
            self.oracle.renewed(row.host, last, now)
        row.cell.write(row, self.ahead)
        row.host.seen.begin(now, now + self.down_time)
        # A heartbeat has whole seconds.
        row.host.sure.begin(now, now + self.down_time - 1.0)

    # What the oracle asks.

    def is_plain(self, eye: eyes.Eye) -> bool:
        """Tell whether a process asks with plain dicts."""
        return self._askers[eye].plain

    def has_access(self, eye: eyes.Eye) -> bool:
        """Tell whether a process can read the table."""
        return self._askers[eye].access

    def own_age(self, eye: eyes.Eye, host: truth.Host, when: float) -> float:
        """Return the age of a record by the clock of who asks."""
        stamp = self.rows[host.number].stamp(when - self.lag)
        if stamp is None:
            return math.inf
        return kernel.EPOCH + when + eye.process.wall_offset - stamp

    def clock_is_well(self, host: truth.Host, since: float) -> bool:
        """Tell whether the database's clock tells what a beat is worth.

        What was written before it was set back may look as young, until that
        is old for certain.
        """
        cell = self.rows[host.number].cell
        wait = self.down_time + self.interval
        wait += self.options['refresh_interval']
        return all(
            where is not cell or when + size + wait < since
            for when, size, where in self._backs
        )

    def last_stall(self, host: truth.Host, t0: float) -> tuple[float, float]:
        """Return from when until when a stall could be seen."""
        for start, end in reversed(self._stalls):
            if start < t0:
                return start + 2 * self.interval, min(end, t0)
        return t0, t0

    def is_stalled(self, start: float, end: float) -> bool:
        """Tell whether heartbeats came late between two times."""
        return self._was_any(self._stalls, start, end)

    def is_late(self, start: float, end: float) -> bool:
        """Tell whether they did, or may have come as late as they may."""
        stalls = self._stalls + self._unread
        return self._was_any(stalls, start, end)

    def _was_any(
        self, stalls: list[tuple[float, float]], start: float, end: float
    ) -> bool:
        return any(
            each[0] < end
            and each[1] + db_faults.RECONNECT + 2 * self.interval > start
            for each in stalls
        )

    def shown_late(
        self, host: truth.Host, eye: eyes.Eye, t0: float
    ) -> float | None:
        """Return by how much a record may look too young; None: it may not."""
        late = max(0.0, self.ahead or 0.0)
        late += self._futures.get(host.number, 0.0)
        cell = self.rows[host.number].cell
        late += sum(size for _, size, where in self._backs if where is cell)
        return late or None
