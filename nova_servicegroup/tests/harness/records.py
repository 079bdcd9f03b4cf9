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


"""A services table in a file, for members without a Nova."""

import contextlib
import datetime
import pathlib
import sqlite3
from typing import Any

from nova_servicegroup import services

_CREATE = """
CREATE TABLE IF NOT EXISTS services (
    host TEXT, topic TEXT, created_at TEXT, updated_at TEXT,
    last_seen_up TEXT, UNIQUE (host, topic))
"""
_SAVE = """
UPDATE services SET last_seen_up = ?, updated_at = ?
WHERE host = ? AND topic = ?
"""


class Records:
    """The rows of a services table, as Nova's objects show them."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    def create(self, host: str, topic: str, age: float = 3600) -> None:
        """Add a row that is so many seconds old, unless it is there."""
        created = _now() - datetime.timedelta(seconds=age)
        with self._open() as database:
            database.execute(_CREATE)
            database.execute(
                'INSERT OR IGNORE INTO services VALUES (?, ?, ?, NULL, NULL)',
                (host, topic, created.isoformat()),
            )

    def save_heartbeat(self, host: str, topic: str) -> None:
        """Do what the heartbeat of a service does."""
        self._save(_now(), host, topic)

    def save_departure(self, host: str, topic: str) -> None:
        """Do what a service does that leaves."""
        zone = datetime.timezone.utc
        left = datetime.datetime.fromtimestamp(services.LEFT, zone)
        self._save(left, host, topic)

    def _save(self, seen: datetime.datetime, host: str, topic: str) -> None:
        values = seen.isoformat(), _now().isoformat(), host, topic
        with self._open() as database:
            database.execute(_SAVE, values)

    def get(self, host: str, topic: str) -> dict[str, Any]:
        """Return one row."""
        return next(each for each in self.all(topic) if each['host'] == host)

    def all(self, topic: str) -> list[dict[str, Any]]:
        """Return the rows of a topic."""
        query = 'SELECT * FROM services WHERE topic = ?'
        with self._open() as database:
            rows = database.execute(query, (topic,)).fetchall()
        return [_row(dict(row)) for row in rows]

    def cells(self) -> list[str | None]:
        """See services.Table."""
        return [None]

    def heartbeats(self, cell: str | None, group: str) -> services.Heartbeats:
        """See services.Table."""
        rows = self.all(group)
        times = [each['last_seen_up'] or each['created_at'] for each in rows]
        return services.Heartbeats(
            _now().timestamp(),
            [
                (each['host'], each['host'], time.timestamp())
                for each, time in zip(rows, times, strict=True)
            ],
        )

    def records(self, group: str) -> list[dict[str, Any]]:
        """See services.Table."""
        return self.all(group)

    @contextlib.contextmanager
    def _open(self) -> Any:
        database = sqlite3.connect(self._path, timeout=10)
        database.row_factory = sqlite3.Row
        with contextlib.closing(database), database:
            yield database


def _row(row: dict[str, Any]) -> dict[str, Any]:
    for name in ('created_at', 'updated_at', 'last_seen_up'):
        if row[name] is not None:
            row[name] = datetime.datetime.fromisoformat(row[name])
    return {**row, 'binary': f'nova-{row["topic"]}', 'forced_down': False}


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
