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

"""Reads groups whose backend tells all member ids at once."""

import abc
import time

from oslo_config import cfg

from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import coordinated
from nova_servicegroup.drivers.common import duplicates
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import origins
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import roster
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import pace

#: Seconds between two questions when the first was answered by an error.
_RETRY = 0.05


class Backend(abc.ABC):
    """The reading side of one process: one connection, all groups."""

    def __init__(
        self, conf: cfg.ConfigOpts, connection: connections.Connection
    ) -> None:
        self._connection = connection
        self._patience = base.make_patience(conf)

    @abc.abstractmethod
    def reader(self, group: str) -> 'RosterReader':
        """Return a new reader of a group."""

    @abc.abstractmethod
    def check(self) -> str:
        """Ask the servers once; see base.Driver."""

    def close(self) -> None:
        """See base.Driver."""
        self._connection.close(wait=1.0)


class RosterReader(coordinated.GroupReader):
    """Reads one group through a connection that all groups share.

    :param driver: its name, for the log
    :param settle_time: see membership.Membership
    :param patience: see base.observe
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        driver: str,
        connection: connections.Connection,
        group: str,
        settle_time: float,
        patience: pace.Patience,
    ) -> None:
        name = f'Group {group} ({driver})'
        super().__init__(conf, name, settle_time, patience)
        self._name = group
        self._group = naming.escape(group).encode('ascii')
        self._connection = connection
        self._request = requests.Request(connection.backend)
        self._roster = roster.Roster(group)
        self._origins = origins.Origins(
            self._group,
            connection,
            duplicates.Duplicates(group, self._roster, settle_time),
            conf.servicegroup.read_timeout,
        )

    def name(self, host: str) -> str:
        """See observer.Source."""
        return self._roster.name(host)

    def view(self, detailed: base.Detailed) -> base.View:
        """See base.Driver."""
        self.observer.refresh()
        if self.observer.error is None:
            self._origins.learn(detailed)
        incarnations = self._origins.duplicates.incarnations
        return base.view_of(self.observer, self._name, incarnations)

    def read(self, wait: float) -> evidence.Reading:
        """See observer.Source."""
        deadline = requests.Deadline(wait)
        first: exceptions.BackendError | None = None
        while True:
            try:
                with self._connection.use(deadline) as connected:
                    return self._read(connected, deadline)
            except exceptions.BackendTimeout as error:
                raise first or error from None
            except exceptions.BackendError as error:
                # A connection that was lost fails what is asked until the
                # client has another one.
                first = first or error
                if deadline.left() < _RETRY:
                    raise
            time.sleep(_RETRY)

    @abc.abstractmethod
    def _read(
        self, connected: connections.Connected, deadline: requests.Deadline
    ) -> evidence.Reading:
        """Ask for the members once.

        :raises tooz.ToozError: the answer
        """
