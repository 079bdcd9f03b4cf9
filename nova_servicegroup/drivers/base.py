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
from collections.abc import Callable, Iterable, Sequence
import dataclasses
import datetime
import time
from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import timeutils

from nova_servicegroup import condition
from nova_servicegroup.drivers import record_cache
from nova_servicegroup.drivers import views
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup import opts
from nova_servicegroup import pace
from nova_servicegroup import process
from nova_servicegroup import reporter
from nova_servicegroup import services

if TYPE_CHECKING:
    from nova_servicegroup.drivers.common import peers

LOG = logging.getLogger(__name__)

#: Seconds that reading the services table may take.
RECORDS_WAIT = 5.0

#: The backends of which checks know more; see Driver.
ZOOKEEPER, MEMCACHED, DATABASE = 'ZooKeeper', 'memcached', 'database'
ETCD = 'etcd'
REDIS = 'redis'


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a member takes, at most.

    :ivar threads: of its process, for each connection
    :ivar files: that its process has open, for each connection
    :ivar spread: whether a member connects to one of the servers, or to all
    :ivar taken: so many connections a server takes, from one address or in
        all, unless it is told otherwise
    :ivar setting: how the server is told
    """

    threads: int
    files: int
    spread: bool
    taken: int
    setting: str


class Driver(abc.ABC):
    """A way of telling which services are alive.

    Constructing a driver checks its options and does nothing else: no
    thread, no socket, no lock. Everything real is made at first use, once
    for each process.
    """

    #: Whether only a service with a record in Nova's table can join.
    needs_record = False
    #: What it reports to, for checks that know that kind of backend.
    backend: str = ''
    #: What a member takes, at most; None: it cannot be told.
    cost: Cost | None = None
    #: The addresses of the backend, as configured; empty: it is the memory of
    #: each process; None: it cannot be told.
    servers: Sequence[str] | None = None
    #: Seconds in which the backend gives up a member that has died, at the
    #: latest; None: it cannot be told.
    found_within: float | None = None
    #: Whether is_up is False for who is alive and of no use: where a process
    #: chooses who runs new servers. To all others these are up.
    passes_over_unfit = False
    #: Whether others know what mark says. If not, members are not checked.
    shows_marks = False

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Check the options.

        :raises ConfigurationError: an option cannot be used
        """
        self.conf = conf
        #: Nova's services table; given by who has access to it.
        self.table: services.Table = services.NoTable(
            'this process was given no access to it'
        )
        self._records = record_cache.Records(
            lambda group: self.table.records(group)
        )

    @abc.abstractmethod
    def join(self, member: str, group: str, service: services.Service) -> None:
        """Make member part of group for as long as service runs.

        Returns within a few seconds also while the backend is away; the
        beat then goes on trying.
        """

    @abc.abstractmethod
    def leave(self, member: str, group: str) -> None:
        """End the membership that this process joined; bounded in time."""

    def mark(  # noqa: B027
        self, member: str, group: str, said: condition.Condition | None
    ) -> None:
        """Have others know that a member of this process is of no use.

        Called at each change, once it has joined. Returns in bounded time,
        never raises, and goes on trying; it ends with the membership.

        :param said: None: it is of use again
        """

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

        :returns: an aware time, in UTC, or the record's ``updated_at`` as it
            is; None when neither is known
        :raises: what reading the record raises
        """

    @abc.abstractmethod
    def view(self, group: str, detailed: views.Detailed = False) -> views.View:
        """Return a group as this process sees it. Never raises.

        :param detailed: it may take a question for each process
        """

    def expect(self, group: str, hosts: Iterable[str]) -> None:  # noqa: B027
        """Take note of hosts that somebody is going to ask about.

        Where the backend has no list of all, the next reading asks for them.
        """

    def read_records(
        self, group: str, wait: float = RECORDS_WAIT
    ) -> list[services.ServiceRef]:
        """Return the records of a group, as table does, in bounded time.

        :param wait: seconds that reading them may take, whoever began it
        :raises BackendError: they cannot be read, or not in time
        """
        return self._records.read(group, wait)

    def close(self) -> None:  # noqa: B027
        """Leave every group and end this process's connections, in a second.

        For programs that end; a driver is of no use after it.
        """

    def peer_group(self, name: str, host: str) -> 'peers.PeerGroup | None':
        """Return this process's part in a group of programs of one kind.

        :param host: where it runs
        :returns: None: the driver has nothing on which they could meet
        """
        return None

    def check(self) -> str:
        """Ask the backend once, for operators' checks.

        :returns: a line about the backend that answered
        :raises BackendError: it did not
        """
        raise NotImplementedError


def observe(
    conf: cfg.ConfigOpts,
    name: str,
    source: observer.Source,
    settle_time: float,
    patience: pace.Patience | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> observer.Observer:
    """Return an observer of a group, as the options say.

    :param name: what to call the group in the log
    :param settle_time: see membership.Membership
    :param patience: with the backend, if it is shared by several groups
    """
    return observer.Observer(
        name,
        source,
        lambda now: membership.Membership(
            now, opts.hold_time(conf), settle_time, pace.IDLE
        ),
        refresh_interval=conf.servicegroup.refresh_interval,
        patience=patience or make_patience(conf),
        clock=clock,
    )


def make_patience(conf: cfg.ConfigOpts) -> pace.Patience:
    """Return the patience with one backend, as the options say."""
    return pace.Patience(conf.servicegroup.read_timeout, process.blind_wait())


def is_up_all_the_same(service_ref: services.ServiceRef) -> bool:
    """Return the verdict on a record that could not be judged.

    Nobody can have joined who has no name. Any other error is no evidence.
    """
    try:
        named = isinstance(service_ref['host'], str) and group_of(service_ref)
    except Exception:
        return False
    if named:
        LOG.exception('A service could not be judged; it is presumed up.')
    return bool(named)


def group_of(service_ref: services.ServiceRef) -> str:
    """Return the group of a record: its topic, or as Nova derives it."""
    topic: str = service_ref['topic']
    return topic or service_ref['binary'].rpartition('nova-')[2]


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
    :returns: see later
    """
    proof = None if age is None else observer.time_ago(age)
    return later(proof, service_ref)


def later(
    proof: datetime.datetime | None, service_ref: services.ServiceRef
) -> datetime.datetime | None:
    """Return the later of a proof of life and the record's own update.

    Nova reads a time of the record as its own driver returns it: unchanged.

    :param proof: its time, aware; None: there is none
    :returns: proof, or the record's ``updated_at`` as it is
    """
    updated: datetime.datetime | None = service_ref['updated_at']
    if proof is None:
        return updated
    recorded = aware(updated or None)
    return updated if recorded is not None and recorded > proof else proof
