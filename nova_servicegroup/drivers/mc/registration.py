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

"""Registers a member: a key on every server, renewed at each heartbeat."""

import random
import time

from oslo_log import log as logging

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import provenance
from nova_servicegroup.drivers.mc import configuration
from nova_servicegroup.drivers.mc import storage
from nova_servicegroup import exceptions
from nova_servicegroup import fanout
from nova_servicegroup import reporter
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

Server = storage.Server

#: Seconds after which a member looks whether it is still on its group's list.
_LIST_INTERVAL = 60.0


class Registration:
    """One member of one group, for as long as its service runs."""

    def __init__(
        self, settings: configuration.Settings, host: str, group: str
    ) -> None:
        self._host = host
        self._group = group
        self._id = settings.keys.member(group, host)
        self._token = naming.token()
        self._origin = provenance.origin(settings.conf.servicegroup_driver)
        self._servers = settings.servers(self._id)
        self._beats = fanout.Fanout(self._servers)
        self._lists = fanout.Fanout(self._servers)
        self._wait = 2.0 * settings.conf.memcached.timeout
        self._survivors_ttl = 2 * int(settings.conf.report_interval)
        self._listed: dict[str, tuple[bytes | None, float]] = {}
        self._markers: dict[str, bytes | None] = {}
        self._shared = False
        self._leave_on_stop = settings.conf.servicegroup.leave_on_stop
        self.reporter = reporter.Reporter(
            f'Member {host} of group {group} (mc)', self._beat, self._leave
        )

    def start(self, service: services.Service) -> None:
        """Join, as far as it is possible at once, and go on beating."""
        self.reporter.run()
        self.reporter.start(
            service, service.report_interval, self._leave_on_stop
        )

    def stop(self) -> None:
        """Leave the group."""
        self.reporter.stop()

    def _beat(self) -> None:
        """Renew the member on every server; one that takes it is enough."""
        answers = self._beats.ask(
            'beat',
            lambda server: server.renew(self._id, self._token),
            self._wait,
        )
        tokens = {answer.tokens.get(self._id) for _, answer in answers}
        self._shared = bool(tokens - {None, self._token})
        for server, answer in answers:
            self._markers[server.name] = answer.marker
        self._enlist()

    def _enlist(self) -> None:
        """See to it that every server has the host on its list.

        Being on it is not being alive, so nobody waits for long.
        """
        if not any(self._is_due(server) for server in self._servers):
            return
        try:
            self._lists.ask('list', self._enlist_at, self._wait / 2)
        except exceptions.BackendError as error:
            LOG.debug('%s may not be listed yet: %s', self._host, error)

    def _is_due(self, server: storage.Server) -> bool:
        """Tell whether the host may not be on a server's list any more."""
        marker, due = self._listed.get(server.name, (None, 0.0))
        return (
            marker is None
            or marker != self._markers.get(server.name)
            or time.monotonic() >= due
        )

    def _enlist_at(self, server: storage.Server) -> None:
        if self._is_due(server):
            marker = self._markers.get(server.name)
            server.enlist(self._group, self._host, self._origin)
            due = time.monotonic() + random.uniform(0.5, 1) * _LIST_INTERVAL
            self._listed[server.name] = marker, due

    def _leave(self) -> None:
        """End the membership.

        Where another process of the host renewed it last, or before this
        one's last beat, it is left to that one, which renews it in time if it
        goes on.
        """
        token = b'' if self._shared else self._token
        try:
            self._beats.ask(
                'leave',
                lambda server: server.withdraw(
                    self._id, token, self._survivors_ttl
                ),
                self._wait,
            )
        finally:
            for server in self._servers:
                server.close()
