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

from nova_servicegroup import api
from nova_servicegroup import reporter
from nova_servicegroup import services

#: The group of canaries.
GROUP = 'servicegroup-exporter'


class Canary(services.Unrecorded):
    """A service that does nothing but join.

    :param timers: where its beat runs
    """

    def __init__(
        self, servicegroup: api.API, host: str, timers: services.Timers
    ) -> None:
        interval = float(servicegroup.driver.conf.report_interval)
        super().__init__(host, GROUP, interval, timers)
        self._api = servicegroup

    def join(self) -> None:
        """Join; takes a few seconds while the backend is away."""
        self._api.join(self.host, GROUP, self)

    def counts(self) -> reporter.Counts | None:
        """Return how its beats fare; None: it has none."""
        found = self._api.driver.reporters().get((self.host, GROUP))
        return None if found is None else found.counts
