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


"""Nova's services table in a real database, without a Nova."""

import datetime
from typing import Any
import uuid

import fixtures
import sqlalchemy as sa
from sqlalchemy import pool

#: As in Nova's model.
SERVICES = sa.Table(
    'services',
    sa.MetaData(),
    sa.Column('created_at', sa.DateTime),
    sa.Column('updated_at', sa.DateTime),
    sa.Column('deleted_at', sa.DateTime),
    sa.Column('deleted', sa.Integer, default=0),
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('uuid', sa.String(36)),
    sa.Column('host', sa.String(255)),
    sa.Column('binary', sa.String(255)),
    sa.Column('topic', sa.String(255)),
    sa.Column('report_count', sa.Integer, nullable=False, default=0),
    sa.Column('disabled', sa.Boolean, default=False),
    sa.Column('disabled_reason', sa.String(255)),
    sa.Column('last_seen_up', sa.DateTime),
    sa.Column('forced_down', sa.Boolean, default=False),
    sa.Column('version', sa.Integer, default=0),
    sa.UniqueConstraint(
        'host', 'topic', 'deleted', name='uniq_services0host0topic0deleted'
    ),
    sa.UniqueConstraint(
        'host', 'binary', 'deleted', name='uniq_services0host0binary0deleted'
    ),
    sa.Index('services_uuid_idx', 'uuid', unique=True),
)


class ServicesTable:
    """The table in one database.

    :param engine: SQLAlchemy's
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def create(self) -> None:
        """Create the table, unless it is there."""
        SERVICES.metadata.create_all(self._engine)

    def add(self, count: int, age: float = 3600, **values: Any) -> list[int]:
        """Add services of new hosts; return the numbers of their records.

        :param age: seconds since their last heartbeat
        """
        then = _now() - datetime.timedelta(seconds=age)
        common = {
            'binary': 'nova-compute',
            'topic': 'compute',
            'report_count': 7,
            'version': 66,
            'created_at': then,
            'updated_at': then,
            'last_seen_up': then,
            **values,
        }
        names = [str(uuid.uuid4()) for _ in range(count)]
        rows = [{**common, 'host': name, 'uuid': name} for name in names]
        query = sa.select(SERVICES.c.id).where(SERVICES.c.uuid.in_(names))
        with self._engine.begin() as connection:
            connection.execute(SERVICES.insert(), rows)
            return sorted(row.id for row in connection.execute(query))

    def delete(self, record: int) -> None:
        """Mark a record as deleted, as Nova does."""
        change = SERVICES.update().where(SERVICES.c.id == record)
        with self._engine.begin() as connection:
            connection.execute(
                change.values(deleted=SERVICES.c.id, deleted_at=_now())
            )

    def set(self, record: int, **values: Any) -> None:
        """Change a record, as Nova's own programs would not."""
        change = SERVICES.update().where(SERVICES.c.id == record)
        with self._engine.begin() as connection:
            connection.execute(change.values(**values))

    def execute(self, *statements: str) -> None:
        """Run statements in one transaction."""
        with self._engine.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    def get(self, record: int) -> dict[str, Any]:
        """Return one row."""
        return self.rows([record])[record]

    def rows(self, records: list[int]) -> dict[int, dict[str, Any]]:
        """Return rows by the number of their record."""
        query = SERVICES.select().where(SERVICES.c.id.in_(records))
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return {row['id']: dict(row) for row in rows}

    def ages(self, records: list[int]) -> list[float]:
        """Return the seconds since the last heartbeat of each record."""
        now, rows = _now(), self.rows(records)
        return [
            (now - rows[record]['last_seen_up']).total_seconds()
            for record in records
        ]


def _now() -> datetime.datetime:
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.replace(tzinfo=None, microsecond=0)


class InMemory(fixtures.Fixture):  # type: ignore[misc]
    """A services table in the memory of this process, for all its threads.

    :ivar engine: SQLAlchemy's, of its database
    :ivar table: the ServicesTable, without rows
    """

    def _setUp(self) -> None:
        self.engine = sa.create_engine(
            'sqlite://',
            poolclass=pool.StaticPool,
            connect_args={'check_same_thread': False},
        )
        self.addCleanup(self.engine.dispose)
        self.table = ServicesTable(self.engine)
        self.table.create()
