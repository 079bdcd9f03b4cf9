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

"""What is asked of the services that join, and of their records."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from nova_servicegroup import exceptions

#: What to call Nova's services table in errors.
TABLE = 'services table'

#: A record of Nova's services table: an object with mapping access or a dict.
#: Read here: host, topic, binary, last_seen_up, created_at, updated_at, and
#: the context of an object.
ServiceRef = Mapping[str, Any]

#: The groups that the services of today's Nova join.
GROUPS = ('compute', 'conductor', 'scheduler')

#: The time of the last heartbeat that the record of a service shows which has
#: left, in seconds since the epoch. Whoever reads it, Nova's own driver as
#: well, calls the service down. No clock shows it, and not all databases know
#: the zone of a time that is written.
LEFT = 86400.0

#: The UUID of a record, empty if it has none; its host; and the time of its
#: last heartbeat, or else of its creation, in seconds since the epoch; None:
#: it has neither.
Row = tuple[str, str, float | None]


class Heartbeats(NamedTuple):
    """What the database of one cell says of a group.

    :ivar now: the database's time, in seconds since the epoch
    :ivar rows: one for each service
    """

    now: float
    rows: Sequence[Row]


class Table(Protocol):
    """Nova's services table, in every cell that this process can reach.

    Each raises NoAccess where this process has no access to a database, and
    BackendError where nothing could be read.
    """

    def cells(self) -> list[str | None]:
        """Return what tells each cell, as cell_of does; None: the only one."""

    def heartbeats(self, cell: str | None, group: str) -> Heartbeats:
        """Return the heartbeats of a group in one cell."""

    def records(self, group: str) -> list[ServiceRef]:
        """Return the records of a group in all cells.

        :raises PartialRecords: some did not answer; it has those of the others
        """


class NoTable:
    """Stands for a services table that this process cannot reach.

    :param reason: why
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def cells(self) -> list[str | None]:
        """See Table."""
        raise self._error()

    def heartbeats(self, cell: str | None, group: str) -> Heartbeats:
        """See Table."""
        raise self._error()

    def records(self, group: str) -> list[ServiceRef]:
        """See Table."""
        raise self._error()

    def _error(self) -> exceptions.NoAccess:
        return exceptions.NoAccess(TABLE, self._reason)


class Timers(Protocol):
    """What is used of oslo.service's ThreadGroup."""

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
    """What a driver may ask of the service that joins.

    A service with a record may also have the methods of Recorded.

    :ivar report_interval: seconds; 0 means that the service never reports
    :ivar host: the host that it runs on
    :ivar binary: the name of its program
    :ivar record_id: the number of its record
    :ivar collects: whether it writes the heartbeats of services that have no
        access to the database
    """

    report_interval: float
    tg: Timers
    host: str
    binary: str
    collects: bool

    @property
    def record_id(self) -> int: ...

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Have callback run once, after the service has stopped its work."""

    def save_heartbeat(self) -> None:
        """Write one heartbeat to the service's record.

        :raises RecordDeleted: the record is gone
        :raises BackendError: it could not be written
        """

    def note_heartbeat(self) -> None:
        """Take note that somebody else wrote a heartbeat to the record."""

    def engine(self) -> Any:
        """Return the SQLAlchemy engine of the services table.

        None where the service has no access to it.
        """

    def transport(self) -> Any:
        """Return oslo.messaging's RPC transport, or None."""

    def new_transport(self, options: Mapping[str, str]) -> Any:
        """Return one that is not shared, or None.

        :param options: oslo.messaging's, by name; what the operator has put
            into the URL goes before
        """


class Recorded(Protocol):
    """What a driver asks of a service that has others keep its record."""

    def read_heartbeat(self) -> object:
        """Return what changes in the record with each heartbeat.

        :raises RecordDeleted: the record is gone
        :raises BackendError: it could not be read
        """

    def save_departure(self) -> None:
        """Have the record say that the service has left, see LEFT.

        Nothing is written where somebody else reports for the record as well.

        :raises RecordDeleted: the record is gone
        :raises BackendError: it could not be written
        """


class Unrecorded:
    """A service that Nova knows nothing of: all that it can do is join.

    :param group: that it is to join
    :param timers: where its beat runs
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
        """Call what waits for the stop, once; its work has stopped."""
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
    """Tell whether the time of a heartbeat means that the service has left."""
    return beat <= 2 * LEFT


def cell_of(service_ref: ServiceRef) -> str | None:
    """Return what tells the cell that a record was read from, if known."""
    context = getattr(service_ref, '_context', None)
    return getattr(context, 'cell_uuid', None)


def number_of(service_ref: ServiceRef) -> str | None:
    """Return the UUID of a record; None: it has none.

    An object's get takes several times as long, and this is asked for each
    verdict.
    """
    try:
        number: str | None = service_ref['uuid']
    except Exception:
        # No such key, or an attribute that Nova has not loaded.
        return None
    return number
