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

"""Heartbeats in Nova's services table: one UPDATE for all of a batch."""

from collections.abc import Callable, Collection, Iterable, Iterator
import datetime
import functools
import time
from typing import Any, cast, TypeVar

from oslo_db import api as db_api
from oslo_db import exception as db_exc
import sqlalchemy as sa

from nova_servicegroup.drivers.db import timestamps
from nova_servicegroup import exceptions
from nova_servicegroup import services

#: Seconds for which a write is retried, and a read, which is repeated soon
#: anyway.
_RETRY_TIME = 2.0
_READ_RETRY_TIME = 0.5
#: The longest time by which a batch may be written after the next one.
_OVERTAKEN = datetime.timedelta(seconds=15)
#: The time after a service has left in which its last heartbeats may still
#: come. Most likely, it starts again later.
_LEAVING = datetime.timedelta(seconds=5)
#: The database writes whole seconds, and Nova the time of another clock.
_SLACK = datetime.timedelta(seconds=2)
_EPOCH = datetime.datetime(1970, 1, 1)
#: See services.LEFT.
_LEFT_AGE = datetime.timedelta(seconds=services.LEFT)
_LEFT, _MOST_LEFT = _EPOCH + _LEFT_AGE, _EPOCH + 2 * _LEFT_AGE

#: Errors after which a retry may succeed.
_TRANSIENT = (db_exc.DBDeadlock, db_exc.DBConnectionError)

_SERVICES = sa.table(
    'services',
    sa.column('id'),
    sa.column('deleted'),
    sa.column('report_count'),
    sa.column('uuid'),
    sa.column('host'),
    sa.column('binary'),
    sa.column('topic'),
    sa.column('created_at', sa.DateTime()),
    sa.column('last_seen_up', sa.DateTime()),
    sa.column('updated_at', sa.DateTime()),
)


F = TypeVar('F', bound=Callable[..., Any])


def _retried(seconds: float) -> Callable[[F], F]:
    """Decorate a method: retry it after deadlocks and lost connections.

    Any other error becomes a BackendError.

    :param seconds: for which it is retried
    """

    def decorate(method: F) -> F:
        @functools.wraps(method)
        def retried(*args: Any) -> Any:
            try:
                return _retry_until(time.monotonic() + seconds)(method)(*args)
            except exceptions.ServiceGroupError:
                raise
            except Exception as error:
                raise exceptions.BackendError(
                    services.TABLE, exceptions.first_line(error)
                ) from error

        return cast(F, retried)

    return decorate


def _retry_until(end: float) -> db_api.wrap_db_retry:
    # At oslo.db's own limit it would log an error.
    return db_api.wrap_db_retry(
        max_retries=1000,
        retry_interval=0.2,
        inc_retry_interval=True,
        max_retry_interval=1,
        jitter=True,
        exception_checker=lambda error: (
            isinstance(error, _TRANSIENT) and time.monotonic() < end
        ),
    )


class Store:
    """Writes and reads heartbeats, and the database's time.

    :param engine: returns the SQLAlchemy engine of the process
    """

    def __init__(self, engine: Callable[[], Any]) -> None:
        self._engine = engine

    def beat(
        self,
        ids: Collection[int],
        at: float | None = None,
        sent: float | None = None,
    ) -> set[int]:
        """Write heartbeats; return the ids of records that do not exist.

        Sets the columns that Nova sets when it saves a heartbeat.

        :param ids: of the records
        :param at: when the heartbeats came, by the database's clock, so that
            the time to write them does not count; None: when they are written
        :param sent: when the first was sent, by the same; None: unknown
        :raises BackendError: nothing was written
        """
        wanted = sorted(set(ids))
        if self._update(wanted, at, sent) == len(wanted):
            return set()
        return set(wanted) - self._existing(wanted)

    def left(self, ids: Collection[int]) -> set[int]:
        """Return the ids of those that have left.

        :raises BackendError: the database does not answer
        """
        return self._existing(ids, _SERVICES.c.last_seen_up <= _MOST_LEFT)

    @_retried(_RETRY_TIME)
    def _update(
        self, ids: list[int], at: float | None, sent: float | None
    ) -> int:
        seen: Any = timestamps.utcnow() if at is None else _later(at)
        statement = (
            sa.update(_SERVICES)
            .where(
                _SERVICES.c.id.in_(ids),
                _SERVICES.c.deleted == 0,
                *(() if at is None else (_is_not_leaving(at, sent),)),
            )
            .values(
                report_count=_SERVICES.c.report_count + 1,
                last_seen_up=seen,
                updated_at=timestamps.utcnow(),
            )
        )
        with self._engine().begin() as connection:
            return int(connection.execute(statement).rowcount)

    @_retried(_RETRY_TIME)
    def leave(self, record: int) -> None:
        """Write that a service has left, if its record exists.

        :raises BackendError: nothing was written
        """
        self._leave(record)

    @_retried(_RETRY_TIME)
    def end(self, record: int, at: float) -> bool:
        """Write that a service has left, unless it was alive later than at.

        :param at: when its process had ended, by the database's clock
        :returns: whether that was written
        :raises BackendError: nothing was written
        """
        return self._leave(record, _SERVICES.c.last_seen_up <= _naive(at))

    def _leave(self, record: int, *conditions: Any) -> bool:
        table = _SERVICES.c
        statement = (
            sa.update(_SERVICES)
            .where(table.id == record, table.deleted == 0, *conditions)
            .values(last_seen_up=_LEFT, updated_at=timestamps.utcnow())
        )
        with self._engine().begin() as connection:
            return bool(connection.execute(statement).rowcount)

    @_retried(_RETRY_TIME)
    def _existing(self, ids: Collection[int], *conditions: Any) -> set[int]:
        table = _SERVICES.c
        query = sa.select(table.id).where(
            table.id.in_(sorted(ids)), table.deleted == 0, *conditions
        )
        with self._engine().connect() as connection:
            return {row.id for row in connection.execute(query)}

    @_retried(_RETRY_TIME)
    def now(self) -> float:
        """Return the database's time in seconds since the epoch.

        :raises BackendError: it does not answer
        """
        with self._engine().connect() as connection:
            return _read_now(connection)

    @_retried(_READ_RETRY_TIME)
    def read(self, group: str) -> services.Heartbeats:
        """Return the heartbeats of a group.

        :raises BackendError: the database does not answer
        """
        table = _SERVICES.c
        seen = sa.func.coalesce(
            timestamps.epoch(table.last_seen_up),
            timestamps.epoch(table.created_at),
        )
        query = sa.select(table.uuid, table.host, seen).where(
            table.deleted == 0, _is_of(group)
        )
        with self._engine().connect() as connection:
            now = _read_now(connection)
            return services.Heartbeats(
                now, list(_rows(connection.execute(query)))
            )


def _read_now(connection: Any) -> float:
    now: Any = connection.execute(
        sa.select(timestamps.precise_utcnow())
    ).scalar()
    if isinstance(now, str):
        now = datetime.datetime.fromisoformat(now)
    return float((now.replace(tzinfo=None) - _EPOCH).total_seconds())


def _is_of(group: str) -> Any:
    """Return the condition that a record is of a group: base.group_of."""
    topic, binary = _SERVICES.c.topic, _SERVICES.c.binary
    return sa.or_(
        topic == group,
        sa.and_(
            sa.func.coalesce(topic, '') == '',
            binary.in_([group, f'nova-{group}']),
        ),
    )


def _rows(found: Iterable[Any]) -> Iterator[services.Row]:
    """Return rows of the table as services.Row.

    A very old record may have no UUID. Records without a host are left out.
    """
    for uuid, host, seen in found:
        if isinstance(host, str):
            yield uuid or '', host, None if seen is None else float(seen)


def _is_not_leaving(at: float, sent: float | None) -> Any:
    """Return the condition that a service has not left just before.

    A heartbeat that comes just after that was sent before it, unless it says
    when it was sent: then the service has been started again.
    """
    came, table = _naive(at), _SERVICES.c
    since = came - _LEAVING
    if sent is not None:
        since = max(since, _naive(min(sent, at)) - _SLACK)
    return sa.or_(
        table.last_seen_up.is_(None),
        table.last_seen_up > _MOST_LEFT,
        table.updated_at.is_(None),
        sa.not_(table.updated_at.between(since, came + _SLACK)),
    )


def _naive(at: float) -> datetime.datetime:
    """Return a time, in seconds since the epoch, as Nova's columns hold it."""
    then = datetime.datetime.fromtimestamp(int(at), datetime.timezone.utc)
    return then.replace(tzinfo=None)


def _later(at: float) -> Any:
    """Return a time, or the record's own if that is a little later.

    The record's is that of a later heartbeat that was written first. If it is
    much later, or yet to come, it is that of a clock that was set back since.
    """
    came = _naive(at)
    seen = _SERVICES.c.last_seen_up
    overtaken = sa.and_(
        seen.between(came, came + _OVERTAKEN), seen <= timestamps.utcnow()
    )
    return sa.case((overtaken, seen), else_=came)
