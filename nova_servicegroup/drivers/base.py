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

from nova_servicegroup import condition
from nova_servicegroup.drivers import record_cache
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
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

#: The kinds of backends that checks know; see Driver.backend.
ZOOKEEPER, MEMCACHED, DATABASE = 'ZooKeeper', 'memcached', 'database'
ETCD = 'etcd'
REDIS = 'redis'


@dataclasses.dataclass(frozen=True)
class Cost:
    """The resources that a member needs, at most.

    :ivar threads: threads of its process, for each connection
    :ivar files: open files of its process, for each connection
    :ivar spread: whether a member connects to one of the servers, or to all
    :ivar max_connections: those that a server takes by default, from one
        address or in all
    :ivar setting: the server's setting that changes this
    """

    threads: int
    files: int
    spread: bool
    max_connections: int
    setting: str


class Driver(abc.ABC):
    """The interface by which services join groups, and are judged up or down.

    Constructing a driver checks its options and does nothing else: no
    thread, no socket, no lock. These are made at first use, once for each
    process.
    """

    #: Whether only a service with a record in Nova's services table can join.
    needs_record = False
    #: The kind of backend, for checks that know it.
    backend: str = ''
    #: The resources that a member needs, at most, or None if unknown.
    cost: Cost | None = None
    #: The addresses of the backend, as configured, or None if unknown. Empty
    #: if the backend is the memory of each process.
    servers: Sequence[str] | None = None
    #: Seconds after which the backend drops a member that has died, at the
    #: latest, or None if unknown.
    found_within: float | None = None
    #: Seconds for which it keeps a member since it was last renewed, at the
    #: least, or None if unknown.
    kept_for: float | None = None
    #: Whether is_up is False for members that are alive and unfit. Set in a
    #: process that chooses hosts for new servers; to all others they are up.
    passes_over_unfit = False
    #: Whether no reading lacks a member that was confirmed before, and has not
    #: ended since; but for the time by which one server lags behind another.
    readings_agree = False
    #: Whether others see what mark says. If not, members are not checked.
    shows_marks = False

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Check the options.

        :raises ConfigurationError: an option cannot be used
        """
        self.conf = conf
        #: Nova's services table, set by a program with access to it.
        self.table: services.Table = services.NoTable(
            'this process was given no access to it'
        )
        self._records = record_cache.Records(self)

    @abc.abstractmethod
    def join(self, member: str, group: str, service: services.Service) -> None:
        """Make member part of group for as long as service runs.

        Returns within a few seconds. While the backend is away, the heartbeat
        goes on trying.
        """

    @abc.abstractmethod
    def leave(self, member: str, group: str) -> None:
        """End a membership of this process, in bounded time."""

    def end(self, joined: services.Joined, ago: float = 0.0) -> None:
        """End the membership of a process of this host that has died.

        It never ends that of another process, not even of the same host. A
        membership that may also be another's is left to expire, as is one of
        which the backend hears later.

        :param ago: the seconds since another process of this host may have
            joined in its place; infinity: it may have done so at any time
        :raises BackendError: that has failed, or the driver cannot do that
        """
        raise exceptions.BackendError(
            self.backend, 'the driver cannot end what another process joined'
        )

    def mark(  # noqa: B027
        self, member: str, group: str, condition: condition.Condition | None
    ) -> None:
        """Publish that a member of this process is unfit; see condition.

        Called at each change, once the member has joined. Returns in bounded
        time, never raises, and goes on trying. Ends with the membership.

        :param condition: why it is unfit, or None if it is fit again
        """

    def proof(self, member: str, group: str) -> float | None:
        """Return when a member of this process was certainly a member.

        That is before the request by which the backend has confirmed it last.

        :returns: by time.monotonic; None: it was not confirmed, or has left
        """
        return None

    def reporters(self) -> dict[tuple[str, str], reporter.Reporter]:
        """Return the reporters of this process, by member and group."""
        return {}

    def observers(self) -> dict[str, observer.Observer]:
        """Return the observers that this process uses, by group (and cell)."""
        return {}

    @abc.abstractmethod
    def is_up(self, service_ref: services.ServiceRef) -> bool:
        """Return whether the service is alive. Never raises."""

    @abc.abstractmethod
    def updated_time(
        self, service_ref: services.ServiceRef
    ) -> datetime.datetime | None:
        """Return when the service was last up, or its record's later update.

        That is its last proof of life; now, if it is up without a recent one.

        :returns: an aware time, in UTC, or the record's ``updated_at`` as it
            is, or None if neither is known
        :raises: any error of reading the record
        """

    @abc.abstractmethod
    def view(self, group: str, detailed: views.Detailed = False) -> views.View:
        """Return a group as this process sees it. Never raises.

        :param detailed: whether to ask each process where it runs, too
        """

    def expect(self, group: str, hosts: Iterable[str]) -> None:  # noqa: B027
        """Announce hosts that the next calls will ask about.

        If the backend cannot list all members, the next reading asks for them.
        """

    def read_records(
        self, group: str, wait: float = RECORDS_WAIT
    ) -> list[services.ServiceRef]:
        """Return the records of a group from table, in bounded time.

        :param wait: seconds to wait for them, also if another thread reads
        :raises BackendError: they cannot be read, or not in time
        """
        return self._records.read(group, wait)

    def close(self) -> None:  # noqa: B027
        """Leave every group and end this process's connections, in a second.

        For programs that end: the driver cannot be used any more.
        """

    def peer_group(self, name: str, host: str) -> 'peers.PeerGroup | None':
        """Return the member that this process is to be of a group of programs.

        :param host: the host on which it runs
        :returns: None if the backend cannot keep such a group
        """
        return None

    def check(self) -> str:
        """Ask the backend once, for operators' checks.

        :returns: a line about the backend that has answered
        :raises BackendError: it has not
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

    :param name: the name of the group in the log
    :param settle_time: see membership.Membership
    :param patience: that of all groups on one backend, or None for a new one
    """
    return observer.Observer(
        name,
        source,
        membership.Membership(
            clock(), opts.hold_time(conf), settle_time, pace.IDLE
        ),
        refresh_interval=conf.servicegroup.refresh_interval,
        patience=patience or make_patience(conf),
        clock=clock,
    )


def make_patience(conf: cfg.ConfigOpts) -> pace.Patience:
    """Return a new patience for one backend, as the options say."""
    return pace.Patience(conf.servicegroup.read_timeout, process.blind_wait())


def presume_up(service_ref: services.ServiceRef) -> bool:
    """Return the verdict on a record that could not be judged.

    A record without a host name cannot have joined and is down. Any other
    error is no evidence, and the service is up.
    """
    try:
        named = isinstance(service_ref['host'], str) and group_of(service_ref)
    except Exception:
        return False
    if named:
        LOG.exception('A service could not be judged; it is presumed up.')
    return bool(named)


def group_of(service_ref: services.ServiceRef) -> str:
    """Return the group of a record: its topic, or Nova's by its binary."""
    topic: str = service_ref['topic']
    return topic or service_ref['binary'].rpartition('nova-')[2]
