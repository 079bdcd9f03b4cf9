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

"""Nova's services table as heartbeats reach it: late, or not at all."""

import datetime
import random
import types
from typing import Any

from nova_servicegroup import exceptions
from nova_servicegroup.tests.promises import heartbeats
from nova_servicegroup.tests.promises import kernel
from nova_servicegroup.tests.promises import oracle
from nova_servicegroup.tests.promises import plan
from nova_servicegroup.tests.promises import world

#: Seconds in which all are connected again after a stall.
_RETURN = 30.0
_CREATED = kernel.EPOCH - 1e6


class Record(dict[str, Any]):
    """A record that was read from a cell."""

    def __init__(self, values: dict[str, Any], cell: str | None) -> None:
        super().__init__(values)
        self._context = types.SimpleNamespace(cell_uuid=cell)


class Table:
    """What one process may read. See services.Table."""

    def __init__(self, backend: 'Backend', known: Any, may: bool) -> None:
        self._backend = backend
        self._known = known
        self._may = may

    def cells(self) -> list[str | None]:
        self._check()
        return [each.name for each in self._backend.cells]

    def heartbeats(self, cell: str | None, group: str) -> Any:
        self._check()
        found = self._backend.cell(cell).read()
        self._known.answered(kernel.monotonic())
        return found

    def records(self, group: str) -> list[Any]:
        self._check()
        return []

    def _check(self) -> None:
        if not self._may:
            raise exceptions.NoAccess('services table', 'not from here')


class Backend(world.Backend):
    """A few cells."""

    def __init__(self, wanted: plan.Plan, chance: random.Random) -> None:
        super().__init__(wanted, chance)
        options = wanted.options
        self.interval = options['report_interval'] or 10.0
        self.bound = options['service_down_time'] + 1
        self.rejoin = _RETURN + 2 * self.interval
        count = wanted.settings['cells']
        self.cells = [
            heartbeats.Cell(f'cell{number}' if count > 1 else None)
            for number in range(count)
        ]
        self._working: set[str] = set()
        self._unsettled = -1e9
        self._senders = [
            heartbeats.Sender(
                name,
                self._place_of(host),
                self.interval,
                options['service_down_time'],
            )
            for host, name in enumerate(self.names)
        ]
        for host, name in enumerate(self.names):
            age = 86400.0 if host in wanted.dead else 5.0
            self._place_of(host).last[name] = kernel.EPOCH - age

    def begin(self, conf: Any) -> None:
        """See world.Backend."""
        for host in range(len(self.names)):
            at = self.chance.uniform(0, self.interval)
            kernel.current().spawn(self._run, host, at=at)

    def cell(self, name: str | None) -> heartbeats.Cell:
        """Return a cell by its name."""
        return next(each for each in self.cells if each.name == name)

    def cell_of(self, host: int) -> str | None:
        """See world.Backend."""
        return self._place_of(host).name

    def _place_of(self, host: int) -> heartbeats.Cell:
        return self.cells[host % len(self.cells)]

    def _run(self, host: int) -> None:
        while True:
            due = kernel.monotonic() + self.interval
            if self.names[host] in self._working:
                self._senders[host].beat()
                self._check_gap(host)
            kernel.sleep(max(0.0, due - kernel.monotonic()))

    def _check_gap(self, host: int) -> None:
        """A heartbeat is written in time, whoever reads the queue.

        :raises Violation: one was not
        """
        gap, limit = self._place_of(host).gap, self.bound - 1
        if gap >= limit:
            raise oracle.Violation(
                f'{kernel.monotonic():.1f} s: one that lives had no heartbeat '
                f'written for {gap:.1f} s'
            )

    def prepare(self, driver: Any, asker: Any, known: Any) -> None:
        """See world.Backend."""
        driver.table = Table(self, known, asker.knows)
        if not asker.knows:
            # Those that write heartbeats may have another clock, too.
            others = {'set_back', 'future'}
            wrong = any(each.what in others for each in self.plan.faults)
            known.clock = asker.clock or float(wrong)

    def reference(self, host: int, asker: plan.Asker) -> Any:
        """See world.Backend."""
        name, cell = self.names[host], self._place_of(host)
        last = datetime.datetime.fromtimestamp(
            cell.last[name], datetime.timezone.utc
        )
        values = {
            **super().reference(host, asker),
            'uuid': heartbeats.number(name),
            'last_seen_up': last,
            'created_at': last,
        }
        # nova-scheduler's are plain, and tell no cell.
        return Record(values, cell.name) if asker.threads == 1 else values

    def start(self, host: int) -> None:
        """See world.Backend."""
        self._senders[host].start()
        self.go_on(host)

    def go_on(self, host: int) -> None:
        """See world.Backend."""
        self._senders[host].working = True
        self._working.add(self.names[host])
        cell = self._place_of(host)
        cell.able.pop(self.names[host], None)
        cell.beat(self.names[host])

    def stop(self, host: int, cleanly: bool) -> None:
        """See world.Backend."""
        self._senders[host].working = False
        self._working.discard(self.names[host])

    def fault(self, event: plan.Event) -> None:
        """See world.Backend."""
        cell = self.cells[event.where % len(self.cells)]
        getattr(self, f'_{event.what}')(cell, event.size)
        self._unsettled = kernel.monotonic() + self.rejoin

    def _stall(self, cell: heartbeats.Cell, seconds: float) -> None:
        """No heartbeat is written; then all come back by and by."""
        if kernel.monotonic() < cell.unread_until:
            return
        end = kernel.monotonic() + seconds
        for host in cell.last:
            cell.stalled_until[host] = end + self.chance.uniform(0, _RETURN)
        self._unsettled = end + self.rejoin
        kernel.sleep(seconds)

    def _unread(self, cell: heartbeats.Cell, seconds: float) -> None:
        """The collectors end, and their queue stays: nobody may notice.

        Unless Nova cannot write either.
        """
        if not self.is_disturbed():
            cell.unread_until = kernel.monotonic() + seconds
            kernel.sleep(seconds)

    def _away(self, cell: heartbeats.Cell, seconds: float) -> None:
        cell.away = kernel.monotonic() >= cell.unread_until
        kernel.sleep(seconds)
        cell.away = False

    def _slow(self, cell: heartbeats.Cell, seconds: float) -> None:
        cell.latency = self.chance.choice((0.3, 1.5, 3.0))
        kernel.sleep(seconds)
        cell.latency = 0.005

    def _fail(self, cell: heartbeats.Cell, seconds: float) -> None:
        cell.fails = True
        kernel.sleep(seconds)
        cell.fails = False

    def _set_back(self, cell: heartbeats.Cell, seconds: float) -> None:
        cell.ahead -= seconds
        self._unsettled = kernel.monotonic() + seconds + self.bound

    def _future(self, cell: heartbeats.Cell, seconds: float) -> None:
        """The last heartbeat of a host is from the future."""
        working = sorted(cell.last.keys() & self._working)
        if working:
            cell.last[self.chance.choice(working)] += seconds
        self._unsettled = kernel.monotonic() + self.bound

    def registered(self) -> set[str]:
        """See world.Backend: whose heartbeat was written not long ago."""
        limit = self.plan.options['service_down_time']
        return {
            name
            for host, name in enumerate(self.names)
            if name in self._working
            and self._place_of(host).age(name) <= limit
        }

    def is_well(self) -> bool:
        """See world.Backend."""
        limit = self.plan.options['read_timeout'] / 2
        return not any(
            each.away or each.fails or each.latency > limit
            for each in self.cells
        )

    def is_disturbed(self) -> bool:
        """See world.Backend.

        Where nobody reads the queue most heartbeats are late, if in time.
        """
        now = kernel.monotonic()
        unread = any(now <= each.unread_until for each in self.cells)
        return unread or now <= self._unsettled or not self.is_well()
