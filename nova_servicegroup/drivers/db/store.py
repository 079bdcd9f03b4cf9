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

from collections.abc import Callable, Collection
import datetime
import time
from typing import Any

from oslo_db import api as db_api
from oslo_db import exception as db_exc
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy.ext import compiler
from sqlalchemy.sql import expression

from nova_servicegroup import exceptions

BACKEND = 'services table'

_RETRY_TIME = 2.0
_OVERTAKEN = datetime.timedelta(minutes=5)

_SERVICES = sa.table(
    'services',
    sa.column('id'),
    sa.column('deleted'),
    sa.column('report_count'),
    sa.column('last_seen_up', sa.DateTime()),
    sa.column('updated_at', sa.DateTime()),
)


class utcnow(expression.FunctionElement):  # type: ignore[type-arg]
    """The database's own clock, in UTC and without a zone, as Nova writes."""

    type = sa.DateTime()
    inherit_cache = True


@compiler.compiles(utcnow)
def _utcnow(element: Any, compiler: Any, **how: Any) -> str:
    return 'CURRENT_TIMESTAMP'


@compiler.compiles(utcnow, 'mysql')
@compiler.compiles(utcnow, 'mariadb')
def _utcnow_mysql(element: Any, compiler: Any, **how: Any) -> str:
    return 'UTC_TIMESTAMP()'


@compiler.compiles(utcnow, 'postgresql')
def _utcnow_postgresql(element: Any, compiler: Any, **how: Any) -> str:
    return "(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')"


class precise_utcnow(utcnow):
    """The same with fractions of a second, to compare clocks."""

    inherit_cache = True


@compiler.compiles(precise_utcnow)
def _precise_utcnow(element: Any, compiler: Any, **how: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


@compiler.compiles(precise_utcnow, 'mysql')
@compiler.compiles(precise_utcnow, 'mariadb')
def _precise_utcnow_mysql(element: Any, compiler: Any, **how: Any) -> str:
    return 'UTC_TIMESTAMP(6)'


@compiler.compiles(precise_utcnow, 'postgresql')
def _precise_postgresql(element: Any, compiler: Any, **how: Any) -> str:
    return _utcnow_postgresql(element, compiler, **how)


class Store:
    """Writes heartbeats, and tells the database's time.

    Deadlocks and lost connections are tried again, for a few seconds.

    :param engine: returns the SQLAlchemy engine of the process
    """

    def __init__(self, engine: Callable[[], Any]) -> None:
        self._engine = engine

    def beat(self, ids: Collection[int], at: float | None = None) -> set[int]:
        """Write a heartbeat of some services; return those without a record.

        Sets what Nova's own save of a heartbeat sets.

        :param ids: of the records
        :param at: when they came, by the database's clock: so it does not
            count how long the database takes to write. None: when they are
            written
        :raises BackendError: nothing was written
        """
        wanted = sorted(set(ids))
        written = self._run(self._update, wanted, at)
        if written == len(wanted):
            return set()
        existing: set[int] = self._run(self._existing, wanted)
        return set(wanted) - existing

    def now(self) -> float:
        """Return the database's time in seconds since the epoch.

        :raises BackendError: it does not answer
        """
        return float(self._run(self._now))

    def _run(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return _retried(call)(*args)
        except (db_exc.DBError, sa_exc.SQLAlchemyError, OSError) as error:
            raise exceptions.BackendError(
                BACKEND, exceptions.first_line(error)
            ) from error

    def _update(self, ids: list[int], at: float | None) -> int:
        seen: Any = utcnow() if at is None else _later(at)
        statement = (
            sa.update(_SERVICES)
            .where(_SERVICES.c.id.in_(ids), _SERVICES.c.deleted == 0)
            .values(
                report_count=_SERVICES.c.report_count + 1,
                last_seen_up=seen,
                updated_at=utcnow(),
            )
        )
        with self._engine().begin() as connection:
            return int(connection.execute(statement).rowcount)

    def _existing(self, ids: list[int]) -> set[int]:
        query = sa.select(_SERVICES.c.id).where(
            _SERVICES.c.id.in_(ids), _SERVICES.c.deleted == 0
        )
        with self._engine().connect() as connection:
            return {row.id for row in connection.execute(query)}

    def _now(self) -> float:
        with self._engine().connect() as connection:
            now: Any = connection.execute(sa.select(precise_utcnow())).scalar()
        if isinstance(now, str):
            now = datetime.datetime.fromisoformat(now)
        return float(now.replace(tzinfo=datetime.timezone.utc).timestamp())


def _later(at: float) -> Any:
    """Return a time, or that of a heartbeat that came a little later.

    That one may have been written first. A time that is far ahead is wrong.
    """
    then = datetime.datetime.fromtimestamp(int(at), datetime.timezone.utc)
    came = then.replace(tzinfo=None)
    seen = _SERVICES.c.last_seen_up
    return sa.case((seen.between(came, came + _OVERTAKEN), seen), else_=came)


def _retried(call: Callable[..., Any]) -> Callable[..., Any]:
    """Try again what may work then, for a few seconds.

    oslo.db's own limit would have it log an error each time.
    """
    end = time.monotonic() + _RETRY_TIME
    retried: Callable[..., Any] = db_api.wrap_db_retry(
        max_retries=1000,
        retry_interval=0.2,
        inc_retry_interval=True,
        max_retry_interval=1,
        jitter=True,
        exception_checker=lambda error: (
            isinstance(error, (db_exc.DBDeadlock, db_exc.DBConnectionError))
            and time.monotonic() < end
        ),
    )(call)
    return retried
