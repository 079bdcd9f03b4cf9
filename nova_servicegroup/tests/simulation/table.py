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

"""The services table, in several cells, as a driver reads it."""

from collections.abc import Callable
import datetime
import math
import types
from typing import Any

from nova_servicegroup import exceptions
from nova_servicegroup import services
from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import truth

BACKEND = 'services table'
_UTC = datetime.timezone.utc


class Record(dict[str, Any]):
    """A record that was read from a cell."""

    def __init__(self, values: dict[str, Any], cell: str | None) -> None:
        super().__init__(values)
        self._context = types.SimpleNamespace(cell_uuid=cell)


class Row:
    """One service's row.

    :ivar cell: that it is in
    :ivar beats: when each heartbeat was written, and the time that it has, in
        seconds since the epoch
    """

    def __init__(self, host: truth.Host, cell: 'Cell', topic: str) -> None:
        self.host = host
        self.cell = cell
        self.topic = topic
        self.beats: list[tuple[float, float]] = []
        self._made: dict[tuple[float | None, bool], Any] = {}

    def stamp(self, when: float) -> float | None:
        """Return the time of the heartbeat that the row had at a time."""
        for written, stamp in reversed(self.beats):
            if written <= when:
                return stamp
        return None

    def record(self, when: float, plain: bool) -> Any:
        """Return the record as somebody has read it at a time.

        :param plain: as a dict, which does not tell its cell
        """
        key = self.stamp(when), plain
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self._make(*key)
        return made

    def _make(self, stamp: float | None, plain: bool) -> Any:
        seen = None if stamp is None else _time(stamp)
        values = {
            'host': self.host.name,
            'uuid': f'uuid-{self.host.number}',
            'topic': self.topic,
            'binary': f'nova-{self.topic}',
            'last_seen_up': seen,
            'created_at': _time(kernel.EPOCH - 1e7),
            'updated_at': seen,
            'forced_down': False,
        }
        return values if plain else Record(values, self.cell.uuid)


def _time(stamp: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(stamp, _UTC).replace(tzinfo=None)


class Cell:
    """The database of one cell.

    :ivar offset: what its clock shows too much
    :ivar fails: whether reads fail
    :ivar away: whether heartbeats cannot be written
    :ivar latency: seconds that a read takes
    :ivar ready: when it is read without fail
    """

    def __init__(self, uuid: str | None) -> None:
        self.uuid = uuid
        self.offset = 0.0
        self.fails = False
        self.away = False
        self.latency = 0.003
        self.rows: list[Row] = []
        self.ready = truth.Timeline()
        self.ready.begin(0.0)

    def now(self) -> float:
        """Return the database's time in seconds since the epoch."""
        return kernel.EPOCH + kernel.now() + self.offset

    def write(self, row: Row, ahead: float | None) -> None:
        """Write a heartbeat.

        :param ahead: what the clock of a conductor shows too much, if that
            writes it
        """
        wall = kernel.EPOCH + kernel.now()
        stamp = self.now() if ahead is None else wall + ahead
        row.beats.append((kernel.now(), math.floor(stamp)))

    def leave(self, row: Row) -> None:
        """Write that a service has left."""
        row.beats.append((kernel.now(), services.LEFT))

    def read(self) -> float:
        """Take the time of a read; return when it holds.

        :raises BackendError: it fails
        """
        kernel.sleep(self.latency / 2)
        valid = kernel.now()
        kernel.sleep(self.latency / 2)
        if self.fails:
            raise exceptions.BackendError(BACKEND, 'the database is away')
        return valid


#: Told of a read: the cell, when it was issued, and for when it holds.
Taken = Callable[[Cell, float, float], None]


class Table:
    """What one process reads: see services.Table.

    :param access: whether it may
    """

    def __init__(self, cells: list[Cell], access: bool, taken: Taken) -> None:
        self._cells = cells
        self._access = access
        self._taken = taken

    def _check(self) -> None:
        if not self._access:
            raise exceptions.NoAccess(BACKEND, 'it is not for this process')

    def cells(self) -> list[str | None]:
        """See services.Table."""
        self._check()
        return [each.uuid for each in self._cells]

    def heartbeats(self, cell: str | None, group: str) -> Any:
        """See services.Table."""
        self._check()
        found = next(each for each in self._cells if each.uuid == cell)
        issued = kernel.now()
        valid = found.read()
        self._taken(found, issued, valid)
        rows = [
            (f'uuid-{row.host.number}', row.host.name, row.stamp(valid))
            for row in found.rows
        ]
        return services.Heartbeats(found.now() - (kernel.now() - valid), rows)

    def records(self, group: str) -> list[Any]:
        """See services.Table."""
        self._check()
        found: list[Any] = []
        away: list[str] = []
        for cell in self._cells:
            issued = kernel.now()
            try:
                valid = cell.read()
            except exceptions.BackendError:
                away.append(str(cell.uuid))
            else:
                self._taken(cell, issued, valid)
                found += [row.record(valid, False) for row in cell.rows]
        if away:
            # Some versions tell what they have read all the same.
            partial = getattr(exceptions, 'PartialRecords', None)
            if partial is None:
                raise exceptions.BackendError(BACKEND, 'a cell is away')
            raise partial(BACKEND, found, away)
        return found
