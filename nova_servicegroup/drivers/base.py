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

"""The contract between the API and its drivers."""

import abc
from collections.abc import Callable, Collection, Sequence
import dataclasses
import datetime

from oslo_config import cfg
from oslo_utils import timeutils

from nova_servicegroup.drivers import _records
from nova_servicegroup import exceptions
from nova_servicegroup import observer
from nova_servicegroup import reporter
from nova_servicegroup import services


#: Seconds that reading the services table may take.
RECORDS_WAIT = 5.0

#: The states of a member.
UP, HELD, DOWN = 'up', 'held', 'down'


@dataclasses.dataclass(frozen=True)
class Incarnation:
    """One process behind a member. None: it is not known, or was not asked.

    :ivar name: what the backend calls it
    :ivar since: when it joined, in seconds since the epoch by its own clock
    :ivar machine: the name of the machine that it runs on
    :ivar pid: of the process
    :ivar reads: the driver by which its process asks who is up
    """

    name: str
    since: float | None = None
    machine: str | None = None
    pid: int | None = None
    reads: str | None = None


@dataclasses.dataclass(frozen=True)
class Member:
    """One member of a group, as an observer sees it.

    :ivar host: the host that joined
    :ivar group: the group that it joined
    :ivar up: the verdict
    :ivar held: up only because absence is not yet evidence
    :ivar proof_age: seconds since the last proof of life; None: never seen
    :ivar incarnations: the processes behind it
    """

    host: str
    group: str
    up: bool
    held: bool = False
    proof_age: float | None = None
    incarnations: tuple[Incarnation, ...] = ()

    @property
    def state(self) -> str:
        """UP, HELD or DOWN."""
        if not self.up:
            return DOWN
        return HELD if self.held else UP


@dataclasses.dataclass(frozen=True)
class View:
    """A group as an observer sees it.

    :ivar members: sorted by host. Drivers other than db leave out who is down
    :ivar age: seconds since the backend has confirmed it; None: it never has
    :ivar error: why it could not be read just now; None: it could
    """

    members: tuple[Member, ...]
    age: float | None
    error: exceptions.BackendError | None = None


#: Whether to also ask where the processes behind members run: of all, or only
#: of some hosts.
Detailed = bool | Collection[str]


class Driver(abc.ABC):
    """A way of telling which services are alive.

    Constructing a driver checks its options and does nothing else: no
    thread, no socket, no lock. Everything real is made at first use, once
    for each process.
    """

    #: Whether only a service with a record in Nova's table can join.
    needs_record = False
    #: The addresses of the backend, as configured; empty: it is the memory of
    #: each process; None: it cannot be told.
    servers: Sequence[str] | None = None
    #: Seconds in which the backend gives up a member that has died, at the
    #: latest; None: it cannot be told.
    found_within: float | None = None

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Check the options.

        :raises ConfigurationError: an option cannot be used
        """
        self.conf = conf
        #: Returns the records of a group; given by who has access to them.
        #: Raises BackendError.
        self.records: Callable[[str], list[services.ServiceRef]] = no_records
        self._records = _records.Records(lambda group: self.records(group))

    @abc.abstractmethod
    def join(self, member: str, group: str, service: services.Service) -> None:
        """Make member part of group for as long as service runs.

        Returns within a few seconds also while the backend is away; the
        beat then goes on trying.
        """

    @abc.abstractmethod
    def leave(self, member: str, group: str) -> None:
        """End the membership that this process joined; bounded in time."""

    def reporters(self) -> dict[tuple[str, str], reporter.Reporter]:
        """Return what beats in this process, by member and group."""
        return {}

    @abc.abstractmethod
    def is_up(self, service_ref: services.ServiceRef) -> bool:
        """Tell whether the service is alive. Never raises."""

    @abc.abstractmethod
    def updated_time(
        self, service_ref: services.ServiceRef
    ) -> datetime.datetime | None:
        """Return the last proof of life, or the record's update if newer.

        :returns: an aware time, or None when neither is known
        """

    @abc.abstractmethod
    def view(self, group: str, detailed: Detailed = False) -> View:
        """Return a group as this process sees it. Never raises.

        :param detailed: see Detailed; it may take a question for each process
        """

    def read_records(
        self, group: str, wait: float = RECORDS_WAIT
    ) -> list[services.ServiceRef]:
        """Return the records of a group, as records does, in bounded time.

        :param wait: seconds that reading them may take, whoever began it
        :raises BackendError: they cannot be read, or not in time
        """
        return self._records.read(group, wait)

    def close(self) -> None:  # noqa: B027
        """Leave every group and end this process's connections, in a second.

        For programs that end; a driver is of no use after it.
        """

    def check(self) -> str:
        """Ask the backend once, for operators' checks.

        :returns: a line about the backend that answered
        :raises BackendError: it did not
        """
        raise NotImplementedError


def is_wanted(detailed: Detailed, host: str) -> bool:
    """Tell whether to ask where the processes of a host run."""
    return detailed if isinstance(detailed, bool) else host in detailed


def no_records(group: str) -> list[services.ServiceRef]:
    """Stand for access to the services table where there is none.

    :raises NoAccess: always
    """
    raise exceptions.NoAccess(
        'services table', 'this process was given no access to it'
    )


def group_of(service_ref: services.ServiceRef) -> str:
    """Return the group of a record: its topic, or as Nova derives it."""
    topic: str = service_ref['topic']
    return topic or service_ref['binary'].rpartition('nova-')[2]


def view_of(
    seen: observer.Observer,
    group: str,
    incarnations: Callable[[str], tuple[Incarnation, ...]],
) -> View:
    """Return what an observer sees of a group.

    :param incarnations: tells them of a host
    """
    membership = seen.members()
    members = tuple(
        Member(
            host,
            group,
            seen.is_up(host),
            membership.is_held(host),
            seen.proof_age(host),
            incarnations(host),
        )
        for host in sorted(membership)
    )
    return View(members, seen.age(), seen.error)


def aware(value: datetime.datetime | str | None) -> datetime.datetime | None:
    """Return a record's time, in UTC; records hold it naive, too, or as text.

    :raises ValueError: a text that is no time
    """
    if isinstance(value, str):
        value = timeutils.parse_isotime(value)
    if value is None or value.tzinfo is not None:
        return value
    return value.replace(tzinfo=datetime.timezone.utc)


def newer(
    age: float | None, service_ref: services.ServiceRef
) -> datetime.datetime | None:
    """Return the newer of a proof of life and the record's own update.

    :param age: seconds since the proof; None: there is none
    """
    proof = None if age is None else observer.time_ago(age)
    return later(proof, service_ref)


def later(
    proof: datetime.datetime | None, service_ref: services.ServiceRef
) -> datetime.datetime | None:
    """Return the later of a proof of life and the record's own update.

    :param proof: its time, aware; None: there is none
    """
    updated = aware(service_ref['updated_at'])
    if proof is None or updated is None:
        return proof or updated
    return updated if updated > proof else proof
