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

"""The exporter as a service of oslo.service."""

from collections.abc import Iterator
import threading

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service
from prometheus_client import core
from prometheus_client import registry

from nova_servicegroup import api
from nova_servicegroup import exceptions
from nova_servicegroup.exporter import metrics
from nova_servicegroup.exporter import page
from nova_servicegroup.exporter import server
from nova_servicegroup.exporter import watch
from nova_servicegroup import services
from nova_servicegroup.web import pages
from nova_servicegroup.web import probes

LOG = logging.getLogger(__name__)

#: The group of canaries.
GROUP = 'servicegroup-exporter'

#: Seconds that leaving and closing connections may take.
_STOP_TIMEOUT = 1.5

#: The counters of a canary: name, help, and field of reporter.Counts.
_COUNTERS = (
    ('beats', 'Heartbeats of the canary.', 'beats'),
    ('beat_failures', 'Heartbeats of the canary that failed.', 'failures'),
    ('lost', 'Times that the canary lost contact with the backend.', 'lost'),
    (
        'recovered',
        'Times that the canary regained contact with the backend.',
        'recovered',
    ),
)


class Canary(services.Unrecorded, registry.Collector):
    """A service that does nothing but join, with metrics of its heartbeats.

    It shows whether services of this host can report.

    :param timers: the thread group that runs its heartbeat
    """

    def __init__(
        self, servicegroup: api.API, host: str, timers: services.Timers
    ) -> None:
        interval = float(servicegroup.driver.conf.report_interval)
        super().__init__(host, GROUP, interval, timers)
        self._api = servicegroup

    def join(self) -> None:
        """Join; takes a few seconds while the backend does not answer."""
        self._api.join(self.host, GROUP, self)

    def collect(self) -> Iterator[core.Metric]:
        """Yield the metrics; none before it has joined."""
        reporter = self._api.driver.reporters().get((self.host, GROUP))
        if reporter is None:
            return
        prefix = f'{metrics.PREFIX}_canary'
        for name, text, field in _COUNTERS:
            value = getattr(reporter.counts, field)
            yield core.CounterMetricFamily(f'{prefix}_{name}', text, value)
        yield core.GaugeMetricFamily(
            f'{prefix}_last_success_timestamp_seconds',
            'When a heartbeat of the canary succeeded last, in seconds since '
            'the epoch; 0: none has.',
            reporter.counts.last_success or 0.0,
        )


class Exporter(service.Service):  # type: ignore[misc]
    """The service that reads each group on a timer and serves its metrics.

    A scrape does not ask the backend.

    :raises ConfigurationError: an option cannot be used
    """

    def __init__(self, servicegroup: api.API) -> None:
        super().__init__()
        conf = servicegroup.driver.conf
        self._conf = conf
        self._api = servicegroup
        self._metrics = metrics.Metrics(conf.servicegroup_driver)
        self._watches = [
            watch.GroupWatch(servicegroup, group, self._metrics)
            for group in _groups(conf)
        ]
        if conf.servicegroup_exporter.per_host:
            self._metrics.registry.register(watch.HostMetrics(self._watches))
        self._canary = self._make_canary()

    def serve(self) -> None:
        """Start to serve the pages.

        :raises ConfigurationError: TLS is configured in part
        :raises OSError: the port is taken, or a file cannot be read
        """
        server.start(self._conf, self.pages())

    def pages(self) -> dict[str, pages.Page]:
        """Return what is served, by path."""
        served = {
            server.METRICS: server.MetricsPage(self._metrics.registry),
            **probes.both(self.parts()),
        }
        if self._conf.servicegroup_exporter.status_page:
            served.update(page.all_of(self._conf, self._watches))
        return served

    def parts(self) -> list[probes.Probed]:
        """Return what is probed: the readings of each group."""
        return [each.health for each in self._watches]

    def start(self) -> None:
        """Start to read the groups, and make the canary join."""
        super().start()
        for each in self._watches:
            self._watch(each)
        if self._canary is not None:
            self.tg.add_thread(self._canary.join)

    def stop(self, graceful: bool = False) -> None:
        """Leave and close all connections, in bounded time."""
        super().stop(graceful)
        leaving = threading.Thread(target=self._leave, daemon=True)
        leaving.start()
        leaving.join(_STOP_TIMEOUT)

    def _leave(self) -> None:
        if self._canary is not None:
            self._canary.stop()
        self._api.close()

    def _watch(self, watched: watch.GroupWatch) -> None:
        interval = float(self._conf.servicegroup.refresh_interval)

        def poll() -> float:
            try:
                watched.poll()
            except Exception:
                LOG.exception('Unexpected error at group %s', watched.group)
            return interval

        # A fixed timer would fire a moment before the next read is due, and
        # get the last result again.
        self.tg.add_dynamic_timer_args(poll)

    def _make_canary(self) -> Canary | None:
        conf = self._conf
        if not conf.servicegroup_exporter.canary or not conf.report_interval:
            return None
        if self._api.driver.needs_record:
            LOG.info(
                'There is no canary: members of the %s driver need a record '
                "in Nova's services table.",
                conf.servicegroup_driver,
            )
            return None
        canary = Canary(self._api, conf.host, self.tg)
        self._metrics.registry.register(canary)
        return canary


def _groups(conf: cfg.ConfigOpts) -> list[str]:
    groups = list(dict.fromkeys(conf.servicegroup_exporter.groups))
    if not groups or not all(groups):
        raise exceptions.ConfigurationError(
            '[servicegroup_exporter] groups',
            conf.servicegroup_exporter.groups,
            'names of groups, separated by commas',
        )
    return groups
