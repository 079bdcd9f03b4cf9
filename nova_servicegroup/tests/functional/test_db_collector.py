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


"""Heartbeats on their way through a real RabbitMQ to a real MariaDB."""

from collections.abc import Callable, Collection, Mapping
from concurrent import futures
import contextlib
import functools
import pathlib
import threading
import time
from typing import Any
from unittest import mock
import uuid

import kombu
from oslo_config import cfg
from oslo_db.sqlalchemy import engines
import oslo_messaging as messaging
from oslo_serialization import jsonutils
import sqlalchemy as sa

from nova_servicegroup.drivers.db import collector
from nova_servicegroup.drivers.db import intake
from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import store
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests import harness
from nova_servicegroup.tests.harness import collector as collectors
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import proxy
from nova_servicegroup.tests.harness import services_table

#: A heartbeat is no older than this when it was written just now: a second
#: of gathering, and the whole seconds of Nova's column (seconds).
FRESH = 5.0
TIMEOUT = 10.0
#: Seconds in which all works again after a server has come back.
BACK = 30.0
STOPPED = 2.5
#: Seconds for an answer in an outage: a heartbeat may be gathered twice.
WAIT = 3.0


def _clock(wrong: float) -> float:
    return time.time() + wrong


class Client:
    """A client that always waits for as long."""

    def __init__(self, transport: Any, timeout: float) -> None:
        self._client = relay.Client(transport)
        self._timeout = timeout

    def beat(self, record: int) -> bool:
        """Have a heartbeat written."""
        return self._client.beat(record, self._timeout)


class Collected(contract.FunctionalTestCase):
    """Two servers, and an empty table and queue for each test."""

    root: pathlib.Path
    database: harness.MariaDB
    queue: harness.RabbitMQ

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.root = cls.make_root()
        cls.database = harness.MariaDB(cls.root / 'mariadb')
        cls.queue = harness.RabbitMQ(cls.root / 'rabbitmq')
        for server in (cls.database, cls.queue):
            cls.addClassCleanup(server.kill)
            server.launch()
        for server in (cls.database, cls.queue):
            server.wait()

    def setUp(self) -> None:
        super().setUp()
        self._ends: list[Callable[[], None]] = []
        self.addCleanup(self._end)
        self.addCleanup(self.restore)
        # What was committed outlives the process.
        self.database.execute('SET GLOBAL innodb_flush_log_at_trx_commit = 2')
        name = f'nova_{uuid.uuid4().hex[:12]}'
        self.database.create_database(name)
        self.url = self.database.url(name)
        self.table = services_table.ServicesTable(self.make_engine())
        self.table.create()
        self.delete_queue()
        self.updates = 0

    def restore(self) -> None:
        """Have both servers run, and answer."""
        for server in (self.database, self.queue):
            server.thaw()
            if not server.running:
                server.start()

    def _end(self) -> None:
        """End all that was started, side by side."""
        ending = [
            threading.Thread(target=call, daemon=True) for call in self._ends
        ]
        for each in ending:
            each.start()
        for each in ending:
            each.join(TIMEOUT)

    def make_engine(self) -> Any:
        """Return an engine as Nova's own are."""
        engine = engines.create_engine(self.url)
        self.addCleanup(engine.dispose)
        return engine

    def make_store(self) -> store.Store:
        """Return a store whose UPDATEs are counted."""
        engine = self.make_engine()

        @sa.event.listens_for(engine, 'before_cursor_execute')
        def note(
            connection: Any, cursor: Any, statement: str, *rest: Any
        ) -> None:
            self.updates += statement.startswith('UPDATE')

        return store.Store(lambda: engine)

    def make_transport(self, options: Mapping[str, str] = {}) -> Any:
        """Return a transport of its own."""
        # Parts of oslo.messaging know only the global one.
        cfg.CONF([], default_config_files=[])
        url = messaging.TransportURL.parse(cfg.CONF, self.queue.url)
        url.query = {**options}
        transport = messaging.get_rpc_transport(cfg.CONF, url)
        self._ends.append(transport.cleanup)
        return transport

    def make_collector(
        self, host: str = 'conductor', **how: Any
    ) -> collector.Collector:
        """Return a collector that has been started."""
        taking = intake.Intake(**how)
        made = collector.Collector(
            self.make_transport(taking.transport_options),
            self.make_store(),
            host,
            'threading',
            taking,
        )
        self._ends.append(made.stop)
        made.start()
        return made

    def start_collector(self) -> collectors.Collector:
        """Return a collector that is a process."""
        made = collectors.Collector(
            self.root / uuid.uuid4().hex, self.queue.url, self.url
        )
        self.addCleanup(made.kill)
        made.start()
        made.wait()
        return made

    def make_client(self, timeout: float = TIMEOUT) -> Client:
        """Return a client with a transport of its own."""
        return Client(self.make_transport(), timeout)

    def stop(self, made: collector.Collector) -> None:
        """Stop a collector, which must not take long."""
        begun = time.monotonic()
        made.stop()
        taken = time.monotonic() - begun
        self.measured('stop', taken)
        self.assert_within(taken, STOPPED)

    def in_background(self, call: Callable[..., Any], *args: Any) -> Any:
        """Return the future of a call."""
        pool = futures.ThreadPoolExecutor(1)
        self.addCleanup(pool.shutdown, wait=False)
        return pool.submit(call, *args)

    def delete_queue(self) -> None:
        """Forget the collectors of the test before."""
        with self._channel() as channel:
            channel.queue_delete(messages.TOPIC)

    def waiting(self) -> int | None:
        """Return how many messages wait in the queue; None: it is not."""
        with self._channel() as channel:
            try:
                return int(
                    channel.queue_declare(
                        messages.TOPIC, passive=True
                    ).message_count
                )
            except channel.connection.channel_errors:
                return None

    @contextlib.contextmanager
    def _channel(self) -> Any:
        url = self.queue.url.replace('rabbit://', 'amqp://') + '/'
        with kombu.Connection(url) as connection:
            yield connection.channel()

    def assert_fresh(self, *records: int) -> None:
        """Check that heartbeats were written just now."""
        self.assert_within(max(self.table.ages(list(records))), FRESH)

    def assert_old(self, *records: int) -> None:
        """Check that none was written."""
        self.assertGreater(min(self.table.ages(list(records))), 3000)


class CollectorTest(Collected):
    """All servers are well."""

    def test_many_at_once_are_few_updates(self) -> None:
        self.make_collector()
        ids = self.table.add(200)
        transport = self.make_transport()
        clients = [Client(transport, TIMEOUT) for _ in ids]
        begun = time.monotonic()
        with futures.ThreadPoolExecutor(len(ids)) as pool:
            beats = [
                pool.submit(client.beat, record)
                for client, record in zip(clients, ids, strict=True)
            ]
            self.assertEqual([True] * 200, [each.result() for each in beats])
        self.measured('200 heartbeats', time.monotonic() - begun)
        self.measured('their UPDATEs', self.updates, unit='')
        self.assertLessEqual(self.updates, 10)
        self.assert_fresh(*ids)
        counts = {row['report_count'] for row in self.table.rows(ids).values()}
        self.assertEqual({8}, counts)

    def test_a_process_that_has_died_is_ended(self) -> None:
        self.make_collector(gather=0.2)
        died, again = self.table.add(2)
        client = relay.Client(self.make_transport())
        for record in (died, again):
            self.assertTrue(client.beat(record, TIMEOUT))
        # The database has whole seconds.
        ended_at = time.monotonic() + 1.0
        time.sleep(2.2)
        self.assertTrue(client.beat(again, TIMEOUT))
        begun = time.monotonic()
        client.leave(died, ended_at, TIMEOUT)
        self.assertRaises(
            exceptions.BackendError, client.leave, again, ended_at, TIMEOUT
        )
        self.measured('two ended', time.monotonic() - begun)
        self.assert_old(died)
        self.assert_fresh(again)

    def test_one_that_is_started_again_at_once_is_up_soon(self) -> None:
        self.make_collector(gather=0.2)
        [record] = self.table.add(1)
        relay.Client(self.make_transport()).leave(
            record, time.monotonic(), TIMEOUT
        )
        self.assert_old(record)
        # It takes some time to start, and the database has whole seconds.
        time.sleep(3.2)
        self.assertTrue(self.make_client().beat(record))
        self.assert_fresh(record)

    def test_two_share_the_work_and_one_is_enough(self) -> None:
        ids = self.table.add(4)
        both = [self.make_collector(f'host{n}', gather=0.2) for n in range(2)]
        shares = [self._count(each) for each in both]
        client = self.make_client()
        for record in ids:
            self.assertTrue(client.beat(record))
        self.assertNotIn(0, [len(each) for each in shares])
        self.stop(both[0])
        for record in ids:
            self.assertTrue(client.beat(record))
        self.stop(both[1])
        self.assertEqual([], self.log_lines('ERROR'))

    def _count(self, made: collector.Collector) -> list[int]:
        """Return the list that every batch of a collector is added to."""
        seen: list[int] = []
        beat = made._writer._store.beat

        def note(ids: Collection[int], *times: float | None) -> set[int]:
            seen.append(len(ids))
            return beat(ids, *times)

        made._writer._store.beat = note  # type: ignore[method-assign]
        return seen

    def test_a_gone_record_is_told_and_harms_no_other(self) -> None:
        self.make_collector()
        ids = self.table.add(3)
        self.table.delete(ids[1])
        clients = [self.make_client() for _ in ids]
        beats = [
            self.in_background(client.beat, record)
            for client, record in zip(clients, ids, strict=True)
        ]
        self.assertEqual(
            [True, False, True], [each.result() for each in beats]
        )
        self.assert_fresh(ids[0], ids[2])
        self.assert_old(ids[1])
        self.assertLess(self.updates, 3)

    def test_without_any_collector_it_is_an_error_at_once(self) -> None:
        client = self.make_client()
        for _ in range(3):
            begun = time.monotonic()
            error = self.assertRaises(exceptions.BackendError, client.beat, 1)
            taken = time.monotonic() - begun
            self.measured('no collector', taken)
            self.assertIsInstance(
                error.__cause__, messaging.MessageUndeliverable
            )
            self.assert_within(taken, 1.0)
            self.assertIs(exceptions.BackendError, type(error))
        self.assertIsNone(self.waiting())

    def test_nor_does_a_refusal_mean_that_there_is_no_connection(self) -> None:
        client, name = self.make_client(), cfg.CONF.control_exchange
        with self._channel() as channel:
            channel.exchange_delete(name)
            channel.exchange_declare(name, 'fanout', auto_delete=False)
            self.addCleanup(self._delete_exchange, name)
        error = self.assertRaises(exceptions.BackendError, client.beat, 1)
        self.assertIs(exceptions.BackendError, type(error))
        self.assertIn('PRECONDITION_FAILED', str(error))

    def _delete_exchange(self, name: str) -> None:
        with self._channel() as channel:
            channel.exchange_delete(name)

    def test_what_waited_too_long_is_not_written(self) -> None:
        self.stop(self.make_collector())
        (record,) = self.table.add(1)
        client = self.make_client(1.0)
        begun = time.monotonic()
        self.assertRaises(exceptions.BackendTimeout, client.beat, record)
        self.assert_within(time.monotonic() - begun, 1.0 + faults.NOISE)
        self.make_collector()
        (other,) = self.table.add(1)
        self.assertTrue(self.make_client().beat(other))
        self.assert_old(record)
        self.assertEqual(0, self.waiting())

    def test_stop_once_more_does_nothing(self) -> None:
        made = self.make_collector()
        self.stop(made)
        begun = time.monotonic()
        made.stop()
        self.assert_within(time.monotonic() - begun, faults.NOISE)

    def test_stop_writes_what_was_gathered(self) -> None:
        (record,) = self.table.add(1)
        client = self.make_client()
        # So it is connected, and knows the database's time.
        first = self.make_collector()
        self.assertTrue(client.beat(record))
        self.stop(first)
        made = self.make_collector(gather=5.0)
        begun = time.monotonic()
        beat = self.in_background(client.beat, record)
        time.sleep(0.5)
        self.assertFalse(beat.done())
        self.stop(made)
        self.assertTrue(beat.result())
        self.assert_within(time.monotonic() - begun, 5.0)
        self.assert_fresh(record)

    def test_a_frozen_collector_leaves_most_in_the_queue(self) -> None:
        frozen = self.start_collector()
        (record,) = self.table.add(1)
        self.assertTrue(self.make_client().beat(record))
        frozen.freeze()
        caster = messaging.get_rpc_client(
            self.make_transport(),
            messaging.Target(topic=messages.TOPIC, version=messages.VERSION),
        )
        most = intake.CONDUCTOR.ahead
        for _ in range(most + 100):
            caster.cast({}, 'beat', record=record)
        # They wait where they expire.
        process.wait_until(
            lambda: self.waiting() == 100, BACK, what='it takes more'
        )
        frozen.thaw()
        process.wait_until(
            lambda: self.waiting() == 0, BACK, what='the queue is not read'
        )

    def test_one_that_is_behind_says_so(self) -> None:
        frozen = self.start_collector()
        (record,) = self.table.add(1)
        client = relay.Client(self.make_transport())
        self.assertTrue(client.beat(record, TIMEOUT))
        self.assertFalse(client.behind)
        frozen.freeze()
        beat = self.in_background(client.beat, record, TIMEOUT)
        time.sleep(2 * intake.CONDUCTOR.gather + 1.0)
        frozen.thaw()
        self.assertTrue(beat.result())
        self.assertTrue(client.behind)
        self.assertTrue(client.beat(record, TIMEOUT))
        self.assertFalse(client.behind)

    def test_a_frozen_collector_writes_nothing_that_is_stale(self) -> None:
        frozen = self.start_collector()
        dead, live = self.table.add(2)
        client = self.make_client(1.0 + intake.CONDUCTOR.gather)
        self.assertTrue(client.beat(dead))
        frozen.freeze()
        age = self.table.get(dead)['last_seen_up']
        froze = time.monotonic()
        self.assertRaises(exceptions.BackendTimeout, client.beat, dead)
        self._wait_frozen(froze)
        frozen.thaw()
        self.assertTrue(self.make_client().beat(live))
        self.assertEqual(age, self.table.get(dead)['last_seen_up'])
        self.assert_fresh(live)
        self.assertTrue(client.beat(dead))
        self.assert_fresh(dead)

    def test_nor_the_first_heartbeat_of_a_service(self) -> None:
        frozen = self.start_collector()
        frozen.freeze()
        (dead,) = self.table.add(1)
        froze = time.monotonic()
        client = self.make_client(1.0)
        self.assertRaises(exceptions.BackendTimeout, client.beat, dead)
        self._wait_frozen(froze)
        frozen.thaw()
        (live,) = self.table.add(1)
        self.assertTrue(self.make_client().beat(live))
        self.assert_old(dead)

    def test_a_first_heartbeat_is_sent_once(self) -> None:
        self.make_collector(gather=0.1)
        self.assert_calls(1, relay.Client(self.make_transport()))

    def test_and_twice_where_the_clock_is_wrong(self) -> None:
        self.make_collector(gather=0.1)
        for wrong in (-300.0, 300.0):
            clock = functools.partial(_clock, wrong)
            client = relay.Client(self.make_transport(), clock)
            self.assert_calls(2, client)
            # By now it knows better.
            self.assert_calls(1, client)

    def assert_calls(self, count: int, client: relay.Client) -> None:
        """Assert that a heartbeat is written with so many calls."""
        (record,) = self.table.add(1)
        with mock.patch.object(client, '_call', wraps=client._call) as call:
            self.assertTrue(client.beat(record, TIMEOUT))
        self.assertEqual(count, call.call_count)
        self.assert_fresh(record)

    def _wait_frozen(self, since: float) -> None:
        faults.sleep_until(since + (60 if base.LONG else 15))


class ForeignTest(Collected):
    """Somebody else writes to the queue, too."""

    def setUp(self) -> None:
        super().setUp()
        self.collector = self.make_collector(gather=0.3)
        self.caster = messaging.get_rpc_client(
            self.make_transport(),
            messaging.Target(topic=messages.TOPIC, version=messages.VERSION),
        )

    def test_messages_that_are_no_heartbeats_harm_no_other(self) -> None:
        ids = self.table.add(99)
        transport = self.make_transport()
        clients = [Client(transport, TIMEOUT) for _ in ids]
        self.assertTrue(clients[0].beat(ids[0]))
        odd: tuple[dict[str, Any], ...] = (
            {'record': 'text'},
            {'record': ['list']},
            {'record': 2**70},
            {'record': 1, 'sent': 'text'},
            {'record': 1, 'wait': None},
            {},
        )
        with futures.ThreadPoolExecutor(len(ids)) as pool:
            beats = []
            for client, record in zip(clients, ids, strict=True):
                self.caster.cast({}, 'beat', **odd[record % len(odd)])
                beats.append(pool.submit(client.beat, record))
            self.assertEqual({True}, {each.result() for each in beats})
        self.assert_fresh(*ids)
        self.assertEqual([], self.log_lines('ERROR'))
        told = [
            line for line in self.log_lines('WARNING') if 'dropped' in line
        ]
        self.assertEqual(1, len(told))

    def test_who_says_that_it_waited_makes_nobody_late(self) -> None:
        (record,) = self.table.add(1)
        client = relay.Client(self.make_transport())
        self.assertTrue(client.beat(record, TIMEOUT))
        for _ in range(3):
            self.caster.cast(
                {},
                'beat',
                record=record,
                sent=time.time() - 9.0,
                sure=True,
                wait=20.0,
            )
            self.assertTrue(client.beat(record, TIMEOUT))
            self.assertFalse(client.behind)

    def test_answers_that_nobody_takes_stop_no_other(self) -> None:
        (record,) = self.table.add(1)
        client = self.make_client()
        self.assertTrue(client.beat(record))
        with self._channel() as channel:
            producer = kombu.Producer(channel)
            # Batch after batch, each with threads of its own.
            for _ in range(8):
                for _ in range(8):
                    self._ask_from_nowhere(producer, record)
                time.sleep(0.5)
        begun = time.monotonic()
        self.assertTrue(client.beat(record))
        self.measured(
            'an answer beside 64 that hang', time.monotonic() - begun
        )
        self.assert_within(time.monotonic() - begun, FRESH)

    def _ask_from_nowhere(self, producer: Any, record: int) -> None:
        """Send a call whose sender has vanished."""
        unique = uuid.uuid4().hex
        message = {
            'method': 'beat',
            'args': {'record': record, 'wait': 30.0},
            'version': messages.VERSION,
            '_msg_id': unique,
            '_unique_id': unique,
            '_reply_q': f'reply_{unique}',
            '_timeout': None,
        }
        producer.publish(
            {
                'oslo.version': '2.0',
                'oslo.message': jsonutils.dumps(message),
            },
            exchange=cfg.CONF.control_exchange,
            routing_key=messages.TOPIC,
            serializer='json',
        )


class DeadConnectionTest(Collected):
    """The way to the database forgets the connections that there are."""

    def setUp(self) -> None:
        super().setUp()
        real = sa.make_url(self.url)
        self.proxy = proxy.Proxy(f'{real.host}:{real.port}')
        self.addCleanup(self.proxy.close)
        self.direct = self.url
        self.url = real.set(port=self.proxy.port).render_as_string(
            hide_password=False
        )

    def _fill_pool(self, made: collector.Collector) -> None:
        """Have a collector's engine hold more connections than hang."""
        made._writer._store._engine().dispose()
        several = [made._writer._store._engine().connect() for _ in range(5)]
        for each in several:
            each.close()

    def test_it_writes_again_though_its_updates_hang(self) -> None:
        made = self.make_collector(gather=0.2)
        self._fill_pool(made)
        ids = self.table.add(8)
        clients = [self.make_client(2.0) for _ in ids]
        for client, record in zip(clients, ids, strict=True):
            self.assertTrue(client.beat(record))
        self.proxy.kill_connections()
        begun = time.monotonic()
        process.wait_until(
            lambda: all(
                self._beats(client, record)
                for client, record in zip(clients, ids, strict=True)
            ),
            2 * BACK,
            0.5,
            'it writes again',
        )
        self.measured('writes again after', time.monotonic() - begun)
        self.assert_fresh(*ids)

    @base.only_long
    def test_meanwhile_another_one_writes_all(self) -> None:
        self._fill_pool(self.make_collector('dead', gather=0.2))
        self.url = self.direct
        self.make_collector('alive', gather=0.2)
        (record,) = self.table.add(1)
        client = self.make_client(2.0)
        self.assertTrue(client.beat(record))
        stop, self.updates = time.monotonic() + 30, 0
        self.proxy.kill_connections()
        answered = []
        while time.monotonic() < stop:
            answered.append(self._beats(client, record))
            time.sleep(0.1)
        self.measured('not answered', answered.count(False), unit='')
        # The four that hang, and what waits behind them for five seconds.
        self.assertEqual([], [each for each in answered[-50:] if not each])

    def _beats(self, client: Client, record: int) -> bool:
        with contextlib.suppress(exceptions.BackendError):
            return client.beat(record)
        return False


class OutageTest(Collected):
    """A server has a bad minute; nothing is started anew by hand."""

    def setUp(self) -> None:
        super().setUp()
        self.ids = self.table.add(5)
        self.collector = self.make_collector()
        self.clients = [self.make_client(WAIT) for _ in self.ids]
        self._ended = threading.Event()
        self._beating: list[threading.Thread] = []
        self._beat_all()

    def _beat_all(self) -> None:
        beats = [
            self.in_background(client.beat, record)
            for client, record in zip(self.clients, self.ids, strict=True)
        ]
        self.assertEqual({True}, {each.result() for each in beats})
        self.assert_fresh(*self.ids)

    def load(self) -> None:
        """Have every client but the first beat all the time."""
        self.addCleanup(self._end_load)
        for client, record in list(zip(self.clients, self.ids, strict=True))[
            1:
        ]:
            beating = threading.Thread(
                target=self._beat_on, args=(client, record), daemon=True
            )
            beating.start()
            self._beating.append(beating)

    def _beat_on(self, client: Client, record: int) -> None:
        while not self._ended.wait(0.3):
            with contextlib.suppress(exceptions.BackendError):
                client.beat(record)

    def _end_load(self) -> None:
        self._ended.set()
        for each in self._beating:
            each.join(TIMEOUT)

    def _works_again(self, since: float) -> None:
        """Check that every client's heartbeats are written again."""
        works = [
            self.in_background(self._wait_beats, client, record)
            for client, record in zip(self.clients, self.ids, strict=True)
        ]
        for each in works:
            each.result()
        self.measured('works again after', time.monotonic() - since)
        self.assert_within(time.monotonic() - since, BACK)
        self._end_load()
        self._beat_all()

    def _wait_beats(self, client: Client, record: int) -> None:
        process.wait_until(lambda: self._beats(client, record), BACK)

    def _beats(self, client: Client, record: int) -> bool:
        with contextlib.suppress(exceptions.BackendError):
            return client.beat(record)
        return False

    def test_rabbitmq_killed_and_restarted(self) -> None:
        self.load()
        other = self.make_collector('other')
        self.queue.kill()
        for _ in range(2):
            self._fails(exceptions.BackendUnreachable)
        time.sleep(60 if base.LONG else 0)
        self.stop(other)
        self.queue.start()
        self._works_again(time.monotonic())

    def test_mariadb_killed_and_restarted(self) -> None:
        self.load()
        self.database.kill()
        self._fails(exceptions.BackendTimeout)
        process.wait_until(lambda: self._lost(), 10, 0.1, 'the loss is told')
        time.sleep(2)
        self.database.start()
        self._works_again(time.monotonic())
        self.assertEqual(1, len(self._lost()))
        self.assertEqual(1, len(self._told('INFO', 'can be written again')))
        self.measured('errors', len(self.log_lines('ERROR')), unit='')

    def test_mariadb_frozen(self) -> None:
        self.load()
        other = self.make_collector('other')
        self.database.freeze()
        for _ in range(3):
            self._fails(exceptions.BackendTimeout)
        self.stop(other)
        self.database.thaw()
        self._works_again(time.monotonic())

    def test_rabbitmq_frozen(self) -> None:
        self.load()
        self.queue.freeze()
        # It waits for the publishing, and then for a new connection.
        self._fails(exceptions.BackendUnreachable, 2)
        time.sleep(20 if base.LONG else 1)
        self.queue.thaw()
        self._works_again(time.monotonic())

    def _fails(self, kind: type[Exception], waits: int = 1) -> None:
        begun = time.monotonic()
        self.assertRaises(kind, self.clients[0].beat, self.ids[0])
        taken = time.monotonic() - begun
        self.measured('fails after', taken)
        self.assert_within(taken, WAIT * waits + faults.NOISE)

    def _lost(self) -> list[str]:
        return self._told('WARNING', 'Heartbeats cannot be written')

    def _told(self, level: str, words: str) -> list[str]:
        return [line for line in self.log_lines(level) if words in line]
