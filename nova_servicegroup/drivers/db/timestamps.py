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


"""SQL functions of times, for MariaDB, MySQL, PostgreSQL and SQLite."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext import compiler
from sqlalchemy.sql import expression

#: The SQL of each function, by dialect; None: of SQLite, used in the tests.
_UTCNOW = {
    None: 'CURRENT_TIMESTAMP',
    'mysql': 'UTC_TIMESTAMP()',
    'postgresql': "(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')",
}
_PRECISE_UTCNOW = {
    None: "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    'mysql': 'UTC_TIMESTAMP(6)',
    'postgresql': _UTCNOW['postgresql'],
}
_EPOCH = {
    None: 'ROUND((julianday({0}) - 2440587.5) * 86400.0, 3)',
    # Nova's column holds whole seconds.
    'mysql': "TIMESTAMPDIFF(SECOND, '1970-01-01', {0})",
    'postgresql': (
        'CASE WHEN isfinite({0}) THEN '
        'CAST(EXTRACT(EPOCH FROM {0}) AS DOUBLE PRECISION) END'
    ),
}


class utcnow(expression.FunctionElement):  # type: ignore[type-arg]
    """The database's time, in UTC and without a zone, as Nova writes it."""

    type = sa.DateTime()
    inherit_cache = True
    sql = _UTCNOW


class precise_utcnow(utcnow):
    """The database's time with fractions of a second, to compare clocks."""

    inherit_cache = True
    sql = _PRECISE_UTCNOW


class epoch(expression.FunctionElement):  # type: ignore[type-arg]
    """A time in seconds since the epoch; NULL if it is not a time.

    A driver takes several times as long to convert it to a datetime, and fails
    the whole result for one that it cannot convert.
    """

    inherit_cache = True
    sql = _EPOCH


@compiler.compiles(utcnow)
@compiler.compiles(epoch)
def _compile(element: Any, compiler: Any, **how: Any) -> str:
    dialect = compiler.dialect.name
    if dialect == 'mariadb':
        dialect = 'mysql'
    text: str = element.sql.get(dialect) or element.sql[None]
    return text.format(compiler.process(element.clauses, **how))
