# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""A member that shows whether services of this host can report."""

from collections.abc import Callable
from typing import Any

from nova_servicegroup import api
from nova_servicegroup import reporter
from nova_servicegroup import services

#: The group of canaries.
GROUP = 'servicegroup-exporter'


class Canary:
    """A service that does nothing but join; see services.Service.

    :param timers: where its beat runs
    """

    record_id = 0
    collects = False

    def __init__(
        self, servicegroup: api.API, host: str, timers: services.Timers
    ) -> None:
        conf = servicegroup.driver.conf
        self.host = host
        self.binary = f'nova-{GROUP}'
        self.report_interval = float(conf.report_interval)
        self.tg = timers
        self._api = servicegroup
        self._callbacks: list[Callable[[], None]] = []

    def join(self) -> None:
        """Join; takes a few seconds while the backend is away."""
        self._api.join(self.host, GROUP, self)

    def stop(self) -> None:
        """Leave, in bounded time."""
        while self._callbacks:
            self._callbacks.pop()()

    def counts(self) -> reporter.Counts | None:
        """Return how its beats fare; None: it has none."""
        found = self._api.driver.reporters().get((self.host, GROUP))
        return None if found is None else found.counts

    def on_stop(self, callback: Callable[[], None]) -> None:
        """See services.Service."""
        self._callbacks.append(callback)

    def save_heartbeat(self) -> None:
        """Nova knows no canary."""

    def note_heartbeat(self) -> None:
        """Nova knows no canary."""

    def engine(self) -> Any:
        """See services.Service."""
        return None

    def transport(self) -> Any:
        """See services.Service."""
        return None
