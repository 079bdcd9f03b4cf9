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

"""Reads groups from a backend that can list all member ids."""

import abc
from collections.abc import Callable, Set
import dataclasses
import functools
import time
from typing import TypeVar

from nova_servicegroup import condition
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import coordinated
from nova_servicegroup.drivers.common import duplicates
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import roster
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.common import settings as common_settings
from nova_servicegroup.drivers import views
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import membership
from nova_servicegroup import services

T = TypeVar('T')

#: Seconds until a request that failed is tried again.
_RETRY = 0.05


class Backend:
    """The connection with which one process reads all groups.

    :param reader: the reader class of the driver
    """

    def __init__(
        self,
        settings: common_settings.Settings,
        reader: type['RosterReader'],
    ) -> None:
        self.settings = settings
        self.connection = settings.reader_connection()
        self.patience = base.make_patience(settings.conf)
        self._reader = reader

    def reader(self, group: str) -> 'RosterReader':
        """Return a new reader of a group."""
        return self._reader(self, group)

    def end(self, joined: services.Joined) -> None:
        """See base.Driver."""
        self.reader(joined.group).end(joined)

    def check(self) -> str:
        """Ask the servers once; see base.Driver."""
        deadline = requests.Deadline(self.settings.expiry + 1.0)
        with sessions.Sessions(self.connection, '').use(deadline) as session:
            groups = session.ask('groups', session.coordinator.get_groups)
        more = f'; {len(groups)} groups' if groups else ''
        return f'{self.settings.backend} answers{more}.'

    def close(self) -> None:
        """See base.Driver."""
        self.connection.close(wait=1.0)


class RosterReader(coordinated.GroupReader):
    """Reads one group through the connection that all groups share."""

    def __init__(self, backend: Backend, group: str) -> None:
        settings = backend.settings
        name = f'Group {group} ({settings.driver})'
        super().__init__(
            settings.conf, name, settings.settle_time, backend.patience
        )
        self._name = group
        self._wait = float(settings.conf.servicegroup.read_timeout)
        self._sessions = sessions.Sessions(backend.connection, group)
        self._roster = roster.Roster(group)
        self._origins = duplicates.Origins(
            duplicates.Duplicates(group, self._roster, settings.settle_time),
            sessions.Sessions(backend.connection, group),
            self._wait,
        )

    def name(self, host: str) -> str:
        """See observer.Source."""
        return self._roster.name(host)

    def view(self, detailed: views.Detailed) -> views.View:
        """See base.Driver."""
        self.observer.refresh()
        if self.observer.error is None:
            self._origins.learn(detailed)
        incarnations = self._origins.duplicates.incarnations
        return views.view_of(self.observer, self._name, incarnations)

    def read(self, wait: float) -> evidence.Reading:
        """See observer.Source."""
        found, members = self._try(self._read, wait), self._roster
        return dataclasses.replace(
            found,
            unfit=members.unfit(),
            domains=members.domains,
            ended=members.take_ended(),
        )

    def _try(self, call: Callable[[sessions.Session], T], wait: float) -> T:
        """Return what a call returns, which is repeated while it fails.

        :param wait: seconds, at most
        :raises BackendError: it has failed
        """
        deadline = requests.Deadline(wait)
        first: exceptions.BackendError | None = None
        while True:
            try:
                with self._sessions.use(deadline) as session:
                    return call(session)
            except exceptions.BackendTimeout as error:
                raise first or error from None
            except exceptions.BackendError as error:
                # After a lost connection, requests fail until the client has
                # connected again.
                first = first or error
                if deadline.left() < _RETRY:
                    raise
            time.sleep(_RETRY)

    @abc.abstractmethod
    def _read(self, session: sessions.Session) -> evidence.Reading:
        """Ask for the members once.

        :raises tooz.ToozError: the answer
        """

    def end(self, joined: services.Joined) -> None:
        """End a membership of a process that has died; see base.Driver."""
        self._try(functools.partial(self._end, joined), self._wait)

    def _end(self, joined: services.Joined, session: sessions.Session) -> None:
        self._read(session)
        for each in self._roster.ids(membership.canonical(joined.host)):
            if naming.is_of(naming.token_of(each), joined.incarnation):
                mark = naming.marked(each, condition.ENDED_MARK)
                self._end_member(session, each, mark)

    @abc.abstractmethod
    def _end_member(
        self, session: sessions.Session, member_id: bytes, mark: bytes
    ) -> None:
        """Remove a member of another process, if it is there.

        :param mark: the name of the mark to leave in its place, so that
            readers know that the member has not expired. It goes by itself
        :raises tooz.ToozError: an error of the backend
        """

    def _emptied_reading(self, ids: Set[bytes]) -> evidence.Reading:
        """Return a doubtful reading, of a group that was emptied before."""
        present = self._roster.update(ids)
        return evidence.Reading(present, evidence.EMPTIED, complete=False)

    def _full_reading(
        self, session: sessions.Session, ids: Set[bytes]
    ) -> evidence.Reading:
        """Return a reading with all ids, doubtful if most have rejoined."""
        present = self._roster.update(ids)
        self._origins.check_one(session)
        if self._roster.rejoined:
            return evidence.Reading(present, evidence.REJOINED, complete=False)
        return evidence.Reading(present)
