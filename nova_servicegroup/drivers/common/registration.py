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

"""The base class of registrations with a connection of their own."""

import abc
from typing import Any

from nova_servicegroup.drivers.common import provenance
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.common import settings as common_settings
from nova_servicegroup import heartbeat
from nova_servicegroup import reporter
from nova_servicegroup import services

#: Seconds between two heartbeats while they fail.
_RETRY_INTERVAL = 0.5


class Registration(heartbeat.Renewable):
    """One member of one group, for as long as its service runs."""

    def __init__(
        self, settings: common_settings.Settings, host: str, group: str
    ) -> None:
        self._settings = settings
        self._connection = settings.member_connection(host)
        self._sessions = sessions.Sessions(self._connection, group)
        self._wait = float(settings.conf.servicegroup.read_timeout)
        self._mark: str | None = None
        # The marks that the backend may have: several after failures.
        self._marks: set[str] = set()
        self.reporter = reporter.Reporter(
            f'Member {host} of group {group} ({settings.driver})', self
        )

    def start(self, service: services.Service) -> None:
        """Try to join, and renew the membership on the service's timer."""
        interval = min(service.report_interval, self._settings.expiry / 3)
        self._wait = min(self._wait, interval / 2)
        self.reporter.run()
        self.reporter.start(
            service,
            interval,
            self._settings.conf.servicegroup.leave_on_stop,
            _RETRY_INTERVAL,
        )

    def stop(self) -> None:
        """Leave the group."""
        self.reporter.stop()

    def mark(self, mark: str | None) -> None:
        """See coordinated.Registration."""
        self._mark = mark
        self.reporter.beat_now()

    def _capabilities(self) -> dict[str, Any]:
        """Return the capabilities of the member."""
        return provenance.origin(self._settings.conf.servicegroup_driver)

    def leave(self) -> None:
        """See heartbeat.Renewable."""
        self._connection.close(wait=1.0)

    def beat(self) -> None:
        """See heartbeat.Renewable."""
        deadline = requests.Deadline(self._wait)
        with self._sessions.use(deadline) as session:
            proof = self._verify(session)
        if proof is not None:
            self.proved_at = proof
        # Apart from the above: a mark that fails must not fail a connection.
        self._update_mark(deadline)

    def _update_mark(self, deadline: requests.Deadline) -> None:
        """Write the mark that is wanted, and remove all others.

        :raises BackendError: that has failed
        """
        mark = self._mark
        if mark is None and not self._marks:
            return
        with self._sessions.use(deadline) as session:
            if mark is not None:
                self._marks.add(mark)
                self._put_mark(session, mark)
            for each in self._marks - {mark}:
                self._drop_mark(session, each)
                self._marks.discard(each)

    @abc.abstractmethod
    def _verify(self, session: sessions.Session) -> float | None:
        """Verify the membership, and restore it if it is gone.

        :returns: the time before the request that has confirmed it, by
            time.monotonic; None: unknown, since it was restored
        :raises BackendError: it could not be restored
        :raises tooz.ToozError: an error of the backend
        """

    def _put_mark(  # noqa: B027
        self, session: sessions.Session, mark: str
    ) -> None:
        """Write a mark that the backend drops together with the member.

        :raises BackendError: it could not be written
        :raises tooz.ToozError: an error of the backend
        """

    def _drop_mark(  # noqa: B027
        self, session: sessions.Session, mark: str
    ) -> None:
        """Remove a mark if it exists; see _put_mark."""
