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

"""Registers a member: an ephemeral node, verified at each heartbeat."""

import contextlib
import functools

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import provenance
from nova_servicegroup.drivers.common import registration
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.zk import internals
from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup import reporter
from nova_servicegroup import services

coordination = requests.try_import('tooz.coordination')


class Registration(registration.Registration):
    """One member of one group, for as long as its service runs."""

    def __init__(
        self, settings: kazoo_client.Settings, host: str, group: str
    ) -> None:
        conf = settings.conf
        # A server that is mute for longer would end the session: another
        # one is made beside it, in time.
        connection = settings.connection(host, patience=1 / 12)
        super().__init__(
            conf, 'zk', connection, host, group, settings.session_timeout
        )
        # kazoo's threads would keep the session of a process that is stuck.
        self._gate = reporter.ProgressGate(
            self.reporter, connection.discard, opts.service_down_time(conf)
        )

    def start(self, service: services.Service) -> None:
        """See registration.Registration."""
        super().start(service)
        service.on_stop(self._gate.stop)

    def stop(self) -> None:
        """See registration.Registration."""
        self._gate.stop()
        super().stop()

    def _keep(
        self, connected: connections.Connected, ask: registration.Ask
    ) -> None:
        """See registration.Registration."""
        self._gate.keep()
        if not self._is_joined(connected, ask):
            self._join(connected, ask)

    def _is_joined(
        self, connected: connections.Connected, ask: registration.Ask
    ) -> bool:
        """Tell whether the member is there, and is this session's own.

        tooz's heartbeat succeeds whether or not it is.

        :raises BackendError: it is there, and will go with another session
        """
        coordinator = connected.coordinator
        result = ask(
            'verify',
            functools.partial(
                coordinator.get_member_capabilities,
                self._group,
                connected.member_id,
            ),
            collect=False,
        )
        stat = internals.stat(result)
        if stat is None:
            return False
        if internals.is_own(coordinator, stat):
            return True
        raise exceptions.BackendError(
            self._connection.backend,
            "the member's node belongs to another session",
        )

    def _join(
        self, connected: connections.Connected, ask: registration.Ask
    ) -> None:
        # The group is there, unless this is the first to join it.
        if self._try_to_join(connected, ask):
            return
        create = connected.coordinator.create_group
        with contextlib.suppress(coordination.GroupAlreadyExist):
            ask('create group', functools.partial(create, self._group))
        if not self._try_to_join(connected, ask):
            raise exceptions.BackendError(
                self._connection.backend, 'the membership was not accepted'
            )

    def _try_to_join(
        self, connected: connections.Connected, ask: registration.Ask
    ) -> bool:
        """Join the group; tell whether that was accepted.

        :raises tooz.ToozError: it was refused, and not for lack of the group
        """
        # A coordinator that knows that it has joined cannot be stopped while
        # the servers are away, so tooz does not learn the result.
        result = ask(
            'join',
            functools.partial(
                connected.coordinator.join_group,
                self._group,
                provenance.origin(self._reads),
            ),
            collect=False,
        )
        internals.check(result)
        return self._is_joined(connected, ask)
