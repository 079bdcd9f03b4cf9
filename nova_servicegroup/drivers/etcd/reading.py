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
from nova_servicegroup.drivers.etcd import configuration
from nova_servicegroup.drivers.etcd import coordinator
from nova_servicegroup.drivers.etcd import members
from nova_servicegroup import evidence
from nova_servicegroup import pace


class Backend(roster_reader.Backend):
    """See roster_reader.Backend."""

    def __init__(self, settings: configuration.Settings) -> None:
        self._settings = settings
        super().__init__(
            settings.conf, coordinator.connection(settings, 'reader')
        )

    def reader(self, group: str) -> 'GroupReader':
        """Return a new reader of a group."""
        return GroupReader(
            self._settings, self._connection, group, self._patience
        )

    def check(self) -> str:
        """Ask the servers once; see base.Driver."""
        deadline = requests.Deadline(2 * self._settings.wait)
        with self._connection.use(deadline) as connected:
            asked = connected.coordinator.read(members.Group(b'\0'))
            asked.get(deadline.left())
        return f'{self._connection.backend} answers.'


class GroupReader(roster_reader.RosterReader):
    """Reads one group."""

    def __init__(
        self,
        settings: configuration.Settings,
        connection: connections.Connection,
        group: str,
        patience: pace.Patience,
    ) -> None:
        settle_time = 1.5 * settings.ttl
        super().__init__(
            settings.conf, 'etcd', connection, group, settle_time, patience
        )
        key = members.key(settings.namespace, self._group)
        self._members = members.Group(key)
        self._marker: str | None = None

    def _read(
        self, connected: connections.Connected, deadline: requests.Deadline
    ) -> evidence.Reading:
        """See RosterReader."""
        state = self._request.ask(
            connected.coordinator,
            'read',
            lambda: connected.coordinator.read(self._members),
            deadline,
            max_age=pace.IDLE,
        )
        present = self._roster.take(state.ids)
        known, self._marker = self._marker, state.marker
        if state.marker is None or known not in (None, state.marker):
            return evidence.Reading(present, evidence.EMPTIED, complete=False)
        self._origins.look(connected, deadline)
        if self._roster.rejoined:
            return evidence.Reading(present, evidence.REJOINED, complete=False)
        return evidence.Reading(present)
