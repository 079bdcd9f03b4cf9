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


"""The reading side of the mc driver: one process's view of the groups."""

from collections.abc import Iterable, Sequence
import functools
import math
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup.drivers import _coordinated
from nova_servicegroup.drivers import _fanout
from nova_servicegroup.drivers import _memcached
from nova_servicegroup.drivers import _memcached_keys
from nova_servicegroup.drivers import _names
from nova_servicegroup.drivers import _origin
from nova_servicegroup.drivers import _witness
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup import opts

LOG = logging.getLogger(__name__)

#: The lists are read no more often than this (seconds).
_LIST_INTERVAL = 2.0


class Backend:
    """The servers of one process, for all groups.

    :param ttl: seconds for which a server keeps a member that is not renewed
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        servers: Sequence[_memcached.Server],
        keys: _memcached_keys.Keys,
        ttl: float,
    ) -> None:
        self._servers = servers
        self._read = functools.partial(
            GroupReader, conf, servers, keys, ttl, observer.Contact()
        )

    def reader(self, group: str) -> 'GroupReader':
        """Return a new reader of a group."""
        return self._read(group)

    def close(self) -> None:
        """See base.Driver."""
        for server in self._servers:
            server.close()

    def check(self) -> str:
        """Ask the servers once; see base.Driver."""
        for server in self._servers:
            server.read([])
        names = ', '.join(server.name for server in self._servers)
        return f'{names}: answered.'


class GroupReader(_coordinated.GroupReader):
    """Reads one group: those members that somebody has asked about."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        servers: Sequence[_memcached.Server],
        keys: _memcached_keys.Keys,
        ttl: float,
        contact: observer.Contact,
        group: str,
    ) -> None:
        settle_time = 2.0 * conf.report_interval
        super().__init__(
            conf,
            f'Group {group} (mc)',
            self._read_group,
            contact,
            settle_time=settle_time,
            lag=ttl,
        )
        self._group = group
        self._keys = keys
        self._servers = _fanout.Fanout(servers)
        self._witnesses = {
            server.name: _witness.Witness(
                server.name, group, ttl, opts.hold_time(conf), settle_time
            )
            for server in servers
        }
        self._ids: dict[str, str] = {}
        # Who last renewed each member, by server.
        self._tokens: dict[str, dict[str, bytes]] = {}
        self._list_due = -math.inf

    def is_up(self, host: str) -> bool:
        """Tell whether host is up. The first time, it must be asked for."""
        if host not in self._ids:
            with self._lock:
                self._meet(host)
        return super().is_up(host)

    def _recall_missing(self, host: str, now: float) -> bool | None:
        """See observer.Observer. Nothing is known of who is new."""
        if host not in self._ids:
            return None
        return super()._recall_missing(host, now)

    def view(self, detailed: base.Detailed) -> base.View:
        """See base.Driver."""
        with self._lock:
            self._add_listed()
        self.members()
        origins = self._ask_origins(detailed) if detailed else {}
        return base.view_of(
            self,
            self._group,
            lambda host: self._incarnations(self._ids[host], origins),
        )

    def _ask_origins(self, detailed: base.Detailed) -> dict[str, Any]:
        """Return where members run, as far as anybody knows."""
        ids = [
            each
            for host, each in self._ids.copy().items()
            if base.is_wanted(detailed, host)
        ]
        found: dict[str, Any] = {}
        try:
            for _, origins in self._servers.ask(
                'origins', lambda server: server.origins(ids), self._wait()
            ):
                found.update(origins)
        except exceptions.BackendError as error:
            LOG.debug('Where members run cannot be told: %s', error)
        return found

    def _incarnations(
        self, member_id: str, origins: dict[str, Any]
    ) -> tuple[base.Incarnation, ...]:
        """Return the processes that have renewed a member last.

        Only of the last of all is known where it runs.
        """
        tokens = {
            token
            for tokens in self._tokens.values()
            if (token := tokens.get(member_id)) is not None
        }
        origin = origins.get(member_id) if len(tokens) == 1 else None
        return tuple(
            _origin.incarnation(each.hex(), _names.since(each), origin)
            for each in sorted(tokens)
        )

    def _meet(self, host: str) -> None:
        """Begin to ask about a host, and about all that are listed.

        So a pass over a fleet does not become a round trip for each host.
        """
        if host in self._ids:
            return
        if self._due > -math.inf:
            self._admit(host)
        self._add_listed()
        self._add([host])

    def _add_listed(self) -> None:
        """Begin to ask about those that are new on a list."""
        new = self._listed() - self._ids.keys()
        if new:
            self._add(new)
            self._due = -math.inf

    def _listed(self) -> set[str]:
        """Return the hosts on any server's list, if it is time to look."""
        if self._clock() < self._list_due:
            return set()
        self._list_due = self._clock() + _LIST_INTERVAL
        try:
            answers = self._servers.ask(
                'list',
                lambda server: server.listing(self._group),
                self._wait(),
                max_age=_LIST_INTERVAL,
            )
        except exceptions.BackendError:
            return set()
        return set().union(*(hosts for _, hosts in answers))

    def _add(self, hosts: Iterable[str]) -> None:
        for host in hosts:
            self._ids[host] = self._keys.member(self._group, host)

    def _admit(self, host: str) -> None:
        """Read one host that the current membership knows nothing of."""
        known = self._is_alive(host)
        if known:
            self._members.admit(host)
        elif known is None:
            self._members.presume(host, self._clock())

    def _is_alive(self, host: str) -> bool | None:
        """Ask about one host; None: nobody knows."""
        if self._members.blind_since is not None:
            return None
        member_id = self._keys.member(self._group, host)
        try:
            answers = self._ask(member_id, [member_id], self._wait())
        except exceptions.BackendError:
            return None
        now = self._clock()
        alive = known = False
        for name, answer in answers.items():
            witness = self._witnesses[name]
            if answer.tokens:
                alive = True
                witness.meet(member_id)
            known |= witness.knows_strangers(answer, now)
        return alive or (False if known else None)

    def _read_group(self, wait: float) -> membership.Reading:
        # Other threads may add to it meanwhile; a copy is made at one go.
        ids = self._ids.copy()
        answers = self._ask(len(ids), list(ids.values()), wait)
        now = self._clock()
        # Each must take its answer.
        remembering = [
            self._witnesses[name].take(answer, now)
            for name, answer in answers.items()
        ]
        self._tokens = {
            name: answer.tokens for name, answer in answers.items()
        }
        alive = set().union(*self._tokens.values())
        vouched = set().union(
            *(
                witness.vouched(now, name in answers)
                for name, witness in self._witnesses.items()
            )
        )
        return membership.Reading(
            {host for host, each in ids.items() if each in alive},
            emptied=not any(remembering),
            incomplete=not any(self._witnesses[name].met for name in answers),
            vouched={
                host
                for host, each in ids.items()
                if each in vouched and each not in alive
            }
            if vouched
            else frozenset(),
        )

    def _ask(
        self, question: Any, ids: Sequence[str], wait: float
    ) -> dict[str, _memcached.Answer]:
        """Return what is known of some members, by server.

        :raises BackendError: no server answers
        """
        answers = self._servers.ask(
            question,
            lambda server: server.read(ids),
            wait,
            max_age=self._answer_age,
        )
        return {server.name: answer for server, answer in answers}
