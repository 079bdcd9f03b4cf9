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

"""Reads the members of a group."""

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import roster_reader
from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup import evidence
from nova_servicegroup import opts
from nova_servicegroup import pace

coordination = requests.try_import('tooz.coordination')


class Backend(roster_reader.Backend):
    """See roster_reader.Backend."""

    def __init__(self, settings: kazoo_client.Settings) -> None:
        self._settings = settings
        connection = settings.connection(
            'reader',
            requests.max_idle(settings.session_timeout),
            # Who is held must not be down before another one is tried.
            min(
                2.5,
                opts.hold_time(settings.conf) / settings.session_timeout / 2,
            ),
        )
        super().__init__(settings.conf, connection)

    def reader(self, group: str) -> 'GroupReader':
        """Return a new reader of a group."""
        return GroupReader(
            self._settings, self._connection, group, self._patience
        )

    def check(self) -> str:
        """Ask the servers once; see base.Driver."""
        wait = float(self._settings.session_timeout + 1)
        deadline = requests.Deadline(wait)
        with self._connection.use(deadline) as connected:
            groups = connected.coordinator.get_groups().get(deadline.left())
        return f'{self._connection.backend} answers; {len(groups)} groups.'


class GroupReader(roster_reader.RosterReader):
    """Reads one group."""

    def __init__(
        self,
        settings: kazoo_client.Settings,
        connection: connections.Connection,
        group: str,
        patience: pace.Patience,
    ) -> None:
        settle_time = 1.5 * settings.session_timeout
        super().__init__(
            settings.conf, 'zk', connection, group, settle_time, patience
        )

    def _read(
        self, connected: connections.Connected, deadline: requests.Deadline
    ) -> evidence.Reading:
        """See RosterReader."""
        coordinator = connected.coordinator
        try:
            ids = self._request.ask(
                coordinator,
                'get members',
                lambda: coordinator.get_members(self._group),
                deadline,
                max_age=pace.IDLE,
            )
        except coordination.GroupNotCreated:
            gone = self._roster.take(frozenset())
            return evidence.Reading(gone, evidence.EMPTIED, complete=False)
        present = self._roster.take(ids)
        self._origins.look(connected, deadline)
        if self._roster.rejoined:
            return evidence.Reading(present, evidence.REJOINED, complete=False)
        return evidence.Reading(present)
