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


"""Times in SQL, of MariaDB, MySQL, PostgreSQL and SQLite."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext import compiler
from sqlalchemy.sql import expression


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


class epoch(expression.FunctionElement):  # type: ignore[type-arg]
    """A time in seconds since the epoch; NULL: it is none.

    Drivers take several times as long to make a datetime of it, and refuse
    the whole result for one that they cannot make.
    """

    inherit_cache = True


@compiler.compiles(epoch)
def _epoch(element: Any, compiler: Any, **how: Any) -> str:
    days = f'julianday({compiler.process(element.clauses, **how)})'
    return f'ROUND(({days} - 2440587.5) * 86400.0, 3)'


@compiler.compiles(epoch, 'mysql')
@compiler.compiles(epoch, 'mariadb')
def _epoch_mysql(element: Any, compiler: Any, **how: Any) -> str:
    # Nova's column holds whole seconds.
    time = compiler.process(element.clauses, **how)
    return f"TIMESTAMPDIFF(SECOND, '1970-01-01', {time})"


@compiler.compiles(epoch, 'postgresql')
def _epoch_postgresql(element: Any, compiler: Any, **how: Any) -> str:
    time = compiler.process(element.clauses, **how)
    seconds = f'CAST(EXTRACT(EPOCH FROM {time}) AS DOUBLE PRECISION)'
    return f'CASE WHEN isfinite({time}) THEN {seconds} END'
