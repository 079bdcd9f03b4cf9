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

"""Reads Nova's services table, in every cell."""

from collections.abc import Mapping
from concurrent import futures
from typing import Any

from nova_servicegroup import background
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import process
from nova_servicegroup import services

_Records = list[services.ServiceRef]
_Reads = dict[str | None, background.OneAtATime[_Records]]

#: Seconds to wait for the records of a cell. All cells are read at once, and
#: this is less than base.RECORDS_WAIT.
_CELL_WAIT = 4.0
#: Seconds for which records that came too late are used by the next question.
_LATE_AGE = 60.0


class ServicesTable:
    """See services.Table. Reads each cell by itself, including cell0."""

    def __init__(self) -> None:
        self._mappings: dict[str, Any] = {}
        # A mute cell is not asked again: the next question waits for it.
        self._reads: process.PerProcess[_Reads] = process.PerProcess(dict)

    def cells(self) -> list[str | None]:
        """See services.Table. Reads them each time."""
        import nova.conf

        _check_access()
        if not nova.conf.CONF.api_database.connection:
            return [None]
        self._mappings = {each.uuid: each for each in cell_mappings()}
        return list(self._mappings)

    def heartbeats(self, cell: str | None, group: str) -> services.Heartbeats:
        """See services.Table. Reads the cells if this one is unknown."""
        _check_access()
        # Imported late: it imports oslo.messaging, which asks oslo.service for
        # its backend; our programs have to choose that first.
        from nova_servicegroup.drivers.db import store

        return store.Store(lambda: cell_engine(self._mapping(cell))).read(
            group
        )

    def records(self, group: str) -> _Records:
        """See services.Table.

        :raises PartialRecords: some cells did not answer, or all of several
            cells
        """
        _check_access()
        found: _Records = []
        failed: dict[str | None, exceptions.BackendError] = {}
        for cell, answer in self._read_all().items():
            if isinstance(answer, exceptions.BackendError):
                failed[cell] = answer
            else:
                found += [each for each in answer if _is_of(group, each)]
        if failed:
            raise _failure(found, failed)
        return found

    def _read_all(
        self,
    ) -> dict[str | None, _Records | exceptions.BackendError]:
        """Return all records of each cell, or why they cannot be read."""
        cells = self._known_cells()
        with futures.ThreadPoolExecutor(max(1, len(cells))) as pool:
            answers = pool.map(self._read_cell, cells)
            return dict(zip(cells, answers, strict=True))

    def _known_cells(self) -> list[str | None]:
        try:
            return self.cells()
        except exceptions.BackendError:
            if not self._mappings:
                raise
            return list(self._mappings)

    def _read_cell(
        self, cell: str | None
    ) -> _Records | exceptions.BackendError:
        one = self._reads.get().setdefault(
            cell,
            background.OneAtATime(
                services.TABLE, lambda: self._get_all(cell), _LATE_AGE
            ),
        )
        try:
            return one.ask(_CELL_WAIT)
        except exceptions.BackendError as error:
            return error

    def _get_all(self, cell: str | None) -> _Records:
        from nova import objects

        try:
            context = _context(self._mapping(cell))
            return list(objects.ServiceList.get_all(context))
        except exceptions.BackendError:
            raise
        except Exception as error:
            raise exceptions.BackendError(
                services.TABLE, exceptions.first_line(error)
            ) from error

    def _mapping(self, cell: str | None) -> Any:
        """Return Nova's mapping of a cell; None: there is only one."""
        if cell is None:
            return None
        if cell not in self._mappings:
            self.cells()
        if cell not in self._mappings:
            raise exceptions.BackendError(
                services.TABLE, f'there is no cell {cell}'
            )
        return self._mappings[cell]


def is_indirect() -> bool:
    """Return whether this service uses the database through nova-conductor."""
    from nova.objects import base

    return base.NovaObject.indirection_api is not None


def cell_mappings() -> list[Any]:
    """Return Nova's mapping of each cell, cell0 among them.

    :raises BackendError: they cannot be read
    """
    from nova import context
    from nova import objects

    try:
        return list(
            objects.CellMappingList.get_all(context.get_admin_context())
        )
    except Exception as error:
        raise exceptions.BackendError(
            'API database', exceptions.first_line(error)
        ) from error


def cell_engine(cell: Any) -> Any:
    """Return the SQLAlchemy engine of a cell's database.

    :param cell: Nova's mapping; None: the only one
    """
    from nova.db.main import api as main_db

    return main_db.get_engine(context=_context(cell))


def _context(cell: Any) -> Any:
    """Return a context with which Nova uses the database of a cell."""
    from nova import context

    admin = context.get_admin_context()
    if cell is None:
        return admin
    with context.target_cell(admin, cell) as targeted:
        return targeted


def _check_access() -> None:
    if is_indirect():
        raise exceptions.NoAccess(
            services.TABLE, 'this service has no access to the database'
        )


def _is_of(group: str, record: services.ServiceRef) -> bool:
    """Return whether a record is that of a member of a group."""
    try:
        named = isinstance(record['host'], str)
        return named and base.group_of(record) == group
    except Exception:
        # The record has neither a topic nor a binary.
        return False


def _failure(
    found: _Records, failed: Mapping[str | None, exceptions.BackendError]
) -> exceptions.BackendError:
    if None in failed:
        return failed[None]
    reasons = {str(cell): error.reason for cell, error in failed.items()}
    return exceptions.PartialRecords(
        services.TABLE,
        found,
        list(reasons),
        '; '.join(f'cell {cell}: {why}' for cell, why in reasons.items()),
    )
