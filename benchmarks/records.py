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

"""Names of hosts, and Nova's records of their services."""

from collections.abc import Sequence
import time
from typing import Any
import uuid

from oslo_utils import timeutils

#: The cell of all records.
CELL = str(uuid.UUID(int=0))


def hosts(count: int, first: int = 0) -> list[str]:
    """Return names like those of real hosts."""
    return [
        f'compute-{number:06d}.example.org'
        for number in range(first, first + count)
    ]


def make(group: str, names: Sequence[str]) -> list[Any]:
    """Return records of hosts that are all up, in a process of Nova."""
    from nova import context
    from nova import objects

    admin = context.get_admin_context()
    # Nova sets it when it reads records from a cell.
    admin.cell_uuid = CELL
    return [
        objects.Service(
            admin,
            id=number,
            uuid=str(uuid.UUID(int=number)),
            host=host,
            topic=group,
            binary='nova-compute',
            report_count=1,
            disabled=False,
            disabled_reason=None,
            availability_zone='nova',
            forced_down=False,
            # Each record has times of its own, as from the database.
            created_at=timeutils.utcnow(True),
            updated_at=timeutils.utcnow(True),
            last_seen_up=timeutils.utcnow(True),
        )
        for number, host in enumerate(names, 1)
    ]


class Table:
    """The services table of one cell, in memory, as our db driver reads it.

    :param records: as make returns them
    """

    def __init__(self, records: Sequence[Any]) -> None:
        self._records = records

    def cells(self) -> list[str | None]:
        """See services.Table."""
        return [CELL]

    def heartbeats(self, cell: str | None, group: str) -> Any:
        """See services.Table."""
        from nova_servicegroup import services

        rows = [
            (each.uuid, each.host, each.last_seen_up.timestamp())
            for each in self._records
        ]
        return services.Heartbeats(time.time(), rows)

    def records(self, group: str) -> list[Any]:
        """See services.Table."""
        return list(self._records)


def give(api: Any, records: Sequence[Any]) -> None:
    """Let Nova's API with a driver of ours read these records."""
    api._driver._api.give_table(Table(records))


def read(names: Sequence[str]) -> list[Any]:
    """Return the records of hosts, read through nova-conductor.

    They are also saved through it, as in nova-compute.
    """
    from nova.conductor import rpcapi
    from nova import context
    from nova import objects
    from nova.objects import base

    base.NovaObject.indirection_api = rpcapi.ConductorAPI()
    admin = context.get_admin_context()
    found = objects.ServiceList.get_by_topic(admin, 'compute')
    by_host = {each.host: each for each in found}
    return [by_host[name] for name in names]
