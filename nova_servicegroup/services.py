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

"""Interfaces of the services that join, and of Nova's services table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol

from nova_servicegroup import exceptions

#: The name of Nova's services table in errors.
TABLE = 'services table'

#: A record of Nova's services table: an object with mapping access, or a dict.
#: Its fields used here: host, topic, binary, last_seen_up, created_at,
#: updated_at; of an object, also its context.
ServiceRef = Mapping[str, Any]

#: The groups that Nova's services join.
GROUPS = ('compute', 'conductor', 'scheduler')
#: The group of the agents, one on each host.
HOST_GROUP = 'host'
#: The group whose processes they watch.
WATCHED_GROUP = 'compute'

#: The last heartbeat in the record of a service that has left, in seconds
#: since the epoch. Every reader, Nova's own driver included, calls the service
#: down. No clock shows this time; it is a day after the epoch since not all
#: databases know the zone of a time that is written.
LEFT = 86400.0

#: The UUID of a record, or ''; its host; and the time of its last heartbeat,
#: or else of its creation, in seconds since the epoch, or None.
Row = tuple[str, str, float | None]


class Joined(NamedTuple):
    """A membership of one process of this host.

    :ivar host: as it has joined
    :ivar group: that it has joined
    :ivar incarnation: of the process; see drivers.common.naming
    :ivar record_id: of its record in Nova's services table; 0: it has none
    """

    host: str
    group: str
    incarnation: str
    record_id: int


class Heartbeats(NamedTuple):
    """The heartbeats of a group in the database of one cell.

    :ivar now: the database's time, in seconds since the epoch
    :ivar rows: one for each service
    """

    now: float
    rows: Sequence[Row]


class Table(Protocol):
    """Nova's services table, in every cell that this process can reach.

    Each method raises NoAccess if this process has no access to a database,
    and BackendError if nothing could be read.
    """

    def cells(self) -> list[str | None]:
        """Return the UUIDs of the cells; None stands for the only cell."""

    def heartbeats(self, cell: str | None, group: str) -> Heartbeats:
        """Return the heartbeats of a group in one cell."""

    def records(self, group: str) -> list[ServiceRef]:
        """Return the records of a group in all cells.

        :raises PartialRecords: some cells did not answer; has the other
            records
        """


class NoTable:
    """A services table that this process cannot reach.

    :param reason: why
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        """See Table."""
        raise exceptions.NoAccess(TABLE, self._reason)

    cells = heartbeats = records = _refuse


class Timers(Protocol):
    """The part of oslo.service's ThreadGroup that is used."""

    def add_timer_args(
        self,
        interval: float,
        callback: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        initial_delay: float | None = None,
        stop_on_exception: bool = True,
    ) -> Any: ...


class Service(Protocol):
    """A service that joins, as a driver may use it.

    A service with a record may also have the methods of Recorded.

    :ivar report_interval: seconds; 0: the service never reports
    :ivar host: the host that it runs on
    :ivar binary: the name of its program
    :ivar record_id: the id of its record
    :ivar collects: whether it writes the heartbeats of services without access
        to the database
    """

    report_interval: float
    tg: Timers
    host: str
    binary: str
    collects: bool

    @property
    def record_id(self) -> int: ...

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call callback once, after the service has stopped its work."""

    def save_heartbeat(self) -> None:
        """Write one heartbeat to the service's record.

        :raises RecordDeleted: the record is gone
        :raises BackendError: it could not be written
        """

    def note_heartbeat(self) -> None:
        """Note that another process wrote a heartbeat to the record."""

    def engine(self) -> Any:
        """Return the SQLAlchemy engine of the services table.

        None if the service has no access to it.
        """

    def transport(self) -> Any:
        """Return oslo.messaging's RPC transport, or None."""

    def new_transport(self, options: Mapping[str, str]) -> Any:
        """Return an RPC transport that is not shared, or None.

        :param options: oslo.messaging's, by name; those in the operator's URL
            take precedence
        """


class Recorded(Protocol):
    """More methods of a service whose record others may write."""

    def read_heartbeat(self) -> object:
        """Return a value of the record that each heartbeat changes.

        :raises RecordDeleted: the record is gone
        :raises BackendError: it could not be read
        """

    def save_departure(self) -> None:
        """Write to the record that the service has left, see LEFT.

        Writes nothing if another process reports for the record, too.

        :raises RecordDeleted: the record is gone
        :raises BackendError: it could not be written
        """


class Unrecorded:
    """A service that has no record in Nova. It can only join.

    :param group: the group that it will join
    :param timers: runs its heartbeat
    """

    record_id = 0
    collects = False

    def __init__(
        self, host: str, group: str, report_interval: float, timers: Timers
    ) -> None:
        self.host = host
        self.binary = f'nova-{group}'
        self.report_interval = report_interval
        self.tg = timers
        self._callbacks: list[Callable[[], None]] = []

    def on_stop(self, callback: Callable[[], None]) -> None:
        """See Service."""
        self._callbacks.append(callback)

    def stop(self) -> None:
        """Run the callbacks of on_stop, once."""
        while self._callbacks:
            self._callbacks.pop()()

    def save_heartbeat(self) -> None:
        """See Service."""
        raise exceptions.BackendError(TABLE, 'there is no record')

    def note_heartbeat(self) -> None:
        """See Service."""

    def engine(self) -> Any:
        """See Service."""
        return None

    def transport(self) -> Any:
        """See Service."""
        return None

    def new_transport(self, options: Mapping[str, str]) -> Any:
        """See Service."""
        return None


def has_left(beat: float) -> bool:
    """Return whether this time of a heartbeat means that its service left."""
    return beat <= 2 * LEFT


def cell_of(service_ref: ServiceRef) -> str | None:
    """Return the UUID of the cell that a record was read from, if known."""
    context = getattr(service_ref, '_context', None)
    return getattr(context, 'cell_uuid', None)


def uuid_of(service_ref: ServiceRef) -> str | None:
    """Return the UUID of a record, or None.

    An object's get takes several times as long, and every verdict needs this.
    """
    try:
        uuid: str | None = service_ref['uuid']
    except Exception:
        # There is no such key, or Nova has not loaded the attribute.
        return None
    return uuid
