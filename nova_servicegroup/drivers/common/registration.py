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

"""Registers a member through a connection of its own."""

import abc
from collections.abc import Callable
import functools
from typing import Any, Protocol

from oslo_config import cfg

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup import reporter
from nova_servicegroup import services

#: Seconds between two beats while they fail.
_RETRY_INTERVAL = 0.5


class Ask(Protocol):
    """Asks the coordinator, as requests.Request does, until a deadline."""

    def __call__(
        self, name: str, issue: Callable[[], Any], collect: bool = True
    ) -> Any:
        """See requests.Request."""


class Registration(abc.ABC):
    """One member of one group, for as long as its service runs.

    :param driver: its name, for the log
    :param expiry: a member that is silent for so long may be gone (seconds)
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        driver: str,
        connection: connections.Connection,
        host: str,
        group: str,
        expiry: float,
    ) -> None:
        self._leave_on_stop = conf.servicegroup.leave_on_stop
        self._group = naming.escape(group).encode('ascii')
        self._connection = connection
        self._request = requests.Request(connection.backend)
        self._wait = float(conf.servicegroup.read_timeout)
        self._longest = expiry / 3
        self._reads = conf.servicegroup_driver
        name = f'Member {host} of group {group} ({driver})'
        self.reporter = reporter.Reporter(name, self._beat, self._leave)

    def start(self, service: services.Service) -> None:
        """Join, as far as it is possible at once, and go on beating."""
        interval = min(float(service.report_interval), self._longest)
        self._wait = min(self._wait, interval / 2)
        self.reporter.run()
        self.reporter.start(
            service, interval, self._leave_on_stop, _RETRY_INTERVAL
        )

    def stop(self) -> None:
        """Leave the group."""
        self.reporter.stop()

    def _leave(self) -> None:
        self._connection.close(wait=1.0)

    def _beat(self) -> None:
        deadline = requests.Deadline(self._wait)
        with self._connection.use(deadline) as connected:
            ask = functools.partial(
                self._request.ask, connected.coordinator, deadline=deadline
            )
            self._keep(connected, ask)

    @abc.abstractmethod
    def _keep(self, connected: connections.Connected, ask: Ask) -> None:
        """Verify the membership, and restore it where it is gone.

        :raises BackendError: it could not be restored
        :raises tooz.ToozError: the answer
        """
