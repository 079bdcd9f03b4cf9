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

"""The monitor service: watches groups, takes part in the election, sends."""

from collections.abc import Mapping
import threading
import time

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup import api
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import peers
from nova_servicegroup import exceptions
from nova_servicegroup.monitor import election
from nova_servicegroup.monitor import loop
from nova_servicegroup.monitor import outbox
from nova_servicegroup.monitor import role
from nova_servicegroup.monitor import sender
from nova_servicegroup.watch import health
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher
from nova_servicegroup.web import probes
from nova_servicegroup.web import server

LOG = logging.getLogger(__name__)


class WatchLoop(loop.Loop):
    """The thread that watches one group and fills the outbox.

    :ivar health: how its readings go
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        watched: watcher.Watcher,
        outbox: outbox.Outbox,
    ) -> None:
        super().__init__('watch', conf.servicegroup.refresh_interval)
        self._watcher = watched
        self._group = watched.group
        self._outbox = outbox
        self._begun = False
        self._outage = loop.Outage()
        self.health = health.Health(conf, watched.group)

    def work(self) -> None:
        """Read the group once and put its transitions into the outbox."""
        with self.health.reading():
            changes = self._watcher.poll()
        seen = self._watcher.last
        if seen is None:
            return
        self.health.update(seen.view)
        if self._begun:
            self._outbox.add(changes)
            self._outbox.forget(self._group, seen.entries)
        elif seen.view.age is not None:
            # Until the backend has answered once, members are only presumed
            # up. One that turns out to be down has made no transition.
            self._begin(seen.entries)
        self._log_records(seen.unregistered)

    def _begin(self, entries: Mapping[str, inventory.Entry]) -> None:
        self._begun = True
        self._outbox.begin(
            self._group,
            {host: each.state for host, each in entries.items()},
            {
                host: each.condition
                for host, each in entries.items()
                if each.condition is not None
            },
            {
                host: each.evidence
                for host, each in entries.items()
                if each.evidence is not None
            },
        )
        LOG.info('Watching group %s: %d services.', self._group, len(entries))

    def _log_records(self, error: exceptions.BackendError | None) -> None:
        """Log once when reading Nova's records fails, and when it recovers."""
        if error is None:
            if self._outage.over() is not None:
                LOG.info('Group %s: its records can be read.', self._group)
        elif self._outage.failed():
            LOG.warning(
                'Group %s: the services table cannot be read (%s). '
                'Registered and forced-down services are unknown.',
                self._group,
                error,
            )


#: By how much one monitor may see a transition later than another: so many
#: refresh intervals, and at least so many seconds.
_SLACK_INTERVALS = 3
_SLACK = 5.0

#: Seconds that a clean stop may take to send what is waiting, and then to
#: leave the group of monitors.
_FLUSH = 2.0
_LEAVE = 1.0


class Monitor:
    """The monitor as a service of oslo.service.

    :raises ServiceGroupError: an option has a value that cannot be used
    """

    def __init__(self, conf: cfg.ConfigOpts, servicegroup: api.API) -> None:
        _check_list(conf, 'groups', 'the names of groups')
        _check_list(conf, 'topics', 'the names of topics')
        self._api = servicegroup
        self._outbox = outbox.Outbox()
        host = conf.host
        self._election = _election(
            conf, servicegroup.driver, self._outbox, host
        )
        self._announcer = sender.Announcer(
            self._outbox,
            self._election,
            sender.Sender(conf, f'nova-servicegroup-monitor:{host}'),
        )
        self._watches = [
            WatchLoop(conf, watcher.Watcher(servicegroup, group), self._outbox)
            for group in conf.servicegroup_monitor.groups
        ]
        options = conf.servicegroup_monitor
        self._listen = options.health_port, options.health_listen

    def serve(self) -> None:
        """Start to serve the pages for orchestrators, if a port is set.

        :raises OSError: the port is taken, or the address is not of this
            machine
        """
        port, host = self._listen
        if port is None:
            return
        port = server.start(host, port, probes.both(self.parts()))
        LOG.info('Serving %s', server.url(host, port, probes.READY))

    def parts(self) -> list[probes.Probed]:
        """Return what is probed: the readings of each group, the election."""
        readings = [each.health for each in self._watches]
        return [*readings, role.Role(self._election)]

    def start(self) -> None:
        """Start all threads."""
        for each in (*self._watches, self._election, self._announcer):
            each.start()

    def stop(self, graceful: bool = False) -> None:
        """Send what is waiting, then leave, both in bounded time."""
        end = time.monotonic() + _FLUSH
        for each in self._watches:
            each.stop(0.0)
        while (
            self._election.leads()
            and not self._outbox.is_empty()
            and time.monotonic() < end
        ):
            time.sleep(0.02)
        self._announcer.stop(max(0.0, end - time.monotonic()))
        self._election.stop(0.0)
        closing = threading.Thread(target=self._api.close, daemon=True)
        closing.start()
        self._election.leave(_LEAVE)
        closing.join(_LEAVE)

    def wait(self) -> None:
        """Do nothing: stop returns when all has stopped."""

    def reset(self) -> None:
        """Do nothing: a monitor must be restarted to read its options."""


def _check_list(conf: cfg.ConfigOpts, name: str, accepted: str) -> None:
    values = conf.servicegroup_monitor[name]
    if not values or not all(values):
        raise exceptions.ConfigurationError(
            f'[servicegroup_monitor] {name}', ','.join(values), accepted
        )


def _election(
    conf: cfg.ConfigOpts, driver: base.Driver, outbox: outbox.Outbox, host: str
) -> election.SoleMonitor:
    url = conf.servicegroup_monitor.backend_url
    peer_group = (
        peers.by_url(conf, url, election.GROUP, host)
        if url
        else driver.peer_group(election.GROUP, host)
    )
    if peer_group is not None:
        interval = conf.servicegroup.refresh_interval
        slack = max(_SLACK, _SLACK_INTERVALS * interval)
        return election.Election(outbox, peer_group, slack)
    LOG.warning(
        'This monitor must be the only one: a second one would repeat every '
        'notification. Set [servicegroup_monitor] backend_url to have '
        'several.'
    )
    return election.SoleMonitor(outbox)
