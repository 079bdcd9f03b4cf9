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
from nova_servicegroup.drivers.redis import configuration
from nova_servicegroup.drivers.redis import internals
from nova_servicegroup.drivers.redis import memory
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup import pace

_UNCONFIRMED = 'most Sentinels do not say that this is the server'


class Backend(roster_reader.Backend):
    """See roster_reader.Backend."""

    def __init__(self, settings: configuration.Settings) -> None:
        self._settings = settings
        super().__init__(settings.conf, settings.connection('reader'))

    def reader(self, group: str) -> 'GroupReader':
        """Return a new reader of a group."""
        return GroupReader(
            self._settings, self._connection, group, self._patience
        )

    def check(self) -> str:
        """Ask the server once; see base.Driver."""
        wait = float(self._settings.conf.servicegroup.read_timeout)
        deadline = requests.Deadline(wait)
        with self._connection.use(deadline) as connected:
            request = requests.Request(self._connection.backend)
            groups = request.ask(
                connected.coordinator,
                'groups',
                connected.coordinator.get_groups,
                deadline,
            )
        return f'{self._connection.backend} answers; {len(groups)} groups.'


class GroupReader(roster_reader.RosterReader):
    """Reads one group."""

    def __init__(
        self,
        settings: configuration.Settings,
        connection: connections.Connection,
        group: str,
        patience: pace.Patience,
    ) -> None:
        super().__init__(
            settings.conf,
            'redis',
            connection,
            group,
            settings.settle_time,
            patience,
        )
        # Where nobody waits, the next read fetches what this one asks: two
        # questions of one request would put each other off for ever.
        self._confirmation = requests.Request(connection.backend)
        self._memory = memory.Memory(
            settings.settle_time, float(opts.hold_time(settings.conf))
        )

    def _read(
        self, connected: connections.Connected, deadline: requests.Deadline
    ) -> evidence.Reading:
        """See RosterReader."""
        servers = internals.Group(connected, self._group)
        answer = self._request.ask(
            connected.coordinator,
            'get members',
            servers.read,
            deadline,
            max_age=pace.IDLE,
        )
        hosts = self._roster.take(answer.ids or frozenset())
        if self._memory.misses(hosts) and not self._confirmation.ask(
            connected.coordinator,
            'confirm',
            servers.confirm,
            deadline,
            max_age=pace.IDLE,
        ):
            raise exceptions.BackendError(
                self._connection.backend, _UNCONFIRMED
            )
        self._origins.look(connected, deadline)
        return self._memory.take(answer, hosts)
