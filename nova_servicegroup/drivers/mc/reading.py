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

"""The reading side: reads the members of a group from all servers."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import secrets
import time
from typing import Any

from oslo_log import log as logging

from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import coordinated
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import provenance
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.mc import configuration
from nova_servicegroup.drivers.mc import details
from nova_servicegroup.drivers.mc import history
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.drivers.mc import storage
from nova_servicegroup.drivers.mc import wanted
from nova_servicegroup.drivers import views
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import fanout
from nova_servicegroup import opts
from nova_servicegroup import pace
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

_NO_LISTS = 'the list of members cannot be read'


class Backend:
    """The servers of one process's readers, for all groups."""

    def __init__(self, settings: configuration.Settings) -> None:
        self.settings = settings
        self.servers = settings.servers(f'reader:{secrets.token_hex(8)}')
        self.patience = base.make_patience(settings.conf)
        #: The servers that have not answered a question of any reader in time.
        self.silent = set[str]()

    def reader(self, group: str) -> 'GroupReader':
        """Return a new reader of a group."""
        return GroupReader(self, group)

    def end(self, joined: services.Joined) -> None:
        """See base.Driver. It ends on every server that can be asked.

        Processes with the same name of a host share a key. One that has seen
        the value of another in the last two minutes (with Nova's defaults)
        marks the key as shared. Such a key is left to expire, since the other
        may renew it. The other may also be a predecessor that was not ended
        before this one joined.
        """
        member_id = self.settings.keys.member(joined.group, joined.host)
        answers = fanout.Fanout(self.servers).ask(
            joined,
            lambda server: server.end(member_id, joined.incarnation),
            self.settings.conf.servicegroup.read_timeout,
        )
        ended = {server.name for server, _ in answers}
        left = [each.name for each in self.servers if each.name not in ended]
        if left:
            raise exceptions.BackendError(', '.join(left), 'no answer')

    def close(self) -> None:
        """See base.Driver."""
        for server in self.servers:
            server.close()

    def check(self) -> str:
        """Ask the servers once; see base.Driver."""
        for server in self.servers:
            server.read([])
        names = ', '.join(server.name for server in self.servers)
        return f'{names}: answered.'


def _histories(
    servers: Sequence[storage.Server], timing: history.Timing
) -> dict[str, history.History]:
    """Return a new history of each server, by the server's name."""
    return {each.name: history.History(timing) for each in servers}


class GroupReader(coordinated.GroupReader):
    """Reads one group from all servers."""

    def __init__(
        self,
        backend: Backend,
        group: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings = backend.settings
        self._group = group
        self._clock = clock
        settle_time = 2.0 * settings.conf.report_interval
        name = f'Group {group} (mc)'
        super().__init__(
            settings.conf, name, settle_time, backend.patience, clock
        )
        # One each, so that they do not wait for each other.
        self._fanouts = {
            each: fanout.Fanout(backend.servers, backend.silent)
            for each in ('members', 'lists', 'origins')
        }
        timing = history.Timing(settings.ttl, settle_time)
        self._histories = _histories(backend.servers, timing)
        self._wanted = wanted.Wanted(group, settings.keys)
        self._details = details.Details(self._wanted)
        # The values of all members, by server.
        self._values: dict[str, dict[str, bytes]] = {}

    def request(self, host: str) -> bool:
        """See observer.Source. A host that is not listed has hardly joined."""
        return self._wanted.request(host)

    def name(self, host: str) -> str:
        """See observer.Source."""
        return self._wanted.name(host)

    def view(self, detailed: views.Detailed) -> views.View:
        """See base.Driver."""
        self._wanted.request_lists()
        self.observer.refresh()
        origins = self._ask_origins(detailed) if detailed else {}
        return views.view_of(
            self.observer,
            self._group,
            lambda host: self._incarnations(host, origins),
        )

    def _ask_origins(self, detailed: views.Detailed) -> dict[str, Any]:
        """Return where members run, as far as the servers know."""
        ids = [
            self._settings.keys.member(self._group, host)
            for host in self.observer.members
            if views.is_wanted(detailed, host)
        ]
        found: dict[str, Any] = {}
        try:
            for _, origins in self._fanouts['origins'].ask(
                'origins',
                lambda server: server.origins(ids),
                self._settings.conf.servicegroup.read_timeout,
            ):
                found.update(origins)
        except exceptions.BackendError as error:
            LOG.debug('Where members run cannot be read: %s', error)
        return found

    def _incarnations(
        self, host: str, origins: dict[str, Any]
    ) -> tuple[views.Incarnation, ...]:
        """Return the processes that last renewed a member on each server.

        Where a process runs is known only if there is a single one.
        """
        member_id = self._settings.keys.member(self._group, host)
        tokens = {
            keyspace.token_of(value)
            for values in self._values.values()
            if (value := values.get(member_id)) is not None
        }
        origin = origins.get(member_id) if len(tokens) == 1 else None
        return tuple(
            provenance.incarnation(each.hex(), naming.since(each), origin)
            for each in sorted(tokens)
        )

    def read(self, wait: float) -> evidence.Reading:
        """See observer.Source."""
        deadline = requests.Deadline(wait)
        if self.observer.error is None:
            self._read_lists(wait / 2)
        ids = self._wanted.ids
        answers = self._fanouts['members'].ask(
            len(ids),
            lambda server: server.read(ids),
            deadline.left(),
            max_age=pace.IDLE,
        )
        now = self._clock()
        by_name = {server.name: answer for server, answer in answers}
        before = self._values
        self._values = {name: each.values for name, each in by_name.items()}
        readings = self._readings(by_name, now)
        alive: set[str] = set().union(*self._values.values())
        self._wanted.update_alive(ids, alive, now)
        found = self._combine(alive, readings)
        self._details.update(self._values)
        return dataclasses.replace(
            found,
            unfit=self._details.unfit(self._values),
            domains=self._details.domains,
            ended=self._wanted.hosts(_ended(before, answers) - alive),
        )

    def _readings(
        self, answers: Mapping[str, storage.ServerState], now: float
    ) -> dict[str, history.ServerReading]:
        """Take over the answers of the servers, by their names."""
        return {
            name: each.update(answers[name], now)
            if name in answers
            else each.update_unanswered(now)
            for name, each in self._histories.items()
        }

    def _combine(
        self, alive: set[str], readings: Mapping[str, history.ServerReading]
    ) -> evidence.Reading:
        """Return what the readings of all servers confirm together.

        A member is up if any server has it. A member that no server has is
        gone if it is gone from any of them.
        """
        present = self._wanted.hosts(alive)
        gone = set().union(*(each.gone for each in readings.values()))
        lost = set().union(*(each.lost for each in readings.values()))
        lost -= gone | alive
        complete = self._wanted.has_lists and any(
            each.complete for each in readings.values()
        )
        if complete and not lost:
            return evidence.Reading(present)
        hold_time = float(opts.hold_time(self._settings.conf))
        doubted = dict.fromkeys(self._wanted.hosts(lost), hold_time)
        doubt = self._doubt(readings)
        return evidence.Reading(present, doubt, doubted, complete)

    def _doubt(self, readings: Mapping[str, history.ServerReading]) -> str:
        """Return the first server's doubt, or another reason for doubt."""
        for name, each in readings.items():
            if each.doubt is not None:
                return f'{each.doubt} ({name})'
        return evidence.UNSETTLED if self._wanted.has_lists else _NO_LISTS

    def _read_lists(self, wait: float) -> None:
        """Read the lists of all servers, if that is due."""
        now = self._clock()
        if not self._wanted.is_list_due(now):
            return
        try:
            answers = self._fanouts['lists'].ask(
                'list',
                lambda server: server.hosts(self._group),
                wait,
                max_age=wanted.LIST_INTERVAL,
            )
        except exceptions.BackendError as error:
            LOG.debug('The lists cannot be read: %s', error)
            return
        self._wanted.update_listed(
            set().union(*(each for _, each in answers)), now
        )


def _ended(
    before: Mapping[str, Mapping[str, bytes]],
    answers: Sequence[tuple[storage.Server, storage.ServerState]],
) -> set[str]:
    """Return the members that agents have ended.

    :param before: the values of all members before, by server
    """
    tokens = set[bytes]().union(*(answer.ended for _, answer in answers))
    if not tokens:
        return set()
    return {
        member_id
        for values in before.values()
        for member_id, value in values.items()
        if keyspace.token_of(value) in tokens
    }
