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

"""The readers of all cells and groups, in one process."""

import math
import time

from oslo_log import log as logging

from nova_servicegroup import background
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.db import reading
from nova_servicegroup import exceptions
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: Seconds for which the list of cells is used.
_CELLS_AGE = 60.0

#: A cell and a group.
Key = tuple[str | None, str]


class Readers(dict[Key, reading.TableReader]):
    """The readers of one process, each made at its first use."""

    def __init__(self, driver: base.Driver) -> None:
        super().__init__()
        self._driver = driver
        # The table may be set after the driver is made.
        self._reads_cells = background.OneAtATime(
            services.TABLE, lambda: driver.table.cells(), _CELLS_AGE
        )
        self._patience = base.make_patience(driver.conf)
        self._cells: list[str | None] = []
        self._cells_due = -math.inf
        self._no_access: exceptions.NoAccess | None = None
        self._by_uuid: dict[str | None, reading.TableReader] = {}

    def __missing__(self, key: Key) -> reading.TableReader:
        made = reading.TableReader(self._driver, *key, self._patience)
        return self.setdefault(key, made)

    def read_cells(self) -> None:
        """Read the list of cells once in a while; it hardly ever changes.

        :raises NoAccess: this process cannot read the table
        """
        if time.monotonic() >= self._cells_due:
            self._read_cells()
        if self._no_access is not None:
            raise self._no_access

    def _read_cells(self) -> None:
        wait = float(self._driver.conf.servicegroup.read_timeout)
        try:
            self._cells = self._reads_cells.ask(wait)
            self._no_access = None
        except exceptions.NoAccess as error:
            self._no_access = error
        except exceptions.BackendError as error:
            LOG.debug('The cells cannot be read: %s', error)
        self._cells_due = time.monotonic() + _CELLS_AGE

    def of_group(self, group: str) -> list[reading.TableReader]:
        """Return the reader of each cell.

        :raises BackendError: the cells are not known
        """
        if not self._cells:
            raise exceptions.BackendError(
                services.TABLE, 'the cells are not known'
            )
        return [self[cell, group] for cell in self._cells]

    def of_record(
        self, service_ref: services.ServiceRef, group: str
    ) -> list[reading.TableReader]:
        """Return the reader of a record's cell, or of all if it is unknown.

        nova-scheduler asks with plain dicts, which do not name the cell.

        :raises BackendError: the cells are not known
        """
        cell = services.cell_of(service_ref)
        if cell is not None:
            return [self[cell, group]]
        uuid = services.uuid_of(service_ref) or None
        if uuid not in self._by_uuid:
            for each in self.of_group(group):
                each.observer.refresh()
                self._by_uuid.update((row[0], each) for row in each.rows)
        found = self._by_uuid.get(uuid)
        return self.of_group(group) if found is None else [found]
