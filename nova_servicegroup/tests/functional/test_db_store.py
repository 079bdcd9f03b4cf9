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


"""Heartbeats are written and read, in every database that Nova supports."""

from collections.abc import Callable
from concurrent import futures
import contextlib
import datetime
import pathlib
import threading
import time
from typing import Any
import uuid

from oslo_db.sqlalchemy import engines
import sqlalchemy as sa

from nova_servicegroup.drivers import db
from nova_servicegroup.drivers.db import store
from nova_servicegroup import exceptions
from nova_servicegroup import services
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests import harness
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import services_table

#: Seconds by which a time may be off: Nova's column holds whole ones.
EXACT = 2.0
#: Seconds in which a call to a database that is away or locked must end.
BOUND = 10.0


class Table:
    """The table of the only cell; see services.Table."""

    def __init__(self, store: store.Store) -> None:
        self._store = store

    def cells(self) -> list[str | None]:
        return [None]

    def heartbeats(self, cell: str | None, group: str) -> services.Heartbeats:
        return self._store.read(group)


class Stores:
    """The tests; ``start_server`` and ``make_url`` tell the database.

    ``session`` holds statements that every new connection begins with.
    """

    root: pathlib.Path
    session: tuple[str, ...] = ()
    #: Sets another time zone than UTC for a connection.
    time_zone: tuple[str, ...] = ()
    #: What the column of a time can hold that is none, in SQL; and what lets
    #: it be written.
    no_time = "'some day'"
    lenient: tuple[str, ...] = ()

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()  # type: ignore[misc]
        cls.root = cls.make_root()  # type: ignore[attr-defined]
        cls.root.chmod(0o711)
        cls.start_server()

    @classmethod
    def start_server(cls) -> None:
        """Start what is needed."""

    def make_url(self, name: str) -> str:
        """Return the URL of a new database."""
        raise NotImplementedError

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        self.url = self.make_url(f'nova_{uuid.uuid4().hex[:12]}')
        self.engine = self.make_engine(*self.session)
        self.table = services_table.ServicesTable(self.make_engine())
        self.table.create()
        self.store = store.Store(lambda: self.engine)

    def make_engine(self, *session: str) -> Any:
        """Return an engine as Nova's own are."""
        engine = engines.create_engine(self.url)
        self.addCleanup(engine.dispose)  # type: ignore[attr-defined]

        @sa.event.listens_for(engine, 'connect')
        def begin(connection: Any, record: Any) -> None:
            with contextlib.closing(connection.cursor()) as cursor:
                for statement in session:
                    cursor.execute(statement)
            connection.commit()

        # None is left of those that were made before.
        engine.dispose()
        return engine

    def statements(self) -> list[str]:
        """Return the list that every statement of the store is added to."""
        seen: list[str] = []

        @sa.event.listens_for(self.engine, 'before_cursor_execute')
        def note(
            connection: Any, cursor: Any, statement: str, *rest: Any
        ) -> None:
            # With SQLAlchemy 1.4, oslo.db pings each connection itself.
            if statement != 'SELECT 1':
                seen.append(statement.split()[0])

        return seen

    def test_a_thousand_heartbeats_are_one_update(self) -> None:
        ids = self.table.add(1000)
        self.store.beat(ids[:1])
        seen = self.statements()
        begun = time.monotonic()
        self.assertEqual(set(), self.store.beat(ids))
        self.measured('1000 heartbeats', time.monotonic() - begun)
        # oslo.db begins SQLite's transactions itself.
        self.assertEqual(
            ['UPDATE'], [each for each in seen if each != 'BEGIN']
        )
        self.assertLess(max(self.table.ages(ids)), EXACT)

    def test_the_order_and_number_of_the_ids_do_not_matter(self) -> None:
        ids = self.table.add(3)
        self.assertEqual(set(), self.store.beat([*reversed(ids), *ids]))
        counts = {each['report_count'] for each in self._all(ids)}
        self.assertEqual({8}, counts)

    def _all(self, ids: list[int]) -> list[dict[str, Any]]:
        return list(self.table.rows(ids).values())

    def test_it_sets_what_a_heartbeat_sets_and_nothing_else(self) -> None:
        one, other = self.table.add(2, disabled_reason='x', disabled=True)
        before, untouched = self.table.get(one), self.table.get(other)
        self.store.beat([one])
        after = self.table.get(one)
        changed = {key for key in after if after[key] != before[key]}
        self.assertEqual(
            {'last_seen_up', 'updated_at', 'report_count'}, changed
        )
        self.assertEqual(8, after['report_count'])
        self.assertEqual(after['last_seen_up'], after['updated_at'])
        self.assertEqual(untouched, self.table.get(other))

    def test_times_are_in_utc_whatever_the_zone_is(self) -> None:
        self.engine = self.make_engine(*self.time_zone)
        (record,) = self.table.add(1)
        self.store.beat([record])
        now = datetime.datetime.now(datetime.timezone.utc)
        row = self.table.get(record)
        for name in ('last_seen_up', 'updated_at'):
            age = now.replace(tzinfo=None) - row[name]
            self.assertLess(abs(age.total_seconds()), EXACT, name)
        self.assertLess(abs(self.store.now() - time.time()), EXACT)

    def test_it_tells_the_time(self) -> None:
        self.assertLess(abs(self.store.now() - time.time()), EXACT)

    def test_those_without_a_record_are_told(self) -> None:
        here, deleted = self.table.add(2)
        self.table.delete(deleted)
        before = self.table.get(deleted)
        unknown = deleted + 1000
        gone = self.store.beat([unknown, deleted, here])
        self.assertEqual({unknown, deleted}, gone)
        self.assertEqual(before, self.table.get(deleted))
        self.assertLess(self.table.ages([here])[0], EXACT)

    def test_none_is_there(self) -> None:
        self.assertEqual({1, 2}, self.store.beat([1, 2]))

    def test_a_missing_table_is_an_error(self) -> None:
        services_table.SERVICES.drop(self.make_engine())
        self.assertRaises(exceptions.BackendError, self.store.beat, [1])

    def test_a_lock_on_a_row_holds_nobody_up_for_ever(self) -> None:
        ids = self.table.add(3)
        with self.locked(ids[1]):
            begun = time.monotonic()
            self.assertRaises(exceptions.BackendError, self.store.beat, ids)
            taken = time.monotonic() - begun
        self.measured('a locked row', taken)
        self.assertLess(taken, BOUND)
        self.assertEqual(set(), self.store.beat(ids))
        self.assertEqual(
            {8}, {each['report_count'] for each in self._all(ids)}
        )

    def test_a_lock_that_ends_soon_does_no_harm(self) -> None:
        ids = self.table.add(3)
        with self.locked(ids[1]) as release:
            timer = threading.Timer(0.5, release)
            timer.start()
            self.assertEqual(set(), self.store.beat(ids))
            timer.join()
        self.assertEqual(
            {8}, {each['report_count'] for each in self._all(ids)}
        )

    @contextlib.contextmanager
    def locked(self, record: int) -> Any:
        """Hold a lock on a row; hand out what gives it back."""
        connection = self.make_engine().connect()
        transaction = connection.begin()
        self._touch(connection, record)
        with contextlib.closing(connection):
            yield transaction.rollback

    def _touch(self, connection: Any, *records: int) -> None:
        """Write to rows in a transaction that stays open."""
        table = services_table.SERVICES
        for record in records:
            connection.execute(
                table.update()
                .where(table.c.id == record)
                .values(disabled_reason='locked')
            )

    def _seen(self, record: int, now: float) -> float | None:
        """Return the time of the last heartbeat, in seconds after a time."""
        seen = self.table.get(record)['last_seen_up']
        if seen is None:
            return None
        aware = seen.replace(tzinfo=datetime.timezone.utc)
        return float(aware.timestamp()) - now

    def _add_seen(self, now: float, *seen: float | None) -> list[int]:
        """Add records of heartbeats, each in seconds after a time."""
        ids = self.table.add(len(seen))
        for record, after in zip(ids, seen, strict=True):
            self.table.set(record, last_seen_up=_time(now, after))
        return ids

    def test_a_batch_that_was_overtaken_sets_no_time_back(self) -> None:
        came = float(int(self.store.now())) - 12
        ids = self._add_seen(came, 0, 1, 10, -1, -3600)
        self.assertEqual(set(), self.store.beat(ids, came))
        self.assertEqual(
            [0, 1, 10, 0, 0], [self._seen(record, came) for record in ids]
        )
        self.assertEqual(
            {8}, {each['report_count'] for each in self._all(ids)}
        )

    def test_one_that_leaves_is_down_for_whoever_reads_it(self) -> None:
        leaves, stays, gone = self.table.add(3, age=5)
        self.table.delete(gone)
        before = self.table.get(stays), self.table.get(gone)
        for record in (leaves, gone):
            self.store.leave(record)
        self.assertEqual(services.LEFT, self._seen(leaves, 0))
        self.assertEqual(before, (self.table.get(stays), self.table.get(gone)))
        shown = {row[1]: row[2] for row in self.store.read('compute').rows}
        self.assertEqual(services.LEFT, shown[self.table.get(leaves)['host']])
        row = self.table.get(leaves)
        now = datetime.datetime.now(datetime.timezone.utc)
        updated = now.replace(tzinfo=None) - row['updated_at']
        self.assertLess(abs(updated.total_seconds()), EXACT)

    def test_one_that_has_died_is_ended(self) -> None:
        died, again, gone, other = self.table.add(4, age=5)
        self.table.delete(gone)
        now = self.store.now()
        self.assertEqual(set(), self.store.beat([again]))
        before = self.table.get(gone), self.table.get(other)
        # The last heartbeat of one, and one before the first of the other.
        for record, at in ((died, now - 1.0), (again, now - 3.0), (gone, now)):
            self.store.end(record, at)
        self.assertEqual(services.LEFT, self._seen(died, 0))
        self.assertLess(self.table.ages([again])[0], EXACT)
        self.assertEqual(before, (self.table.get(gone), self.table.get(other)))

    def test_a_heartbeat_that_was_sent_before_brings_it_not_back(self) -> None:
        left, live = self.table.add(2, age=5)
        self.store.leave(left)
        self.assertEqual(
            set(), self.store.beat([left, live], self.store.now())
        )
        self.assertEqual(services.LEFT, self._seen(left, 0))
        self.assertLess(self.table.ages([live])[0], EXACT)

    def test_one_that_was_sent_later_does(self) -> None:
        again, other = self.table.add(2, age=5)
        for record in (again, other):
            self.store.leave(record)
            now = datetime.datetime.now(datetime.timezone.utc)
            then = now - datetime.timedelta(seconds=9)
            self.table.set(record, updated_at=then.replace(tzinfo=None))
        self.assertEqual(set(), self.store.beat([again], self.store.now()))
        # With a database of its own it beats when it has joined.
        self.assertEqual(set(), self.store.beat([other]))
        self.assertLess(max(self.table.ages([again, other])), EXACT)

    def test_one_that_starts_again_at_once_does(self) -> None:
        again, late, unsure = self.table.add(3, age=5)
        for record in (again, late, unsure):
            self.store.leave(record)
        now = self.store.now() + 4.0
        self.store.beat([again], now, now)
        self.store.beat([late], now, now - 4.0)
        self.store.beat([unsure], now)
        ids = {again, late, unsure}
        self.assertEqual({late, unsure}, self.store.left(ids))

    def make_driver(self) -> db.DatabaseDriver:
        conf = self.make_conf('[servicegroup]\nrefresh_interval = 0.2\n')
        made = db.DatabaseDriver(conf)
        self.addCleanup(made.close)  # type: ignore[attr-defined]
        made.table = Table(self.store)
        return made

    def updated_ago(
        self, driver: db.DatabaseDriver, ref: dict[str, Any]
    ) -> float:
        """Return the seconds since a host, which is up, was updated."""
        self.assertTrue(driver.is_up(ref))
        updated = driver.updated_time(ref)
        now = datetime.datetime.now(datetime.timezone.utc)
        age = now - updated.replace(tzinfo=datetime.timezone.utc)
        return age.total_seconds()

    def seen_ago(self, record: int, seconds: float) -> dict[str, Any]:
        """Have a record's heartbeat so long ago; return the record."""
        now = datetime.datetime.now(datetime.timezone.utc)
        then = (now - datetime.timedelta(seconds=seconds)).replace(tzinfo=None)
        self.table.set(record, last_seen_up=then, updated_at=then)
        return self.table.get(record)

    def test_a_heartbeat_of_a_slow_clock_is_an_update(self) -> None:
        driver, (record,) = self.make_driver(), self.table.add(1, age=0)
        self.assertTrue(driver.is_up(self.table.get(record)))
        ref = self.seen_ago(record, 300)
        time.sleep(0.5)
        self.assertLess(self.updated_ago(driver, ref), EXACT + 1.0)

    def test_a_clock_that_was_set_back_counts_at_once(self) -> None:
        now = float(int(self.store.now()))
        ids = self._add_seen(now, 5, 12, 20, 130, 200, 310, 86400)
        self.assertEqual(set(), self.store.beat(ids, now))
        self.assertEqual({0.0}, {self._seen(record, now) for record in ids})

    def test_the_first_heartbeat(self) -> None:
        now = float(int(self.store.now()))
        early, late = self._add_seen(now, None, None)
        self.store.beat([early], now)
        self.store.beat([late])
        self.assertEqual(0, self._seen(early, now))
        self.assertLess(abs(self._seen(late, now) or 0), EXACT)

    def test_it_reads_the_heartbeats_of_one_group(self) -> None:
        now = float(int(self.store.now()))
        ids = self._add_seen(now, -5, -70, 300)
        self.table.add(2, topic='conductor', binary='nova-conductor')
        self.table.delete(self.table.add(1)[0])
        found = self.store.read('compute')
        self.assertEqual(
            {
                (row['uuid'], row['host'], self._seen(record, 0))
                for record, row in self.table.rows(ids).items()
            },
            set(found.rows),
        )
        self.assertLess(abs(found.now - time.time()), EXACT)

    def test_it_reads_no_other_group(self) -> None:
        self.table.add(1)
        for group in ('comput', 'nova-compute', "it's", '%'):
            self.assertEqual([], self.store.read(group).rows, group)

    def test_who_never_reported_is_as_old_as_the_record(self) -> None:
        now = float(int(self.store.now()))
        first, second = self._add_seen(now, None, None)
        self.table.set(first, created_at=_time(now, -40))
        self.table.set(second, created_at=None)
        times = {row[1]: row[2] for row in self.store.read('compute').rows}
        hosts = [self.table.get(each)['host'] for each in (first, second)]
        self.assertEqual([now - 40, None], [times[host] for host in hosts])

    def test_without_a_topic_the_binary_tells_the_group(self) -> None:
        self.table.add(1, topic=None, binary='nova-osapi_compute')
        self.table.add(1, topic='', binary='nova-compute')
        self.table.add(1, topic='scheduler', binary='nova-compute')
        self.assertEqual(1, len(self.store.read('compute').rows))
        self.assertEqual(1, len(self.store.read('osapi_compute').rows))

    def test_what_is_foreign_costs_only_its_row(self) -> None:
        now = float(int(self.store.now()))
        good, odd, nameless, numberless = self._add_seen(now, 0, 0, 0, 0)
        self.table.set(odd, created_at=_time(now, -9))
        self.table.execute(
            *self.lenient,
            f'UPDATE services SET last_seen_up = {self.no_time}'
            f' WHERE id = {odd}',
        )
        self.table.set(nameless, host=None)
        self.table.set(numberless, uuid=None, host='old')
        rows = {row[1]: row for row in self.store.read('compute').rows}
        self.assertEqual(3, len(rows))
        self.assertEqual(('', 'old', now), rows['old'])
        times = sorted(row[2] or 0 for row in rows.values())
        self.assertEqual([now - 9, now, now], times)

    def test_it_reads_times_in_utc_whatever_the_zone_is(self) -> None:
        self.engine = self.make_engine(*self.time_zone)
        now = float(int(self.store.now()))
        self._add_seen(now, -5)
        found = self.store.read('compute')
        self.assertEqual([now - 5], [row[2] for row in found.rows])
        self.assertLess(abs(found.now - time.time()), EXACT)

    def test_it_reads_ten_thousand_in_two_statements(self) -> None:
        for _ in range(10):
            self.table.add(1000)
        self.store.read('compute')
        seen, begun = self.statements(), time.process_time()
        found = self.store.read('compute')
        self.measured('10,000 rows, CPU', time.process_time() - begun)
        self.assertEqual(
            ['SELECT', 'SELECT'], [each for each in seen if each != 'BEGIN']
        )
        self.assertEqual(10000, len(found.rows))
        self.assertEqual({tuple}, {type(row) for row in found.rows})

    def test_what_cannot_be_read_is_an_error(self) -> None:
        services_table.SERVICES.drop(self.make_engine())
        self.assertRaises(exceptions.BackendError, self.store.read, 'compute')

    def test_two_at_once_lose_no_heartbeat(self) -> None:
        ids, rounds = self.table.add(100), 10
        self.engine = self.make_engine()
        orders: list[Callable[[Any], Any]] = [list, reversed]
        with futures.ThreadPoolExecutor(2) as pool:
            beats = [
                pool.submit(self._beat_often, list(order(ids)), rounds)
                for order in orders
            ]
            for each in beats:
                each.result(60)
        counts = {each['report_count'] for each in self._all(ids)}
        self.assertEqual({7 + 2 * rounds}, counts)

    def _beat_often(self, ids: list[int], rounds: int) -> None:
        for _ in range(rounds):
            self.store.beat(ids)


class SQLiteTest(Stores, contract.FunctionalTestCase):
    session = ('PRAGMA busy_timeout = 1000',)

    def make_url(self, name: str) -> str:
        return f'sqlite:///{self.root / name}'


class Servers(Stores):
    """What only a server of its own can do."""

    server: Any
    #: What a transaction begins with that a deadlock is not to end.
    prevail: tuple[str, ...] = ()

    def make_url(self, name: str) -> str:
        self.server.create_database(name)
        return str(self.server.url(name))

    def test_killed_is_an_error_soon_and_works_again(self) -> None:
        ids = self.table.add(2)
        self.store.beat(ids)
        self.server.kill()
        self.addCleanup(self._restore)  # type: ignore[attr-defined]
        for call in (
            lambda: self.store.beat(ids),
            self.store.now,
            lambda: self.store.read('compute'),
        ):
            begun = time.monotonic()
            self.assertRaises(exceptions.BackendError, call)
            taken = time.monotonic() - begun
            self.measured('killed, an error after', taken)
            self.assertLess(taken, BOUND)
        self.server.start()
        self.assertEqual(2, len(self.store.read('compute').rows))
        self.assertEqual(set(), self.store.beat(ids))
        self.assertLess(abs(self.store.now() - time.time()), EXACT)

    def test_who_is_up_in_an_outage_is_updated_now(self) -> None:
        driver, (record,) = self.make_driver(), self.table.add(1, age=0)
        self.assertTrue(driver.is_up(self.table.get(record)))
        # As long after the last heartbeat as if the outage had lasted.
        ref = self.seen_ago(record, 70)
        self.server.kill()
        self.addCleanup(self._restore)  # type: ignore[attr-defined]
        time.sleep(0.5)
        self.assertLess(self.updated_ago(driver, ref), EXACT)

    def _restore(self) -> None:
        if not self.server.running:
            self.server.start()

    def test_a_restart_between_two_heartbeats_is_no_error(self) -> None:
        ids = self.table.add(2)
        self.store.beat(ids)
        self.server.kill()
        self.server.start()
        self.assertEqual(set(), self.store.beat(ids))

    def test_frozen_for_a_while_loses_no_heartbeat(self) -> None:
        ids = self.table.add(2)
        self.store.beat(ids)
        self.server.freeze()
        self.addCleanup(self.server.thaw)  # type: ignore[attr-defined]
        threading.Timer(1, self.server.thaw).start()
        self.assertEqual(set(), self.store.beat(ids))
        self.assertEqual(
            {9}, {each['report_count'] for each in self._all(ids)}
        )

    def test_a_connection_lost_while_writing_is_no_error(self) -> None:
        ids = self.table.add(2)
        self.engine = self.make_engine()
        with self.locked(ids[0]):
            beat = self._in_background(lambda: self.store.beat(ids))
            process.wait_until(self._waits, 5, 0.2, 'the store waits')
            self._cut_waiting()
        self.assertEqual(set(), beat.result(BOUND))
        self.assertEqual(
            {8}, {each['report_count'] for each in self._all(ids)}
        )

    def _cut_waiting(self) -> None:
        """End the connection that waits for a lock."""
        raise NotImplementedError

    def test_a_deadlock_loses_no_heartbeat(self) -> None:
        many = self.table.add(50)
        self.engine = self.make_engine()
        errors = self._errors()
        with self.make_engine(*self.prevail).connect() as connection:
            transaction = connection.begin()
            # The one that wrote less is ended, or that waited first.
            self._touch(connection, *many[1:])
            beat = self._in_background(lambda: self.store.beat(many[:2]))
            process.wait_until(self._waits, 5, 0.2, 'the store waits')
            self._touch(connection, many[0])
            process.wait_until(lambda: errors, 5, 0.02, 'a deadlock')
            transaction.commit()
        self.assertEqual(set(), beat.result(BOUND))
        self.assertIn('DBDeadlock', errors)
        counts = [each['report_count'] for each in self._all(many[:3])]
        self.assertEqual([8, 8, 7], sorted(counts, reverse=True))

    def _errors(self) -> list[str]:
        """Return the list that the store's errors are added to."""
        seen: list[str] = []

        @sa.event.listens_for(self.engine, 'handle_error')
        def note(context: Any) -> None:
            error = context.chained_exception or context.sqlalchemy_exception
            seen.append(type(error).__name__)

        return seen

    def _in_background(
        self, call: Callable[[], Any]
    ) -> 'futures.Future[set[int]]':
        pool = futures.ThreadPoolExecutor(1)
        self.addCleanup(pool.shutdown)  # type: ignore[attr-defined]
        return pool.submit(call)

    def _waits(self) -> bool:
        """Tell whether a statement waits for a lock."""
        raise NotImplementedError


class MariaDBTest(Servers, contract.FunctionalTestCase):
    session = ('SET SESSION innodb_lock_wait_timeout = 1',)
    time_zone = ("SET time_zone = '+05:00'",)
    no_time = "'0000-00-00 00:00:00'"
    lenient = ("SET SESSION sql_mode = ''",)

    def make_url(self, name: str) -> str:
        # What was committed outlives the process.
        self.server.execute('SET GLOBAL innodb_flush_log_at_trx_commit = 2')
        return super().make_url(name)

    @classmethod
    def start_server(cls) -> None:
        cls.server = harness.MariaDB(cls.root / 'mariadb')
        cls.addClassCleanup(cls.server.kill)
        cls.server.start()

    def _waits(self) -> bool:
        # The table is renewed when nobody has read it for 0.1 s.
        query = 'SELECT COUNT(*) FROM information_schema.innodb_lock_waits'
        return self.server.execute(query).strip() != '0'

    def _cut_waiting(self) -> None:
        query = (
            'SELECT id FROM information_schema.processlist'
            " WHERE info LIKE 'UPDATE services%'"
        )
        self.server.execute(f'KILL {self.server.execute(query)}')


class PostgreSQLTest(Servers, contract.FunctionalTestCase):
    session = ("SET lock_timeout = '1s'",)
    time_zone = ("SET TIME ZONE 'Asia/Tokyo'",)
    no_time = "'infinity'"
    prevail = ("SET deadlock_timeout = '60s'",)

    @classmethod
    def start_server(cls) -> None:
        cls.server = harness.PostgreSQL(cls.root / 'postgresql')
        cls.addClassCleanup(cls.server.stop)
        cls.server.start()

    def _waits(self) -> bool:
        query = 'SELECT COUNT(*) FROM pg_locks WHERE NOT granted'
        return self.server.execute(query).strip() != '0'

    def _cut_waiting(self) -> None:
        query = 'SELECT pg_terminate_backend(pid) FROM pg_locks'
        self.server.execute(f'{query} WHERE NOT granted')


def _time(now: float, after: float | None) -> datetime.datetime | None:
    """Return a time as Nova's column holds it."""
    if after is None:
        return None
    moment = datetime.datetime.fromtimestamp(
        now + after, datetime.timezone.utc
    )
    return moment.replace(tzinfo=None)
