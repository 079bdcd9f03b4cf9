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


"""A real Nova with each driver: services live, die and come back."""

import atexit
from collections.abc import Sequence
from concurrent import futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from nova_servicegroup.drivers.db import ages
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import server
from nova_servicegroup.tests.ministack import database
from nova_servicegroup.tests.ministack import releases
from nova_servicegroup.tests.ministack import settings
from nova_servicegroup.tests.ministack import stack as stack_

#: The release that is tested.
RELEASE = releases.chosen()
REPORT_INTERVAL = 2
SERVICE_DOWN_TIME = 10
SESSION_TIMEOUT = 4
TTL = 4
# With SERVICE_DOWN_TIME longer than the longest outage, and than it takes
# oslo.messaging to connect after it, or the outage would rightly be told.
HOLD_TIME = 40
OUTAGE = 15.0
#: Seconds within which each host that is up must have been updated.
NOT_STALE = SERVICE_DOWN_TIME + 2.0
# After an outage, who is missing is held for this long.
SETTLED = 10.0
# One wait of read_timeout, brief ones for the other groups, and what a busy
# machine adds.
SLOWEST = 6.0
SOON = 30.0
# More than the threads of one process of the API.
_AT_ONCE = 16
COLLECTED = 'a collector writes the heartbeats'
NOT_COLLECTED = 'no collector answers'

#: How long a membership outlasts its member, with each driver.
EXPIRY = {
    'zookeeper.session_timeout': str(SESSION_TIMEOUT),
    'etcd.ttl': str(SESSION_TIMEOUT),
    'redis.ttl': str(TTL),
}

_SETTINGS: dict[str, Any] = {
    'computes': 3,
    'report_interval': REPORT_INTERVAL,
    'service_down_time': SERVICE_DOWN_TIME,
    'overrides': {
        **EXPIRY,
        'servicegroup.hold_time': str(HOLD_TIME),
    },
}

_OPTIONS = f"""
[DEFAULT]
report_interval = {REPORT_INTERVAL}
service_down_time = {SERVICE_DOWN_TIME}
[servicegroup]
hold_time = {HOLD_TIME}
"""

_running: list[stack_.Stack] = []
# When nobody is held any more since all were away: with db, for as long as
# that has lasted.
_settled: list[float] = []

_DOWN = """
import pathlib, sys
from nova_servicegroup.tests.ministack import stack
stack.Stack(pathlib.Path(sys.argv[1])).down()
"""


def running(
    driver: str,
    mode: str,
    stock: Sequence[str] = (),
    anew: bool = False,
    **changes: Any,
) -> stack_.Stack:
    """Return the one Nova of this process, on this driver and in this mode.

    Its servers start with the first driver, and stay.

    :param stock: the names of processes that run without this package.
    :param anew: with new data, which no later release has seen.
    :param changes: more fields of Settings.
    """
    wanted = settings.Settings(
        driver=driver,
        mode=mode,
        nova=RELEASE.series,
        stock=tuple(stock),
        **{**_SETTINGS, **changes},
    )
    if anew and _running:
        _running.pop().down()
    if not _running:
        _running.append(_bring_up(wanted))
    stack = _running[0]
    if stack.settings != wanted:
        begun = time.monotonic()
        stack.restart_nova(**vars(wanted))
        ended = time.monotonic()
        _settled.append(ended + (ended - begun))
    return stack


def _bring_up(wanted: settings.Settings) -> stack_.Stack:
    directory = pathlib.Path(tempfile.mkdtemp(prefix='servicegroup-nova-'))
    stack = stack_.Stack(directory, wanted)
    atexit.register(_take_down, directory)
    stack.up()
    return stack


def _take_down(directory: pathlib.Path) -> None:
    """End it from another process: this one may start no threads any more."""
    subprocess.run(
        [sys.executable, '-c', _DOWN, str(directory)],
        check=False,
        timeout=120,
    )
    shutil.rmtree(directory, ignore_errors=True)


def run_options(test: base.TestCase) -> dict[str, float]:
    """Return the options of that Nova; see base.TestCase."""
    return {
        **base.options_of(test.make_conf(_OPTIONS)),
        'session_timeout': SESSION_TIMEOUT,
        'tick': settings.Settings().tick_ms / 1000,
        'ttl': TTL,
    }


class Running:
    """A Nova on one driver, and what tests do with it.

    Set ``driver``, ``mode``, and ``down_within``: the seconds from SIGKILL
    to down, at the latest.
    """

    driver: str
    mode: str
    down_within: float
    #: Seconds, of Membership, and one more.
    settle_time: float
    # The refresh_interval, and a second for whoever asks.
    down_after_stop = 2.0

    def run_options(self) -> dict[str, float]:
        """See base.TestCase."""
        return run_options(self)  # type: ignore[arg-type]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()  # type: ignore[misc]
        cls.stack = running(cls.driver, cls.mode)

    def slack(self) -> float:
        """Return the seconds for which one process may hold who is dead.

        Green threads stand still between requests. Such a process cannot tell
        that from an outage, after which those that are missing are held.
        """
        return self.settle_time if self.mode == 'eventlet' else 0.0

    def revive(self, host: str) -> None:
        """Leave the host up, and enabled, for the next test."""
        if not self.stack.process(host).running:
            self.stack.start(host)
        self.stack.enable(host, True)

    def boot(self, name: str, host: str | None = None) -> stack_.nova.Server:
        """Boot a server that does not outlive the test: there is a quota."""
        server = self.stack.boot(name, host)
        if server.id:
            self.addCleanup(self.stack.delete, server.id)
        return server

    def poll(self, seconds: float, query: str = '') -> float:
        """Ask for the services; all must be up, and the answer quick.

        :param query: for which ones
        :returns: the seconds that the slowest answer took.
        """
        end, slowest = time.monotonic() + seconds, 0.0
        while time.monotonic() < end:
            status, body, took = self.stack.request(
                'GET', f'/os-services{query}'
            )
            self.assertEqual(200, status, body)
            self.assertLess(took, SLOWEST)
            slowest = max(slowest, took)
            self.assertEqual(
                [],
                [
                    each['host']
                    for each in body['services']
                    if each['state'] != 'up'
                ],
            )
            # Some programs evacuate hosts that were not updated for long.
            oldest = min(map(stack_.nova.reported, body['services']))
            self.assertLess(time.time() - oldest, NOT_STALE)
            time.sleep(0.2)
        return slowest


class Contract(Running):
    """What Nova must do on every driver."""

    def test_a_clean_stop_is_seen_at_once(self) -> None:
        self.addCleanup(self.revive, 'compute2')
        self.stack.stop('compute2')
        taken = self.stack.wait_state(
            'compute2', 'down', self.down_after_stop + self.slack()
        )
        self.measured('end to down', taken)

    def test_every_service_is_up_and_has_reported(self) -> None:
        found = self.stack.services()
        self.assertEqual(
            {
                ('nova-compute', 'compute1'),
                ('nova-compute', 'compute2'),
                ('nova-compute', 'compute3'),
                ('nova-conductor', 'controller'),
                ('nova-scheduler', 'controller'),
            },
            {(each['binary'], each['host']) for each in found},
        )
        for each in found:
            self.assertEqual('up', each['state'], each)
            age = time.time() - stack_.nova.reported(each)
            self.assertLess(age, SERVICE_DOWN_TIME, each)

    def test_a_host_dies_and_comes_back(self) -> None:
        self.addCleanup(self.revive, 'compute1')
        server = self.boot('victim', 'compute1')
        self.assertEqual(('ACTIVE', 'compute1'), (server.status, server.host))
        self.assertEqual(400, self.stack.evacuate(server.id)[0])

        self.stack.kill('compute1')
        within = self.down_within + self.slack()
        taken = self.stack.wait_state('compute1', 'down', within)
        self.measured('kill to down', taken)
        # Other processes of nova-api may take until then.
        time.sleep(max(0.0, within - taken))
        self.assertEqual('up', self.stack.state('compute2'))
        self.stack.enable('compute1', False)
        self.stack.enable('compute1', True)
        self.assertEqual('down', self.stack.state('compute1'))
        self.assertTrue(self.boot('refused', 'compute1').refused)
        lands = self.boot('lands')
        self.assertEqual('ACTIVE', lands.status)
        self.assertIn(lands.host, ('compute2', 'compute3'))
        self.assertEqual(200, self.stack.evacuate(server.id, 'compute2')[0])
        process.wait_until(
            lambda: self.stack.server(server.id).host == 'compute2',
            SOON,
            0.5,
            'the server is evacuated',
        )

        self.stack.start('compute1')
        self.assertEqual('up', self.stack.state('compute1'))
        back = self.boot('back', 'compute1')
        self.assertEqual(('ACTIVE', 'compute1'), (back.status, back.host))

    def test_forced_down_wins(self) -> None:
        self.stack.forced_down('compute2')
        self.addCleanup(self.stack.wait_state, 'compute2', 'up')
        self.addCleanup(self.stack.forced_down, 'compute2', False)
        self.assertEqual('down', self.stack.state('compute2'))


class CommandContract:
    """What Nova's commands must do; they run alike in both modes."""

    def test_novas_commands_take_the_driver(self) -> None:
        for words in (
            ('nova-manage', 'cell_v2', 'list_hosts'),
            ('nova-status', 'upgrade', 'check'),
            ('nova-servicegroup-status', 'upgrade', 'check'),
        ):
            done = self.stack.command(*words)
            shown = done.stdout + done.stderr
            # nova-status also finds what has nothing to do with us.
            self.assertIn(done.returncode, (0, 1, 2), shown)
            self.assertNotIn('Traceback', shown)
            self.assertNotIn('not a valid', shown.lower())
        self.assertEqual(0, done.returncode, shown)
        self.assertIn(f'servicegroup_driver is {self.driver}', shown)

    def test_the_doctor_finds_no_error(self) -> None:
        done = self.stack.command('nova-servicegroup', 'doctor', '--json')
        self.assertIn(done.returncode, (0, 1), done.stdout + done.stderr)
        what = {each['what'] for each in json.loads(done.stdout)}
        for part in ('compute: 3 up.', 'the database of cell1 agree to'):
            self.assertTrue(any(part in each for each in what), what)

    def test_novas_report_has_the_groups(self) -> None:
        log = self.stack.log('compute2')
        self.stack.kill('compute2', signal.SIGUSR2)
        process.wait_until(
            lambda: 'Service groups' in log.read_text(), SOON, 0.1
        )
        shown = log.read_text().partition('Service groups')[2]
        self.assertIn('compute2 of compute', shown)

    def test_members_are_listed_and_shown(self) -> None:
        listed = self.stack.command(
            'nova-servicegroup', 'member', 'list', '--long', '-f', 'json'
        )
        self.assertEqual((0, ''), (listed.returncode, listed.stderr))
        self.assertEqual(
            [(f'compute{number}', 'up', True) for number in (1, 2, 3)],
            [
                (each['Host'], each['State'], each['Registered'])
                for each in json.loads(listed.stdout)
            ],
        )
        self.stack.forced_down('compute3')
        self.addCleanup(self.stack.wait_state, 'compute3', 'up')
        self.addCleanup(self.stack.forced_down, 'compute3', False)
        for host, status, state in (
            ('compute1', 0, 'up'),
            ('compute3', 1, 'forced down'),
        ):
            shown = self.stack.command(
                'nova-servicegroup', 'member', 'show', host, '-f', 'json'
            )
            self.assertEqual((status, ''), (shown.returncode, shown.stderr))
            self.assertEqual(state, json.loads(shown.stdout)['State'])
        unknown = self.stack.command(
            'nova-servicegroup', 'member', 'show', 'nowhere'
        )
        self.assertEqual(2, unknown.returncode, unknown.stderr)


class OutageContract(Contract):
    """And what it must do while the backend has a bad minute."""

    def backend(self) -> server.Server:
        raise NotImplementedError

    def restore_backend(self) -> None:
        if not self.backend().running:
            self.backend().start()

    def have_all_look(self) -> None:
        """Ask every process of the API: one may have seen a host dead."""
        with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            asked = [
                pool.submit(self.stack.request, 'GET', '/os-services')
                for _ in range(2 * _AT_ONCE)
            ]
        self.assertEqual({200}, {each.result()[0] for each in asked})

    def test_an_outage_of_the_backend(self) -> None:
        self.addCleanup(self.revive, 'compute2')
        self.addCleanup(self.restore_backend)
        self.have_all_look()
        self.poll(1.0)
        self.backend().kill()
        self.measured('slowest answer', self.poll(OUTAGE))
        self.restore_backend()
        self.poll(SETTLED)
        self.stack.kill('compute2')
        self.stack.wait_state(
            'compute2', 'down', self.down_within + self.slack()
        )


class ZooKeeperContract(OutageContract):
    driver = 'zk'
    down_within = SESSION_TIMEOUT + 0.75 + 1.0 + 1.0
    settle_time = 1.5 * SESSION_TIMEOUT + 1.0

    def backend(self) -> server.Server:
        return self.stack.zookeeper

    def test_one_reading_session_for_each_process(self) -> None:
        for _ in range(20):
            self.stack.services()
        port = self.stack.zookeeper.port
        for name, most in (
            ('api', 1),
            ('compute1', 2),
            ('conductor', 2),
            ('scheduler', 2),
        ):
            counts = connections(self.stack.process(name).pid, port)
            self.assertLessEqual(max(counts), most, f'{name}: {counts}')
        self.assertEqual(
            1, max(connections(self.stack.process('api').pid, port))
        )


class EtcdContract(OutageContract):
    driver = 'etcd'
    down_within = SESSION_TIMEOUT + 1.0 + 1.0 + 1.0
    settle_time = 1.5 * SESSION_TIMEOUT + 1.0

    def backend(self) -> server.Server:
        return self.stack.etcd


class MemcachedContract(OutageContract):
    driver = 'mc'
    down_within = SERVICE_DOWN_TIME + 1.0 + 1.0 + 1.0
    settle_time = 2 * REPORT_INTERVAL + 1.0

    def backend(self) -> server.Server:
        return self.stack.memcached


class RedisContract(OutageContract):
    driver = 'redis'
    down_within = TTL + 1.0 + 1.0
    settle_time = 1.5 * TTL + 1.0

    def backend(self) -> server.Server:
        return self.stack.redis


class DatabaseContract(Contract):
    driver = 'db'
    down_within = SERVICE_DOWN_TIME + 2.0
    settle_time = 1.0 + (
        ages.Limits(REPORT_INTERVAL, SERVICE_DOWN_TIME, HOLD_TIME).settle_time
    )

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        left = max(_settled, default=0.0) - time.monotonic()
        time.sleep(max(0.0, left))

    def slack(self) -> float:
        """See Running. On a busy machine, native threads stand still, too."""
        return self.settle_time

    def test_a_collector_writes_the_heartbeats(self) -> None:
        text = self.stack.log('compute1').read_text()
        self.assertIn(COLLECTED, text)


class ZooKeeperThreadingTest(
    CommandContract, ZooKeeperContract, base.TestCase
):
    mode = 'threading'


@base.only_long
class ZooKeeperEventletTest(ZooKeeperContract, base.TestCase):
    mode = 'eventlet'


class EtcdThreadingTest(CommandContract, EtcdContract, base.TestCase):
    mode = 'threading'
    # ZooKeeper shows it in each run: what differs needs no Nova.
    test_an_outage_of_the_backend = base.only_long(
        EtcdContract.test_an_outage_of_the_backend
    )


@base.only_long
class EtcdEventletTest(EtcdContract, base.TestCase):
    mode = 'eventlet'


class MemcachedThreadingTest(
    CommandContract, MemcachedContract, base.TestCase
):
    mode = 'threading'


@base.only_long
class MemcachedEventletTest(MemcachedContract, base.TestCase):
    mode = 'eventlet'


class RedisThreadingTest(CommandContract, RedisContract, base.TestCase):
    mode = 'threading'
    # ZooKeeper shows it in each run: what differs needs no Nova.
    test_an_outage_of_the_backend = base.only_long(
        RedisContract.test_an_outage_of_the_backend
    )


@base.only_long
class RedisEventletTest(RedisContract, base.TestCase):
    mode = 'eventlet'


class DatabaseThreadingTest(CommandContract, DatabaseContract, base.TestCase):
    mode = 'threading'

    def test_a_conductor_that_is_killed_and_restarted(self) -> None:
        log = self.stack.log('compute1')
        self.stack.kill('conductor')
        self.stack.start('conductor')
        # Its own membership may end before it is back.
        slowest = self.poll(SERVICE_DOWN_TIME, '?binary=nova-compute')
        self.measured('slowest answer', slowest)
        process.wait_until(
            lambda: (
                (text := log.read_text()).rfind(COLLECTED)
                > text.rfind(NOT_COLLECTED)
            ),
            SOON,
            what='a collector writes, as ever or again',
        )

    def test_a_record_that_is_deleted(self) -> None:
        log = self.stack.log('compute3')
        begun = len(log.read_text())
        self.addCleanup(self._mark_record, 0)
        self._mark_record('id')
        process.wait_until(
            lambda: log.read_text()[begun:].count('is gone. Either') >= 2,
            SOON,
            what='the service tells of it at each heartbeat',
        )
        hosts = {each['host'] for each in self.stack.services('nova-compute')}
        self.assertEqual({'compute1', 'compute2'}, hosts)
        self.poll(REPORT_INTERVAL)
        self._mark_record(0)
        process.wait_until(
            lambda: 'recovered' in log.read_text()[begun:],
            SOON,
            what='the heartbeat works again',
        )
        self.assertEqual('up', self.stack.state('compute3'))

    def _mark_record(self, deleted: object) -> None:
        """Delete the record of compute3 as Nova does, or bring it back."""
        self.stack.mariadb.execute(
            f'UPDATE services SET deleted = {deleted} '
            "WHERE host = 'compute3' AND `binary` = 'nova-compute'",
            database.CELL1,
        )


@base.only_long
class DatabaseEventletTest(DatabaseContract, base.TestCase):
    mode = 'eventlet'


def connections(leader: int, port: int) -> list[int]:
    """Count the connections to a port of each process of a session."""
    counts: dict[int, int] = {}
    shown = subprocess.run(
        ['ss', '-tnpH', 'state', 'established', f'dport = :{port}'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for line in shown.splitlines():
        for pid in {int(each) for each in re.findall(r'pid=(\d+)', line)}:
            counts[pid] = counts.get(pid, 0) + 1
    return [n for pid, n in counts.items() if os.getsid(pid) == leader]
