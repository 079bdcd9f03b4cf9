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

"""nova-servicegroup-collector beside the collectors of nova-conductors."""

from collections.abc import Callable, Collection, Iterator, Sequence
import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time
from typing import Any
import uuid

import sqlalchemy as sa

from nova_servicegroup.drivers.db import intake
from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import relay
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import test_db_collector
from nova_servicegroup.tests.harness import collector
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import systemd

TIMEOUT = 10.0
#: What a clean stop may take.
STOP = 3.0
#: RabbitMQ closes a killed process's connection at once (seconds), and that
#: of a frozen one after three times the heartbeat of AMQP.
AT_ONCE = 3.0
UNFROZEN = 3 * (intake.DAEMON.heartbeat or 0) + AT_ONCE
#: Heartbeats in a second.
RATE = 500
#: Seconds between two heartbeats of a service here.
INTERVAL = 1.0
#: Heartbeats, more than a collector prefetches; and the seconds after which
#: RabbitMQ drops those of them that still wait.
MANY = 600
LONG_VALID = 60.0
SECRET = 'hush-hush'
_CONFIG = """
[DEFAULT]
transport_url = {queue}
# As the clients here have it; Nova has another one.
control_exchange = openstack
{options}
[database]
connection = {database}
"""


class Daemons(test_db_collector.Collected):
    """Some daemons, and the collector of a conductor."""

    def configure(self, options: str = '', **how: str) -> pathlib.Path:
        """Return a configuration file."""
        values = {'queue': self.queue.url, 'database': self.url, **how}
        path = self.root / f'{uuid.uuid4().hex}.conf'
        path.write_text(_CONFIG.format(options=options, **values))
        return path

    def start_daemon(self, **how: str) -> collector.Daemon:
        """Return a daemon that was just started."""
        made = collector.Daemon(
            self.root / uuid.uuid4().hex, self.configure(**how)
        )
        self.addCleanup(made.kill)
        made.start()
        return made

    def daemon(self) -> collector.Daemon:
        """Return a daemon that reads, as RabbitMQ knows by now."""
        with self._one_more():
            made = self.start_daemon()
            made.wait()
        return made

    def restart(self, daemon: collector.Daemon) -> None:
        """Start a daemon once more, and wait until it reads."""
        with self._one_more():
            daemon.start()
            daemon.wait(2)

    def make_collector(self, host: str = 'conductor', **how: Any) -> Any:
        """See Collected. RabbitMQ knows it by now."""
        with self._one_more():
            return super().make_collector(host, **how)

    def start_collector(self) -> collector.Collector:
        """See Collected. RabbitMQ knows it by now."""
        with self._one_more():
            return super().start_collector()

    @contextlib.contextmanager
    def _one_more(self) -> Iterator[None]:
        """Wait until one more reads the queue than before.

        It consumes a little later than it says.
        """
        before = self.readers()
        yield
        process.wait_until(
            lambda: self.readers() > before, TIMEOUT, 0.1, 'it does not read'
        )

    def readers(self) -> int:
        """Return how many read the queue."""
        with self._channel() as channel:
            try:
                return int(
                    channel.queue_declare(
                        messages.TOPIC, passive=True
                    ).consumer_count
                )
            except channel.connection.channel_errors:
                return 0

    def conducted(self, call: Callable[[], object]) -> int:
        """Return how many UPDATEs the conductor makes during a call."""
        before = self.updates
        call()
        return self.updates - before

    def beat(self, client: Any, records: Sequence[int]) -> None:
        """Have heartbeats written, one after the other."""
        for record in records:
            self.assertTrue(client.beat(record))

    def flood(self, records: Sequence[int]) -> None:
        """Send heartbeats of 5,000 hosts, and wait until they are written."""
        client = relay.Client(self.make_transport())
        self.assertTrue(client.beat(records[0], TIMEOUT))
        begun = time.monotonic()
        for number, record in enumerate(records):
            client.send(record, TIMEOUT)
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
        process.wait_until(
            lambda: max(self.table.ages(list(records))) < TIMEOUT,
            TIMEOUT,
            0.2,
            'not all are written',
        )


class PreferenceTest(Daemons):
    """Who collects."""

    def test_alone_it_writes_heartbeats(self) -> None:
        self.daemon()
        ids = self.table.add(5)
        self.beat(self.make_client(), ids)
        self.assert_fresh(*ids)

    def test_a_conductor_beside_it_has_nothing_to_do(self) -> None:
        self.make_collector()
        ids = self.table.add(8)
        client = self.make_client()
        self.assertGreater(self.conducted(lambda: self.beat(client, ids)), 0)
        self.daemon()
        self.assertEqual(0, self.conducted(lambda: self.beat(client, ids)))
        self.assert_fresh(*ids)

    def test_nor_if_there_are_many(self) -> None:
        conductor = self.make_collector()
        self.daemon()
        ids, seen = self.table.add(900), list[int]()
        beat = conductor._writer._store.beat

        def note(ids: Collection[int], *times: float | None) -> set[int]:
            seen.append(len(ids))
            return beat(ids, *times)

        conductor._writer._store.beat = note  # type: ignore[method-assign]
        self.flood(ids)
        self.measured('of 900, a conductor wrote', sum(seen), unit='')
        # On a busy machine, the daemon may have no room for a moment.
        self.assertLess(sum(seen), 90)

    def test_a_conductors_processor_is_idle(self) -> None:
        conductor = self.start_collector()
        self.daemon()
        ids = self.table.add(900)
        begun, before = time.monotonic(), _processor_time(conductor)
        for _ in range(3):
            self.flood(ids)
        self.measured('took', time.monotonic() - begun)
        used = _processor_time(conductor) - before
        self.measured('of the conductor, for 2,700 heartbeats', used)
        self.assert_within(used, 0.1 + 0.02 * (time.monotonic() - begun))

    def test_several_share_the_work(self) -> None:
        self.make_collector()
        both = [self.daemon() for _ in range(2)]
        ids = self.table.add(8)
        client = self.make_client()
        for each in (*both, None):
            self.assertEqual(0, self.conducted(lambda: self.beat(client, ids)))
            # One after the other is away; the last one does the work.
            if each is not None and each is not both[-1]:
                each.kill()

    def test_a_frozen_conductor_does_no_harm(self) -> None:
        conductor = self.start_collector()
        self.daemon()
        conductor.freeze()
        ids = self.table.add(300)
        self.flood(ids)
        self.beat(self.make_client(3.0), ids[:8])


class Members:
    """Services that beat all the time, each by its own client."""

    def __init__(
        self, make_client: Callable[[float], Any], records: Sequence[int]
    ) -> None:
        self.failed = 0
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._beat, args=(make_client(INTERVAL), each)
            )
            for each in records
        ]
        for each in self._threads:
            each.start()

    def _beat(self, client: Any, record: int) -> None:
        while not self._ended.wait(INTERVAL):
            try:
                client.beat(record)
            except exceptions.BackendError:
                self.failed += 1

    def end(self) -> None:
        self._ended.set()
        for each in self._threads:
            each.join(TIMEOUT)


class TakeoverTest(Daemons):
    """The daemon ends, or does not answer; a conductor is there."""

    def setUp(self) -> None:
        super().setUp()
        self.make_collector()
        self.daemon_ = self.daemon()
        self.ids = self.table.add(6)
        self.client = self.make_client(2.0)
        self.beat(self.client, self.ids)

    def members(self) -> Members:
        made = Members(lambda wait: self.make_client(2 * wait), list(self.ids))
        self.addCleanup(made.end)
        return made

    def watch(self, until: Callable[[], bool], timeout: float) -> float:
        """Return the age of the oldest heartbeat until something happens."""
        end, oldest = time.monotonic() + timeout, 0.0
        while not until() and time.monotonic() < end:
            oldest = max(oldest, *self.table.ages(self.ids))
            time.sleep(0.1)
        return oldest

    def assert_preferred(self) -> None:
        """Check that the conductor has nothing to do."""
        ids, client = self.table.add(8), self.make_client()
        self.assertEqual(0, self.conducted(lambda: self.beat(client, ids)))

    def test_killed_and_restarted(self) -> None:
        members = self.members()
        time.sleep(3)
        before, killed = self.updates, time.monotonic()
        self.daemon_.kill()
        oldest = self.watch(lambda: self.updates > before, TIMEOUT)
        self.measured('a conductor collects after', time.monotonic() - killed)
        self.assert_within(time.monotonic() - killed, AT_ONCE)
        oldest = max(oldest, self.watch(lambda: False, 10.0))
        self.measured('the oldest heartbeat', oldest)
        self.measured('not answered', members.failed, unit='')
        # The ages are in whole seconds; one heartbeat may be lost.
        self.assert_within(oldest, 3 * INTERVAL + AT_ONCE)
        self.restart(self.daemon_)
        members.end()
        self.assert_preferred()

    @base.only_long
    def test_stopped_and_restarted(self) -> None:
        members = self.members()
        time.sleep(3)
        self.daemon_.signal(signal.SIGTERM)
        begun = time.monotonic()
        oldest = self.watch(lambda: not self.daemon_.running, TIMEOUT)
        self.measured('stopped after', time.monotonic() - begun)
        self.assert_within(time.monotonic() - begun, STOP)
        oldest = max(oldest, self.watch(lambda: False, 5.0))
        self.measured('the oldest heartbeat', oldest)
        self.assert_within(oldest, 3 * INTERVAL + AT_ONCE)
        self.assertEqual(0, members.failed)
        self.restart(self.daemon_)
        members.end()
        self.assert_preferred()

    def test_frozen_and_thawed(self) -> None:
        self.members()
        time.sleep(3)
        before, frozen = self.updates, time.monotonic()
        self.daemon_.freeze()
        oldest = self.watch(lambda: self.updates > before, 2 * UNFROZEN)
        self.measured('a conductor collects after', time.monotonic() - frozen)
        self.assert_within(time.monotonic() - frozen, UNFROZEN)
        oldest = max(oldest, self.watch(lambda: False, 5.0))
        self.measured('the oldest heartbeat', oldest)
        self.assert_within(oldest, UNFROZEN + 3 * INTERVAL)
        self.daemon_.thaw()
        process.wait_until(self._is_preferred, 30.0, 0.5, 'it is preferred')

    def _is_preferred(self) -> bool:
        return self.conducted(lambda: time.sleep(2 * INTERVAL)) == 0


class OutageTest(Daemons):
    """The database or the message queue is away."""

    def test_without_a_database_it_leaves_the_work_to_others(self) -> None:
        self.make_collector()
        name = f'later_{uuid.uuid4().hex[:12]}'
        daemon = self.start_daemon(database=self.database.url(name))
        process.wait_until(
            lambda: daemon.count('Heartbeats cannot be written'), 30.0
        )
        ids, client = self.table.add(4), self.make_client()
        self.assertGreater(self.conducted(lambda: self.beat(client, ids)), 0)
        self.assertEqual(0, daemon.count(collector.READS))
        self.database.create_database(name)
        daemon.wait()

    def test_it_pauses_when_its_database_fails(self) -> None:
        daemon = self.daemon()
        (record,) = self.table.add(1)
        client = self.make_client(3.0)
        self.beat(client, [record])
        self.database.kill()
        process.wait_until(
            lambda: self._fails(client, record, daemon), 30.0, 0.1
        )
        self.database.start()
        daemon.wait(2)
        self.beat(self.make_client(), [record])

    def _fails(
        self, client: Any, record: int, daemon: collector.Daemon
    ) -> bool:
        with contextlib.suppress(exceptions.BackendError):
            client.beat(record)
        return daemon.count('reads no more heartbeats') == 1

    def test_it_collects_again_after_a_restart_of_rabbitmq(self) -> None:
        self.make_collector()
        self.daemon()
        self.queue.kill()
        self.queue.start()
        ids, client = self.table.add(4), self.make_client()
        process.wait_until(
            lambda: self._preferred(client, ids), 60.0, 0.5, 'preferred again'
        )

    def _preferred(self, client: Any, ids: Sequence[int]) -> bool:
        try:
            count = self.conducted(lambda: self.beat(client, ids))
        except exceptions.BackendError:
            return False
        return count == 0

    def test_sigterm_ends_it_whatever_is_away(self) -> None:
        for server in (self.queue, self.database):
            daemon = self.daemon()
            server.freeze()
            self.assert_ends(daemon)
            server.thaw()
            # RabbitMQ has to notice first that its connection was closed.
            process.wait_until(lambda: not self.readers(), 30.0)
        self.queue.kill()
        daemon = self.start_daemon()
        process.wait_until(lambda: daemon.count('Connection failed'), 30.0)
        self.assert_ends(daemon)
        self.queue.start()

    def assert_ends(self, daemon: collector.Daemon) -> None:
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        daemon.thaw()
        process.wait_until(lambda: not daemon.running, 30.0, 0.05)
        self.measured('ended after', time.monotonic() - begun)
        self.assert_within(time.monotonic() - begun, STOP + faults.NOISE)

    def test_sigterm_loses_nothing(self) -> None:
        daemon = self.daemon()
        ids = self.table.add(MANY)
        client = relay.Client(self.make_transport())
        self.assertTrue(client.beat(ids[0], TIMEOUT))
        # More come than it can read at its end.
        daemon.freeze()
        for record in ids:
            client.send(record, LONG_VALID)
        # Any of its threads may receive a signal that is sent to it now.
        self.assert_ends(daemon)
        # RabbitMQ receives only now what was prefetched.
        process.wait_until(
            lambda: self.old(ids) == (self.waiting() or 0),
            TIMEOUT,
            0.1,
            'a heartbeat is neither written nor waits',
        )
        self.assertLess(self.old(ids), len(ids))
        self.assertEqual(0, daemon.count('ERROR'), daemon.tail(40))

    def old(self, records: list[int]) -> int:
        """Return how many of the records have no heartbeat of this test."""
        return sum(age > 3000 for age in self.table.ages(records))

    def test_systemd_is_told_how_it_is(self) -> None:
        told = systemd.Systemd(watchdog=1.5)
        self.addCleanup(told.close)
        made = collector.Daemon(self.root / uuid.uuid4().hex, self.configure())
        self.addCleanup(made.kill)
        made.env.update(told.env)
        made.start()
        told.wait('READY=1', 60)
        told.wait('STATUS=collector: ready', 60)
        told.wait('WATCHDOG=1', 2.0)

    def test_sighup_does_nothing(self) -> None:
        daemon = self.daemon()
        daemon.signal(signal.SIGHUP)
        (record,) = self.table.add(1)
        self.beat(self.make_client(), [record])
        self.assertTrue(daemon.running)


class OptionsTest(Daemons):
    """What it is configured with."""

    def run_to_end(self, **how: str) -> 'subprocess.CompletedProcess[str]':
        made = collector.Daemon(
            self.root / uuid.uuid4().hex, self.configure(**how)
        )
        return subprocess.run(
            made.argv,
            env={**os.environ, **made.env},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def test_what_cannot_be_used_ends_it(self) -> None:
        for how, named in (
            ({'options': 'servicegroup_driver = zk'}, 'servicegroup_driver'),
            ({'options': 'report_interval = 0'}, 'report_interval'),
            ({'database': ''}, '[database] connection'),
            ({'database': f'x://u:{SECRET}@h/n'}, '[database] connection'),
            ({'queue': f'x://u:{SECRET}@h/'}, 'transport_url'),
        ):
            done = self.run_to_end(**how)
            self.assertEqual(2, done.returncode, done.stderr)
            (line,) = done.stderr.splitlines()
            self.assertIn(named, line)
            self.assertNotIn(SECRET, line)

    def test_no_password_is_logged(self) -> None:
        database = sa.make_url(self.url).set(password=SECRET)
        daemon = self.start_daemon(
            database=database.render_as_string(hide_password=False),
            options='debug = true',
        )
        process.wait_until(
            lambda: daemon.count('Heartbeats cannot be written'), 30.0
        )
        daemon.stop()
        other = self.start_daemon(
            queue=self.queue.url.replace('guest:guest', f'guest:{SECRET}'),
            options='debug = true',
        )
        process.wait_until(lambda: other.count('ERROR'), 30.0)
        other.stop()
        for each in (daemon, other):
            self.assertEqual(0, each.count(SECRET), each.tail(40))


def _processor_time(running: process.Process) -> float:
    """Return the seconds that a process has used."""
    text = pathlib.Path(f'/proc/{running.pid}/stat').read_text()
    fields = text.rpartition(')')[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf('SC_CLK_TCK')
