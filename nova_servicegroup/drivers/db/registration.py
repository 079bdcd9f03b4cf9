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


"""How a service has its heartbeats written: by the shortest way that works."""

from oslo_log import log as logging

from nova_servicegroup import background
from nova_servicegroup.drivers.db import collector
from nova_servicegroup.drivers.db import leaving
from nova_servicegroup.drivers.db import routes
from nova_servicegroup import reporter
from nova_servicegroup import services

LOG = logging.getLogger(__name__)


class Registration:
    """One member of one group, for as long as its service runs.

    :param down_time: seconds without a heartbeat after which it is down
    :param processes: the workers of its service; None: it has no others
    :param leave_on_stop: leave when the service stops
    """

    def __init__(
        self,
        host: str,
        group: str,
        service: services.Service,
        down_time: float,
        processes: leaving.Workers | None = None,
        leave_on_stop: bool = True,
    ) -> None:
        self.name = f'Member {host} of group {group} (db)'
        self._service = service
        self._leave_on_stop = leave_on_stop
        route = routes.choose(service, self.name, down_time)
        self._departure = leaving.Departure(
            self.name, (host, group), route, processes
        )
        # A heartbeat that hangs is not repeated, only awaited.
        self._beats = background.OneAtATime(
            self.name, route.beat, waits_again=True
        )
        self.reporter = reporter.Reporter(
            self.name, self._beat, self._departure.leave
        )
        self._host = host
        self._collector: collector.Collector | None = None

    def start(self) -> None:
        """Beat on the service's timer; in a conductor, also collect."""
        self._departure.enter()
        self.reporter.start(
            self._service, self._service.report_interval, self._leave_on_stop
        )
        self._collect()

    def _collect(self) -> None:
        """Make and start a collector, in a conductor.

        The service is more important than that.
        """
        try:
            self._collector = collector.make(self._service, self._host)
            if self._collector is not None:
                self._service.on_stop(self._collector.stop)
                self._collector.start()
        except Exception:
            LOG.exception(
                '%s: its collector does not start. Services without access '
                'to the database have nova-conductor write their heartbeats.',
                self.name,
            )

    def stop(self) -> None:
        """Leave, and beat no more."""
        self.reporter.stop()
        if self._collector is not None:
            self._collector.stop()

    def _beat(self) -> float | None:
        return self._beats.ask(0.8 * self._service.report_interval)
