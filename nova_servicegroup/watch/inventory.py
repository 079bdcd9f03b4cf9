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

"""The services of a group: its members and Nova's records, put together."""

import collections
from collections.abc import Iterator, Sequence
import dataclasses
import math
import time

from nova_servicegroup import api
from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import membership
from nova_servicegroup import services
from nova_servicegroup.watch import deaths
from nova_servicegroup.watch import proofs

#: The state of a service that an operator has declared down.
FORCED_DOWN = 'forced down'
STATES = (
    views.UP,
    views.HELD,
    views.DEGRADED,
    views.DRAINING,
    views.DOWN,
    FORCED_DOWN,
)

#: The least seconds between two reads of the records, and the greatest share
#: of the time that reading them may take.
_INTERVAL = 10.0
_SHARE = 0.1

#: The host and cell of a service, its member and its record.
_Service = tuple[
    str, str | None, views.Member | None, services.ServiceRef | None
]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One service of a group.

    :ivar host: its host, followed by the cell where several cells have a
        service of that host
    :ivar state: one of STATES
    :ivar member: the member in the backend, or None
    :ivar record: the record in Nova's services table, or None if there is
        none or the table cannot be read
    :ivar evidence: why it is down, one of deaths.EVIDENCE; None: it is not
    :ivar domain: its failure domain, or the last that is known, or None
    """

    host: str
    group: str
    state: str
    member: views.Member | None = None
    record: services.ServiceRef | None = None
    evidence: str | None = None
    domain: str | None = None

    @property
    def is_up(self) -> bool:
        """Whether it counts as up; held, degraded and draining do."""
        return self.state not in (views.DOWN, FORCED_DOWN)

    @property
    def condition(self) -> condition.Condition | None:
        """Why it is degraded or draining, or None if not or unknown."""
        return None if self.member is None else self.member.condition

    @property
    def since(self) -> float | None:
        """When its oldest process joined, in seconds since the epoch.

        None if it is down, or if the time is unknown.
        """
        if self.member is None or not self.member.up:
            return None
        times = [each.since for each in self.member.incarnations]
        return min((each for each in times if each is not None), default=None)


@dataclasses.dataclass(frozen=True)
class Inventory:
    """All visible services of a group.

    :ivar entries: the services by Entry.host
    :ivar view: the members, as the driver sees them
    :ivar unregistered: why the records cannot be read, or None
    """

    entries: dict[str, Entry]
    view: views.View
    unregistered: exceptions.BackendError | None = None

    def count(self) -> dict[str, int]:
        """Return the number of services in each of STATES."""
        counts = dict.fromkeys(STATES, 0)
        for each in self.entries.values():
            counts[each.state] += 1
        return counts

    def count_evidence(self) -> dict[str, int]:
        """Return the number of services that are down for each evidence."""
        counts = dict.fromkeys(deaths.EVIDENCE, 0)
        for each in self.entries.values():
            if each.evidence is not None:
                counts[each.evidence] += 1
        return counts


class Reader:
    """Reader of the inventory of one group, for repeated use."""

    def __init__(self, servicegroup: api.API, group: str) -> None:
        self.group = group
        self._api = servicegroup
        self._records: list[services.ServiceRef] = []
        self._error: exceptions.BackendError | None = None
        self._due = -math.inf
        self._proofs = proofs.Proofs(servicegroup, group)
        self._domains: dict[str, str] = {}

    def read(self, detailed: views.Detailed = False) -> Inventory:
        """Return the services of the group. Never raises.

        :param detailed: see base.Driver.view
        """
        self._read_records()
        view = self._api.view(self.group, detailed)
        found = list(_match(view.members, self._records))
        hosts = collections.Counter(
            membership.canonical(host) for host, *_ in found
        )
        entries: dict[str, Entry] = {}
        for host, cell, member, record in found:
            doubled = hosts[membership.canonical(host)] > 1
            name = f'{host} (cell {cell})' if doubled else host
            entries[name] = self._entry(name, member, record)
        self._proofs.update(
            {name: each.member for name, each in entries.items()}
        )
        entries = {name: self.explain(each) for name, each in entries.items()}
        self._domains = {
            name: each.domain
            for name, each in entries.items()
            if each.domain is not None
        }
        return Inventory(dict(sorted(entries.items())), view, self._error)

    def _entry(
        self,
        host: str,
        member: views.Member | None,
        record: services.ServiceRef | None,
    ) -> Entry:
        if record is not None and record.get('forced_down', None):
            state = FORCED_DOWN
        elif member is not None:
            state = member.state
        else:
            # A blind observer presumes that a missing member is up.
            up = record is not None and self._api.service_is_up(record)
            state = views.HELD if up else views.DOWN
        domain = self._domains.get(host) if member is None else member.domain
        return Entry(host, self.group, state, member, record, domain=domain)

    def explain(self, entry: Entry) -> Entry:
        """Return an entry with the evidence, if it is down."""
        if entry.is_up:
            return entry
        if entry.state == FORCED_DOWN:
            evidence = deaths.FORCED
        else:
            evidence = self._proofs.evidence(entry.host, _host_of(entry))
        return dataclasses.replace(entry, evidence=evidence)

    def proof_age(self, host: str) -> float | None:
        """Return the seconds since a service was proved alive; None: never.

        :param host: as in Entry
        """
        return self._proofs.age(host)

    def _read_records(self) -> None:
        """Read the records if due; keep the last of cells that fail."""
        begun = time.monotonic()
        if begun < self._due:
            return
        try:
            found = self._api.driver.read_records(self.group)
        except exceptions.PartialRecords as error:
            self._error = error
            self._records = error.records + [
                each
                for each in self._records
                if services.cell_of(each) in error.cells
            ]
        except exceptions.BackendError as error:
            self._error = error
        else:
            self._error = None
            self._records = found
        hosts = [each['host'] for each in self._records]
        self._api.driver.expect(self.group, hosts)
        taken = time.monotonic() - begun
        self._due = begun + max(_INTERVAL, taken / _SHARE)


def _host_of(entry: Entry) -> str:
    """Return the host of a service, without its cell."""
    if entry.record is not None:
        return str(entry.record['host'])
    return entry.host if entry.member is None else entry.member.host


def _match(
    members: Sequence[views.Member], records: Sequence[services.ServiceRef]
) -> Iterator[_Service]:
    """Return each service with its member and its record, or one of them."""
    by_host = collections.defaultdict(list)
    for each in members:
        by_host[membership.canonical(each.host)].append(each)
    recorded: set[tuple[str, str | None]] = set()
    for record in records:
        host = record['host']
        known = by_host.get(membership.canonical(host), ())
        cell = services.cell_of(record)
        # Members of a backend that does not know cells match any cell.
        member = next((it for it in known if it.cell in (None, cell)), None)
        if member is not None:
            recorded.add((member.host, member.cell))
        yield host, cell, member, record
    for each in members:
        if (each.host, each.cell) not in recorded:
            yield each.host, each.cell, each, None
