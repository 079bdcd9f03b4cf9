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

"""Registers a member: an ephemeral node, with a watch on it."""

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import registration
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.common import settings as common_settings
from nova_servicegroup.drivers.zk import internals
from nova_servicegroup.drivers.zk import watches
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup import reporter
from nova_servicegroup import services


class Registration(registration.Registration):
    """The registration of one host in one group, while its service runs."""

    def __init__(
        self, settings: common_settings.Settings, host: str, group: str
    ) -> None:
        super().__init__(settings, host, group)
        # kazoo pings when it has sent nothing for so long.
        self._watches = watches.Watches(settings.expiry / 3)
        # kazoo's threads would renew the session of a process that is stuck.
        self._gate = reporter.ProgressGate(
            self.reporter,
            self._connection,
            opts.service_down_time(settings.conf),
        )

    def start(self, service: services.Service) -> None:
        """See registration.Registration."""
        super().start(service)
        service.on_stop(self._gate.stop)

    def stop(self) -> None:
        """See registration.Registration."""
        self._gate.stop()
        super().stop()

    def is_urgent(self) -> bool:
        """See registration.Registration."""
        return self._watches.in_doubt()

    def _verify(self, session: sessions.Session) -> float:
        """See registration.Registration."""
        self._gate.keep()
        # The group exists, unless this is its first member.
        if not self._is_joined(session) and not self._try_to_join(session):
            session.create()
            if not self._try_to_join(session):
                raise exceptions.BackendError(
                    self._connection.backend, 'the membership was not accepted'
                )
        return self._watches.proof(session)

    def _is_joined(self, session: sessions.Session) -> bool:
        """Return whether the member's node exists in this session.

        tooz's heartbeat succeeds whether or not it does.

        :raises BackendError: the node belongs to another session
        """
        stat = self._watches.read(session, session.member_id, 'verify')
        if stat is None:
            return False
        if internals.is_own(session.coordinator, stat):
            return True
        raise exceptions.BackendError(
            self._connection.backend,
            "the member's node belongs to another session",
        )

    def _put_mark(self, session: sessions.Session, mark: str) -> None:
        """See registration.Registration.

        To read it costs the servers less than to create it in vain.
        """
        name = naming.marked(session.member_id, mark)
        if self._watches.read(session, name, f'verify {mark}') is None:
            internals.put(session, name)

    def _drop_mark(self, session: sessions.Session, mark: str) -> None:
        """See registration.Registration."""
        name = naming.marked(session.member_id, mark)
        self._watches.forget(name)
        internals.remove(session, name)

    def _try_to_join(self, session: sessions.Session) -> bool:
        """Join the group, return whether that succeeded.

        :raises tooz.ToozError: it was refused, though the group exists
        """
        # A coordinator that knows that it has joined cannot be stopped while
        # the servers are down, so tooz does not get the result.
        internals.check(session.join(self._capabilities(), collect=False))
        return self._is_joined(session)
