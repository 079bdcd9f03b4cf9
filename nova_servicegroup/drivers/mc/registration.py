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

from collections.abc import Mapping, Sequence
import random
import time

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import provenance
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.mc import configuration
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.drivers.mc import storage
from nova_servicegroup import exceptions
from nova_servicegroup import fanout
from nova_servicegroup import heartbeat
from nova_servicegroup import reporter
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: Seconds after which a member checks whether it is still listed.
_LIST_INTERVAL = 240.0


class Registration(heartbeat.Renewable):
    """The registration of one host in one group, while its service runs."""

    def __init__(
        self, settings: configuration.Settings, host: str, group: str
    ) -> None:
        self._conf = conf = settings.conf
        self._id = settings.keys.member(group, host)
        self._value = self._encode(naming.token(), None)
        self._servers = servers = settings.servers(self._id)
        self._beats = fanout.Fanout(servers)
        self._listing = _Listing(servers, conf, host, group)
        # Whether another process of the host renews the member, too.
        self._shared = False
        self.reporter = reporter.Reporter(
            f'Member {host} of group {group} (mc)', self
        )

    def start(self, service: services.Service) -> None:
        """Join, as far as possible at once, and start the heartbeats."""
        self.reporter.run()
        self.reporter.start(
            service,
            service.report_interval,
            self._conf.servicegroup.leave_on_stop,
        )

    def stop(self) -> None:
        """Leave the group."""
        self.reporter.stop()

    def mark(self, mark: str | None) -> None:
        """See coordinated.Registration."""
        shared = self._shared
        self._value = self._encode(self._token, mark)
        self.reporter.beat_now()
        # This may have replaced the value of another process.
        self._shared |= shared

    def _encode(self, token: bytes, mark: str | None) -> bytes:
        domain = self._conf.servicegroup.domain
        return keyspace.encode_value(token, mark, domain)

    @property
    def _token(self) -> bytes:
        """The token of this process."""
        return keyspace.token_of(self._value)

    @property
    def _wait(self) -> float:
        """Seconds that the servers may take together."""
        return 2.0 * float(self._conf.memcached.timeout)

    def beat(self) -> None:
        """Renew the member on every server; one that confirms is enough."""
        deadline = requests.Deadline(self._wait)
        answers = self._touch() or self._beats.ask(
            'beat',
            lambda server: server.renew(self._id, self._value),
            deadline.left(),
        )
        tokens = {
            keyspace.token_of(answer.values[self._id])
            for _, answer in answers
            if self._id in answer.values
        }
        self._shared = bool(tokens - {self._token})
        self._listing.keep(
            {server.name: answer.marker for server, answer in answers},
            self._wait / 2,
        )

    def _touch(self) -> list[tuple[storage.Server, storage.ServerState]]:
        """Renew the member on a single server, where one command is enough.

        Threads cost more than the command. Several servers need threads, so
        as not to wait for each other.
        """
        if len(self._servers) > 1:
            return []
        [server] = self._servers
        begun = time.monotonic()
        answer = server.touch(self._id, self._value)
        if answer is None:
            return []
        self.proved_at = begun
        return [(server, answer)]

    def leave(self) -> None:
        """End the membership.

        If another process of the host renewed it last, or just before this
        one, the membership is left to that process, which renews it in time
        if it goes on.
        """
        try:
            self._beats.ask('leave', self._leave_server, self._wait)
        finally:
            for server in self._servers:
                server.close()

    def _leave_server(self, server: storage.Server) -> None:
        token = b'' if self._shared else self._token
        server.leave(self._id, token, 2 * int(self._conf.report_interval))


class _Listing:
    """Keeps a host on its group's list on every server.

    The list does not say that a host is alive, so the waits are short.
    """

    def __init__(
        self,
        servers: Sequence[storage.Server],
        conf: cfg.ConfigOpts,
        host: str,
        group: str,
    ) -> None:
        self._servers = servers
        self._fanout = fanout.Fanout(servers)
        self._host = host
        self._group = group
        self._origin = provenance.origin(conf.servicegroup_driver)
        # The marker of each server when the host was last listed there, and
        # when to check that again.
        self._listed: dict[str, tuple[bytes | None, float]] = {}
        self._markers: dict[str, bytes | None] = {}

    def keep(self, markers: Mapping[str, bytes | None], wait: float) -> None:
        """List the host where it may not be listed any more.

        :param markers: of the servers that answered, by name
        """
        self._markers.update(markers)
        if not any(map(self._is_due, self._servers)):
            return
        try:
            self._fanout.ask('list', self._add, wait)
        except exceptions.BackendError as error:
            LOG.debug('%s may not be listed yet: %s', self._host, error)

    def _is_due(self, server: storage.Server) -> bool:
        marker, due = self._listed.get(server.name, (None, 0.0))
        return (
            marker is None
            or marker != self._markers.get(server.name)
            or time.monotonic() >= due
        )

    def _add(self, server: storage.Server) -> None:
        if self._is_due(server):
            marker = self._markers.get(server.name)
            server.add_to_list(self._group, self._host, self._origin)
            due = time.monotonic() + random.uniform(0.5, 1) * _LIST_INTERVAL
            self._listed[server.name] = marker, due
