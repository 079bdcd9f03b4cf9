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


"""nova-servicegroup-monitor with a real message queue and real consumers."""

import pathlib
import random
import sys
import time
from typing import Any
import uuid
import zlib

from kazoo import client
from oslo_config import cfg
from tooz import utils

import nova_servicegroup
from nova_servicegroup.drivers import views
from nova_servicegroup.monitor import election
from nova_servicegroup.monitor import entries
from nova_servicegroup.monitor import publication
from nova_servicegroup.monitor import sender
from nova_servicegroup import opts
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import test_mc
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import hollow
from nova_servicegroup.tests.harness import monitor
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import rabbitmq
from nova_servicegroup.tests.unit import test_decoding
from nova_servicegroup.watch import watcher

EXAMPLE = (
    pathlib.Path(nova_servicegroup.__file__).parents[1]
    / 'doc/source/admin/consumer.py'
)
TICK = test_zk.TICK
SESSION_TIMEOUT = 3
#: As in contract.CONFIG.
REFRESH = 0.2
HOLD_TIME = 30
#: What monitors may take to hand over: the session of the leader expires,
#: and the next one looks who is there.
TAKEOVER = SESSION_TIMEOUT + 1.5 * TICK + 1.0
#: What a clean stop may take: to deliver, to leave, to close.
STOP = 2.0 + 1.0 + 1.0
#: From the verdict to the consumer.
DELIVERY = 0.3
#: The message queue is back: the longest pause between two attempts.
RETRY = 5.0

_TEXT = """
[DEFAULT]
transport_url = {transport_url}
[servicegroup_monitor]
topics = {topic}
"""


class Monitored:
    """A message queue, and a topic of its own for each test."""

    queue: rabbitmq.RabbitMQ

    @classmethod
    def start_backend(cls) -> None:
        cls.queue = rabbitmq.RabbitMQ(cls.root / 'rabbitmq')
        cls.addClassCleanup(cls.queue.kill)
        cls.queue.launch()
        super().start_backend()  # type: ignore[misc]
        cls.queue.wait()

    def setUp(self) -> None:
        super().setUp()
        self.monitors: list[monitor.Monitor] = []
        self.addCleanup(self.restore_backend)
        topic = f'servicegroup_{self.unique}'
        with self.config.open('a') as file:
            file.write(_TEXT.format(transport_url=self.queue.url, topic=topic))
        self.consumer = monitor.Consumer(self.queue.url, topic)
        self.addCleanup(self.consumer.stop)
        self.consumer.start()

    def restore_backend(self) -> None:
        super().restore_backend()  # type: ignore[misc]
        self.queue.thaw()
        if not self.queue.running:
            self.queue.start()

    def start_monitors(self, count: int) -> None:
        """Start monitors, and wait until one announces and all look."""
        for number in range(count):
            made = monitor.Monitor(
                self.directory / f'monitor{number}', self.config
            )
            self.monitors.append(made)
            self.addCleanup(made.kill)
            made.start()
        self.leader()
        for each in self.monitors:
            self.wait_for(lambda e=each: e.count('Watching group'), 'it looks')
            self.wait_for(
                lambda e=each: (
                    e.count(monitor.LEADS) + e.count(monitor.STANDS_BY)
                ),
                'it has met the others',
            )

    def leader(self, *others: monitor.Monitor) -> monitor.Monitor:
        """Return the monitor that leads, none of others; wait for it."""

        def leading() -> list[monitor.Monitor]:
            return [
                each
                for each in self.monitors
                if each not in others and each.count(monitor.LEADS)
            ]

        self.wait_for(leading, 'a monitor leads')
        (leader,) = leading()
        return leader

    def wait_for(
        self, check: Any, what: str, timeout: float = contract.START
    ) -> float:
        try:
            return process.wait_until(check, timeout, 0.02, what)
        except TimeoutError:
            logs = '\n'.join(each.tail(30) for each in self.monitors)
            raise AssertionError(f'{what}:\n{logs}') from None

    def wait_for_notifications(
        self, state: str, hosts: set[str], timeout: float
    ) -> float:
        """Wait until the consumer has notifications of hosts."""
        return self.wait_for(
            lambda: hosts <= set(self.consumer.hosts(state)),
            f'notified {state}: {len(hosts)} hosts',
            timeout,
        )

    def assert_once(self, state: str, hosts: list[str]) -> None:
        """Check that each came once, but for repeats, and nobody else."""
        self.assertEqual(sorted(hosts), sorted(self.consumer.hosts(state)))

    def stop_in_time(self, stopped: monitor.Monitor) -> None:
        begun = time.monotonic()
        stopped.signal(15)
        self.wait_for(lambda: not stopped.running, 'it ends', STOP + 10)
        taken = time.monotonic() - begun
        self.measured('stop', taken)
        self.assert_within(taken, STOP + faults.NOISE)


class ZooKeeperTest(
    Monitored,
    test_zk.ZooKeeperBackend,
    contract.Contract,
    contract.FunctionalTestCase,
):
    session_timeout = SESSION_TIMEOUT

    def join(self, count: int) -> list[str]:
        """Have hollow members join before the monitors start."""
        self.hosts = [f'host{number:03}' for number in range(count)]
        self.hollow = hollow.Hollow(
            self.server.address, self.unique, 'compute', SESSION_TIMEOUT
        )
        self.addCleanup(self.hollow.close)
        self.hollow.join(self.hosts)
        return list(self.hosts)

    def leave_one_by_one(self, seconds: float, pause: float) -> list[str]:
        """Have members leave for a while, at random moments."""
        gone, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            gone.append(self.hosts.pop())
            self.hollow.leave([gone[-1]])
            time.sleep(random.uniform(0.5, 1.5) * pause)
        return gone

    def test_killed_and_started_again(self) -> None:
        self.join(3)
        killed = self.running('host')
        self.start_monitors(2)
        for _ in range(3 if base.LONG else 1):
            del self.consumer._received[:]
            time.sleep(random.uniform(0, 1))
            begun = time.monotonic()
            killed.kill()
            bound = SESSION_TIMEOUT + 1.5 * TICK + REFRESH + DELIVERY
            self.wait_for_notifications('down', {'host'}, 2 * bound)
            (down,) = self.consumer.received()
            self.measured('from SIGKILL to the consumer', down.at - begun)
            self.assert_within(down.at - begun, bound + faults.NOISE)
            killed.start()
            self.wait_for_notifications('up', {'host'}, contract.START)
            time.sleep(1.0)
            self.assert_once('down', ['host'])
            self.assert_once('up', ['host'])
        self.assert_well_formed(down)

    def test_who_is_of_no_use(self) -> None:
        self.join(3)
        member = self.running('host')
        self.start_monitors(2)
        for state, text in (
            ('degraded', 'degraded:rpc:1700000000'),
            ('draining', 'draining:stopping:1700000000'),
        ):
            member.mark(text)
            self.wait_for_notifications(state, {'host'}, contract.START)
            (told,) = self.consumer.received(state)
            self.assertEqual(f'servicegroup.member.{state}', told.event_type)
            self.assertEqual(
                text.split(':')[1],
                told.data['condition'],
            )
        member.mark(None)
        self.wait_for_notifications('up', {'host'}, contract.START)
        self.assert_once('down', [])
        self.assert_once('up', ['host'])

    def assert_well_formed(self, down: monitor.Received) -> None:
        self.assertEqual(
            ('servicegroup.member.down', 'WARN', 'zk', 'compute'),
            (
                down.event_type,
                down.priority,
                down.data['driver'],
                down.data['group'],
            ),
        )
        self.assertIn(':', down.publisher_id)

    def test_the_leader_is_killed_while_members_leave(self) -> None:
        self.join(300)
        self.start_monitors(3)
        gone, dead = [], []
        for _ in range(2 if base.LONG else 1):
            leader = self.leader(*dead)
            gone += self.leave_one_by_one(random.uniform(1.0, 2.0), 0.06)
            killed = time.monotonic()
            leader.kill()
            dead.append(leader)
            gone += self.leave_one_by_one(TAKEOVER, 0.06)
            self.leader(*dead)
            self.wait_for_notifications('down', set(gone), TAKEOVER)
            self.measured(
                'from SIGKILL to the next leader',
                time.monotonic() - killed,
            )
            self.assert_repeats(killed)
        self.assertEqual(set(gone), set(self.consumer.hosts('down')))
        self.assertEqual([], self.consumer.hosts('up'))

    def assert_repeats(self, killed: float) -> None:
        """Check that only what was new at the end of a leader is repeated.

        Each repeat has the id of the first: consumers drop it.
        """
        first: dict[str, float] = {}
        ages = []
        for each in self.consumer.received('down', repeats=True):
            host = each.data['host']
            if host in first and each.at > killed:
                ages.append(killed - first[host])
            first.setdefault(host, each.at)
        self.measured('repeated', len(ages), unit='')
        if ages:
            self.measured('the oldest of them', max(ages))
            self.assert_within(max(ages), 1.0)
        self.assert_once('down', list(first))

    def test_a_frozen_leader_is_no_second_one(self) -> None:
        self.join(100)
        self.start_monitors(2)
        gone = self.leave_one_by_one(0.5, 0.1)
        self.wait_for_notifications('down', set(gone), TAKEOVER)
        time.sleep(1.0)
        frozen = self.leader()
        frozen.freeze()
        gone += self.leave_one_by_one(0.5, 0.1)
        self.leader(frozen)
        gone += self.leave_one_by_one(0.5, 0.1)
        frozen.thaw()
        gone += self.leave_one_by_one(1.0, 0.1)
        self.wait_for(
            lambda: frozen.count('announces no more'), 'it stands back'
        )
        gone += self.leave_one_by_one(0.5, 0.1)
        self.wait_for_notifications('down', set(gone), TAKEOVER)
        time.sleep(1.0)
        self.assert_once('down', gone)

    def test_foreign_members_stop_nobody(self) -> None:
        # So many that those that leave are never most of them.
        self.join(30)
        session = client.KazooClient(self.server.address, timeout=20)
        session.start()
        self.addCleanup(session.close)
        self.addCleanup(session.stop)
        path = f'/{self.unique}/{election.GROUP}'
        said = publication.Publication(
            str(uuid.uuid4()),
            0.0,
            {
                ('compute', host): publication.after(0, views.DOWN)
                for host in self.hosts
            },
        )
        for number, value in enumerate(
            [
                b'',
                test_decoding.nested(200),
                utils.dumps({'published': publication.encode(said)}),
                utils.dumps({'published': zlib.compress(bytes(10**8))}),
                utils.dumps({'published': zlib.compress(10**5 * b'[')}),
            ]
        ):
            session.create(
                f'{path}/x{number}@{number:024x}', value, makepath=True
            )
        begun = time.monotonic()
        self.start_monitors(2)
        self.measured('until one leads', time.monotonic() - begun)
        gone = self.leave_one_by_one(0.5, 0.2)
        self.wait_for_notifications('down', set(gone), TAKEOVER)
        leader = self.leader()
        session.create(f'{path}/late@000000000000000500000000')
        self.stop_in_time(leader)
        self.leader(leader)
        gone += self.leave_one_by_one(0.5, 0.2)
        self.wait_for_notifications('down', set(gone), 3 * TAKEOVER)
        self.assert_once('down', gone)
        for each in self.monitors:
            self.assertEqual(0, each.count('Traceback'), each.tail(60))

    def test_the_message_queue_is_killed(self) -> None:
        self.join(50)
        self.start_monitors(2)
        gone = self.leave_one_by_one(0.5, 0.1)
        self.wait_for_notifications('down', set(gone), TAKEOVER)
        self.queue.kill()
        gone += self.leave_one_by_one(6.0 if base.LONG else 2.0, 0.3)
        self.queue.start()
        self.wait_for_notifications('down', set(gone), RETRY + contract.START)
        self.assert_once('down', gone)
        since = [each.data['since'] for each in self.consumer.received()]
        self.assertEqual(sorted(since), since)
        leader = self.leader()
        self.assertEqual(1, leader.count('cannot be delivered'))
        self.assertEqual(1, leader.count('are delivered again'))
        self.assertEqual(0, leader.count('ERROR'), leader.tail(60))

    def test_the_example_of_the_documentation(self) -> None:
        config = self.directory / 'consumer.conf'
        config.write_text(f'[DEFAULT]\ntransport_url = {self.queue.url}\n')
        example = process.Process(
            [sys.executable, str(EXAMPLE), f'--config-file={config}'],
            self.directory / 'example',
            {'PYTHONWARNINGS': 'ignore'},
        )
        self.addCleanup(example.kill)
        example.start()
        conf = cfg.ConfigOpts()
        opts.register_opts(conf)
        conf(['--config-file', str(config)], project='nova')
        send = sender.Sender(conf, 'test:host').send
        for host, state in (
            ('back', 'down'),
            ('dead', 'down'),
            ('back', 'up'),
            ('dead', 'down'),
        ):
            send(self._entry(host, state))
        self.wait_for(lambda: 'down: dead' in example.tail(), example.tail())
        time.sleep(0.5)
        self.assertNotIn('back', example.tail())
        self.assertEqual(1, example.tail().count('dead'))

    def _entry(self, host: str, state: str) -> entries.Entry:
        change = watcher.Transition(
            time.time(), 'compute', host, None, state, 'because'
        )
        return entries.Entry(change, state, 0.0, str(uuid.uuid4()))

    if base.LONG:

        def test_zookeeper_is_away(self) -> None:
            first, second = self.running('host1'), self.running('host2')
            self.start_monitors(3)
            self.server.kill()
            time.sleep(SESSION_TIMEOUT + 2.0)
            first.kill()
            self.server.start()
            # It is held at first: the servers may have lost it.
            self.wait_for_notifications(
                'down', {'host1'}, HOLD_TIME + contract.START
            )
            second.stop()
            self.wait_for_notifications('down', {'host2'}, TAKEOVER)
            time.sleep(TAKEOVER)
            self.assert_once('down', ['host1', 'host2'])
            self.assertEqual([], self.consumer.hosts('up'))

    def test_stop(self) -> None:
        self.join(50)
        self.start_monitors(2)
        first = self.leader()
        gone = self.leave_one_by_one(0.5, 0.05)
        self.stop_in_time(first)
        gone += self.leave_one_by_one(0.5, 0.05)
        second = self.leader(first)
        self.wait_for_notifications('down', set(gone), 2.0)
        self.assert_once('down', gone)
        self.addCleanup(self.restore_backend)
        self.queue.freeze()
        self.server.freeze()
        self.stop_in_time(second)


class MemcachedTest(
    Monitored,
    test_mc.MemcachedBackend,
    contract.Contract,
    contract.FunctionalTestCase,
):
    def test_one_of_two_announces(self) -> None:
        first, second = self.running('host1'), self.running('host2')
        self.start_monitors(2)
        leader = self.leader()
        first.stop()
        self.wait_for_notifications('down', {'host1'}, contract.START)
        self.stop_in_time(leader)
        self.leader(leader)
        second.stop()
        self.wait_for_notifications('down', {'host2'}, contract.START)
        self.assert_once('down', ['host1', 'host2'])
        self.assertEqual([], self.consumer.hosts('up'))
