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
import math
import random
import types
from typing import Any
import uuid

from nova_servicegroup import exceptions
from nova_servicegroup import services
from nova_servicegroup.tests.promises import kernel
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


class Cell:
    """One cell's database, and the way of the heartbeats to it.

    :ivar ahead: what its clock shows too much
    :ivar last: the time of each host's last heartbeat, by its clock
    :ivar written: when it was written
    :ivar stalled_until: until when no heartbeat of a host is written
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

    def clock(self) -> float:
        """Return its time."""
        return kernel.EPOCH + kernel.monotonic() + self.ahead

    def beat(self, host: str) -> bool:
        """Write a heartbeat; tell whether it was."""
        stalled = kernel.monotonic() < self.stalled_until.get(host, 0.0)
        if stalled or self.away:
            return False
        self.last[host] = float(int(self.clock()))
        self.written[host] = kernel.monotonic()
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
        rows = [(_number(host), host, at) for host, at in self.last.items()]
        return services.Heartbeats(self.clock(), rows)


def _number(host: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, host))


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
            Cell(f'cell{number}' if count > 1 else None)
            for number in range(count)
        ]
        self._working: set[str] = set()
        self._unsettled = -1e9
        for host, name in enumerate(self.names):
            age = 86400.0 if host in wanted.dead else 5.0
            self._place_of(host).last[name] = kernel.EPOCH - age

    def begin(self, conf: Any) -> None:
        """See world.Backend."""
        for host in range(len(self.names)):
            at = self.chance.uniform(0, self.interval)
            kernel.current().spawn(self._run, host, at=at)

    def cell(self, name: str | None) -> Cell:
        """Return a cell by its name."""
        return next(each for each in self.cells if each.name == name)

    def cell_of(self, host: int) -> str | None:
        """See world.Backend."""
        return self._place_of(host).name

    def _place_of(self, host: int) -> Cell:
        return self.cells[host % len(self.cells)]

    def _run(self, host: int) -> None:
        while True:
            if self.names[host] in self._working:
                self._place_of(host).beat(self.names[host])
            kernel.sleep(self.interval)

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
            'uuid': _number(name),
            'last_seen_up': last,
            'created_at': last,
        }
        # nova-scheduler's are plain, and tell no cell.
        return Record(values, cell.name) if asker.threads == 1 else values

    def start(self, host: int) -> None:
        """See world.Backend."""
        self._working.add(self.names[host])
        self._place_of(host).beat(self.names[host])

    def stop(self, host: int, cleanly: bool) -> None:
        """See world.Backend."""
        self._working.discard(self.names[host])

    def fault(self, event: plan.Event) -> None:
        """See world.Backend."""
        cell = self.cells[event.where % len(self.cells)]
        getattr(self, f'_{event.what}')(cell, event.size)
        self._unsettled = kernel.monotonic() + self.rejoin

    def _stall(self, cell: Cell, seconds: float) -> None:
        """No heartbeat is written; then all come back by and by."""
        end = kernel.monotonic() + seconds
        for host in cell.last:
            cell.stalled_until[host] = end + self.chance.uniform(0, _RETURN)
        self._unsettled = end + self.rejoin
        kernel.sleep(seconds)

    def _away(self, cell: Cell, seconds: float) -> None:
        cell.away = True
        kernel.sleep(seconds)
        cell.away = False

    def _slow(self, cell: Cell, seconds: float) -> None:
        cell.latency = self.chance.choice((0.3, 1.5, 3.0))
        kernel.sleep(seconds)
        cell.latency = 0.005

    def _fail(self, cell: Cell, seconds: float) -> None:
        cell.fails = True
        kernel.sleep(seconds)
        cell.fails = False

    def _set_back(self, cell: Cell, seconds: float) -> None:
        cell.ahead -= seconds
        self._unsettled = kernel.monotonic() + seconds + self.bound

    def _future(self, cell: Cell, seconds: float) -> None:
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
        """See world.Backend."""
        return kernel.monotonic() <= self._unsettled or not self.is_well()
