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


"""What the drivers share whose backend keeps the memberships."""

import abc
from collections.abc import Callable
import datetime
from typing import Protocol

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup.drivers import _attending
from nova_servicegroup.drivers import _tooz
from nova_servicegroup.drivers import base
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup import opts
from nova_servicegroup import process
from nova_servicegroup import services

LOG = logging.getLogger(__name__)


class Attendance(_attending.Attendance, Protocol):
    """One member of one group, for as long as its service runs."""

    def start(self, service: services.Service) -> None:
        """Join, as far as it is possible at once, and go on beating."""


class GroupReader(observer.Observer, abc.ABC):
    """Reads one group.

    :param read: see observer.Read
    :param contact: what the readers of one backend share
    :param settle_time: see membership.Membership
    :param lag: see membership.Membership
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        name: str,
        read: observer.Read,
        contact: observer.Contact,
        settle_time: float,
        lag: float = 0.0,
    ) -> None:
        hold_time = opts.hold_time(conf)
        super().__init__(
            name,
            read,
            lambda now: membership.Membership(
                now, hold_time, settle_time=settle_time, lag=lag
            ),
            refresh_interval=conf.servicegroup.refresh_interval,
            read_timeout=conf.servicegroup.read_timeout,
            contact=contact,
            blind_wait=_tooz.blind_wait(),
        )

    @abc.abstractmethod
    def view(self, detailed: base.Detailed) -> base.View:
        """See base.Driver."""


class Backend(Protocol):
    """The reading side of one process: its connections, for all groups."""

    def reader(self, group: str) -> GroupReader:
        """Return a new reader of a group."""

    def check(self) -> str:
        """See base.Driver."""

    def close(self) -> None:
        """See base.Driver."""


class Reading(dict[str, GroupReader]):
    """One process's backend, and its reader of each group, made when asked."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend

    def __missing__(self, group: str) -> GroupReader:
        return self.setdefault(group, self.backend.reader(group))


class CoordinatedDriver(_attending.AttendingDriver):
    """A driver whose members attend, and whose groups are read.

    :param attend: makes the attendance of a host in a group
    :param connect: makes the reading side; opens no connection yet
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        attend: Callable[[str, str], Attendance],
        connect: Callable[[], Backend],
    ) -> None:
        super().__init__(conf)
        self._attend = attend
        self._reading = process.PerProcess(lambda: Reading(connect()))
        # The readers that were used last, perhaps by a parent process. To
        # ask for this process's own is a system call for each question.
        self._latest: dict[str, GroupReader] = {}

    def join(self, member: str, group: str, service: services.Service) -> None:
        """See base.Driver."""
        if not service.report_interval:
            LOG.warning(
                '%s does not join group %s: report_interval is 0.',
                member,
                group,
            )
            return
        self.leave(member, group)
        attendance = self._attend(member, group)
        self._attendances.get()[member, group] = attendance
        attendance.start(service)

    def is_up(self, service_ref: services.ServiceRef) -> bool:
        """See base.Driver."""
        group = service_ref['topic'] or base.group_of(service_ref)
        host = service_ref['host']
        reader = self._latest.get(group)
        known = None if reader is None else reader.recall(host)
        return self._ask(group, host) if known is None else known

    def _ask(self, group: str, host: str) -> bool:
        reader = self._latest[group] = self._reading.get()[group]
        return reader.is_up(host)

    def updated_time(
        self, service_ref: services.ServiceRef
    ) -> datetime.datetime | None:
        """See base.Driver."""
        group = base.group_of(service_ref)
        reader = self._latest.get(group)
        if reader is None or reader.is_due():
            reader = self._latest[group] = self._reading.get()[group]
            reader.members()
        return base.later(reader.proof_time(service_ref['host']), service_ref)

    def view(self, group: str, detailed: base.Detailed = False) -> base.View:
        """See base.Driver."""
        return self._reading.get()[group].view(detailed)

    def check(self) -> str:
        """See base.Driver."""
        return self._reading.get().backend.check()

    def close(self) -> None:
        """See base.Driver."""
        super().close()
        reading = self._reading.peek()
        if reading is not None:
            reading.backend.close()
