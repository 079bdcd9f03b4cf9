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

import socket
import threading

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service

from nova_servicegroup import api
from nova_servicegroup import exceptions
from nova_servicegroup.exporter import canary
from nova_servicegroup.exporter import metrics
from nova_servicegroup.exporter import server
from nova_servicegroup.exporter import watch

LOG = logging.getLogger(__name__)

#: Seconds that the end may take.
_FAREWELL = 1.5


class Exporter(service.Service):  # type: ignore[misc]
    """Looks at groups, each on a timer of its own, and serves what it saw.

    A scrape asks no backend.

    :raises ConfigurationError: an option cannot be used
    """

    def __init__(self, servicegroup: api.API) -> None:
        super().__init__()
        conf = servicegroup.driver.conf
        self._conf = conf
        self._api = servicegroup
        self._metrics = metrics.Metrics(conf.servicegroup_driver)
        self._watches = [
            watch.Watch(servicegroup, group, self._metrics)
            for group in _groups(conf)
        ]
        if conf.servicegroup_exporter.per_host:
            self._metrics.registry.register(
                metrics.HostMetrics(
                    lambda: [(each.group, each.seen) for each in self._watches]
                )
            )
        self._canary = self._make_canary()

    def serve(self) -> None:
        """Serve the metrics from now on.

        :raises OSError: the port is taken, or a file cannot be read
        """
        server.start(self._conf, self._metrics.registry)

    def start(self) -> None:
        """Look at the groups from now on, and join."""
        super().start()
        for each in self._watches:
            self._watch(each)
        if self._canary is not None:
            self.tg.add_thread(self._canary.join)

    def stop(self, graceful: bool = False) -> None:
        """Leave and end all connections, in bounded time."""
        super().stop(graceful)
        farewell = threading.Thread(target=self._leave, daemon=True)
        farewell.start()
        farewell.join(_FAREWELL)

    def _leave(self) -> None:
        if self._canary is not None:
            self._canary.stop()
        self._api.close()

    def _watch(self, watched: watch.Watch) -> None:
        interval = self._conf.servicegroup.refresh_interval

        def look() -> float:
            try:
                watched.look()
            except Exception:
                LOG.exception('Unexpected error at group %s', watched.group)
            return float(interval)

        # A fixed timer would come a moment before the next read is due, and
        # see the last one again.
        self.tg.add_dynamic_timer_args(look)

    def _make_canary(self) -> canary.Canary | None:
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
        host = conf.host if 'host' in conf else socket.gethostname()
        made = canary.Canary(self._api, host, self.tg)
        self._metrics.registry.register(metrics.CanaryMetrics(made.counts))
        return made


def _groups(conf: cfg.ConfigOpts) -> list[str]:
    groups = list(dict.fromkeys(conf.servicegroup_exporter.groups))
    if not groups or not all(groups):
        raise exceptions.ConfigurationError(
            '[servicegroup_exporter] groups',
            conf.servicegroup_exporter.groups,
            'names of groups, separated by commas',
        )
    return groups
