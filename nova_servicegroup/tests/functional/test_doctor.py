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


"""The doctor on real servers, well and ill."""

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import time
from typing import Any

from kazoo import client
from oslo_db.sqlalchemy import engines

from nova_servicegroup import api
from nova_servicegroup.cmd import _startup
from nova_servicegroup.cmd import doctor
from nova_servicegroup.doctor import checks
from nova_servicegroup.doctor import clock as clock_check
from nova_servicegroup.doctor import examination
from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_mc
from nova_servicegroup.tests import harness
from nova_servicegroup.tests.harness import clock
from nova_servicegroup.tests.harness import process

OK, WARNING, ERROR = finding.Level

CONFIG = """
[DEFAULT]
servicegroup_driver = {driver}
report_interval = 1
service_down_time = {down_time}
{default}
[servicegroup]
refresh_interval = 0.2
"""
#: What the doctor may take, and what a busy machine adds to it.
BOUND = examination.BOUND + 3.0
#: Sessions that the servers take from one address.
LIMIT = 20
#: All that can be checked without a Nova.
CHECKS = [name for name in checks.CHECKS if name != 'hook']


class Doctor(contract.Contract):
    """Examines, and looks at what is found."""

    down_time = 30

    def setUp(self) -> None:
        super().setUp()
        # It is there, and has nobody of Nova's groups.
        self.table.create('any', 'any')

    def _config(self) -> str:
        default, groups = self.options()
        text = CONFIG.format(
            driver=self.driver, down_time=self.down_time, default=default
        )
        return text + groups

    def configure(self, old: str, new: str) -> None:
        """Change the configuration."""
        text = self.config.read_text()
        self.assertIn(old, text)
        self.config.write_text(text.replace(old, new))

    def examine(self, *names: str) -> list[finding.Finding]:
        """Return what the checks find, in this process."""
        subject = finding.Subject(
            self.read_conf(), None, lambda name: self.make_api()
        )
        chosen = {name: checks.CHECKS[name] for name in names or CHECKS}
        begun = time.monotonic()
        with contextlib.closing(subject):
            found = examination.examine(subject, chosen)
        self.assert_within(time.monotonic() - begun, BOUND)
        return found

    def run_command(self, *words: str) -> tuple[int, str]:
        """Return exit status and output of the command itself."""
        program = pathlib.Path(sys.executable).with_name('nova-servicegroup')
        only = [word for name in CHECKS for word in ('--check', name)]
        done = subprocess.run(
            [program, '--config-file', self.config, 'doctor', *only, *words],
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertEqual('', done.stderr)
        return done.returncode, done.stdout

    def join(self, host: str) -> None:
        """Let a host live in this process."""
        self.table.create(host, 'compute')
        made, service = self.make_api(), base.FakeService(1)
        made.join(host, 'compute', service)
        # On a busy machine it joins with a later beat only.
        counts = made.driver.reporters()[host, 'compute'].counts
        process.wait_until(
            lambda: counts.last_success or service.fire(), contract.START
        )

    def assert_found(
        self, found: list[finding.Finding], level: int, *parts: str
    ) -> None:
        """Check that one finding has all parts, and nothing is worse."""
        self.assertEqual(level, max(each.level for each in found), found)
        for each in found:
            text = f'{each.what} {each.why} {each.advice}'
            if each.level == level and all(part in text for part in parts):
                return
        self.fail(f'{parts} not in {found}')

    def read_conf(self) -> Any:
        made = self.make_api()
        return made.driver.conf

    def assert_healthy(self, *parts: str) -> None:
        self.join('host1')
        _, shown = self.run_command('--json')
        # Without Nova, it does not know that all of it runs on this machine.
        self.assertEqual(
            [],
            [
                each
                for each in json.loads(shown)
                if each['level'] != 'ok'
                and 'server is another one on each host' not in each['what']
            ],
        )
        for part in (*parts, 'compute: 1 up'):
            self.assertIn(part, shown)
        self.assert_found(self.examine(), OK, 'compute: 1 up')


class ClusterDoctor(contract.SeveralServers, Doctor):
    """Three servers that elect a leader.

    :ivar serving: what is said where two of them are left
    :ivar mute: what is said of an answer that does not come
    """

    serving: str
    mute: str

    def test_a_killed_server(self) -> None:
        killed = self.servers.follower()
        self.addCleanup(self.restore_backend)
        killed.kill()
        self.servers.leader()
        self.join('host1')
        status, shown = self.run_command()
        self.assertEqual(1, status, shown)
        for part in (
            f'WARNING  {killed.address} does not answer: ',
            'refused',
            self.serving,
            '1 warning\n',
        ):
            self.assertIn(part, ' '.join(shown.split('\n           ')))

    def test_all_servers_frozen(self) -> None:
        # Those of ZooKeeper may go on as if nothing were the matter, and yet
        # take nothing any more: each has lost the others in its sleep.
        self.addCleanup(self.servers.start)
        self.addCleanup(self.servers.kill)
        self.servers.freeze()
        found = self.examine()
        self.assert_found(found, ERROR, f'does not answer: {self.mute}')
        self.assert_found(
            found, ERROR, 'compute, conductor, scheduler cannot be read'
        )


class ZooKeeperTest(ClusterDoctor, contract.FunctionalTestCase):
    driver = 'zk'
    serving = '2 of 3 servers serve, 2 are needed: no more may fail.'
    mute = 'no answer in'
    tick_ms = 500
    session = 5

    @classmethod
    def make_servers(cls) -> harness.Ensemble:
        return harness.Ensemble(
            cls.root / 'zookeeper',
            3,
            cls.tick_ms,
            max_client_connections=LIMIT,
        )

    def options(self) -> tuple[str, str]:
        return '', (
            f'[zookeeper]\naddress = {self.servers.address}\n'
            f'session_timeout = {self.session}\nnamespace = {self.unique}\n'
        )

    def test_healthy(self) -> None:
        self.assert_healthy(
            'one ensemble: 1 leader, 2 followers',
            f'Sessions last {self.session} s, as configured.',
            f'{LIMIT} sessions may come from one address',
        )

    def test_foreign_names(self) -> None:
        self.join('host1')
        session = client.KazooClient(self.servers.address, timeout=20)
        session.start()
        self.addCleanup(session.close)
        self.addCleanup(session.stop)
        session.create(f'/{self.unique}/hörst', makepath=True)
        found = self.examine('zookeeper', 'backend')
        self.assertEqual({OK}, {each.level for each in found}, found)
        name = naming.member_id('x\x1b[2J\x07\n').decode()
        # Its server may be behind the one by which the member has joined.
        session.sync(f'/{self.unique}/compute')
        session.create(f'/{self.unique}/compute/{name}', ephemeral=True)
        shown = doctor.as_text(self.examine('members'))
        self.assertIn(r'x\x1b[2J\x07\n', shown)
        for line in shown.splitlines():
            self.assertTrue(line.isprintable(), line)

    def test_a_frozen_server(self) -> None:
        frozen = self.servers.follower()
        self.addCleanup(self.restore_backend)
        frozen.freeze()
        found = self.examine('zookeeper')
        self.assert_found(found, WARNING, frozen.address, 'no answer in')

    def test_a_clamped_session_timeout(self) -> None:
        granted = 20 * self.tick_ms / 1000
        self.configure('session_timeout = 5', 'session_timeout = 25')
        found = self.examine('zookeeper')
        self.assert_found(found, WARNING, f'sessions of {granted:g} s instead')
        self.configure('service_down_time = 30', 'service_down_time = 8')
        found = self.examine('zookeeper')
        self.assert_found(found, ERROR, 'more than service_down_time = 8')

    def test_more_sessions_than_is_good(self) -> None:
        server = self.servers.follower()
        for _ in range(LIMIT - 4):
            session = client.KazooClient(server.address, timeout=20)
            session.start()
            self.addCleanup(session.close)
            self.addCleanup(session.stop)
        found = self.examine('zookeeper')
        self.assert_found(
            found, WARNING, server.address, f'of {LIMIT} that maxClientCnxns'
        )

    def test_a_wrong_address(self) -> None:
        wrong = f'127.0.0.1:{harness.free_port()}'
        self.configure(self.servers.address, wrong)
        found = self.examine()
        self.assert_found(
            found, ERROR, wrong, 'refused', 'No service can report'
        )

    def test_two_machines_with_one_name(self) -> None:
        self.join('host1')
        script = 'hostname rack2 && exec "$@"'
        self.make_member(
            'host1', prefix=['unshare', '--uts', 'sh', '-c', script, 'sh']
        ).start()
        process.wait_until(
            lambda: len(self.api.get_all('compute')[0].incarnations) == 2, 60
        )
        self.assert_found(
            self.examine('members'),
            WARNING,
            'host1',
            'rack2',
            'has just moved',
        )

    def test_who_is_missing_or_unknown(self) -> None:
        self.join('host1')
        for host in ('gone', 'stock'):
            self.table.create(host, 'compute')
        self.table.save_heartbeat('stock', 'compute')
        found = self.examine('members')
        self.assert_found(found, ERROR, '1 reporting to the database', 'stock')
        self.assertIn(
            (
                WARNING,
                'compute: 1 registered with Nova and enabled, but not '
                'alive: gone.',
            ),
            [(each.level, each.what) for each in found],
        )

    def test_who_is_not_registered(self) -> None:
        self.table.create('other', 'conductor')
        self.make_api().join('host1', 'compute', base.FakeService(1))
        found = self.examine('members')
        self.assert_found(found, WARNING, 'not registered with Nova: host1')


class MemcachedTest(
    test_mc.MemcachedBackend, Doctor, contract.FunctionalTestCase
):
    server_options = {'memory_mb': 2, 'options': ['-o', 'no_modern']}

    def renew(self, server: harness.Memcached) -> None:
        server.kill()
        server.start()

    def test_healthy(self) -> None:
        self.configure('report_interval = 1', 'report_interval = 10')
        self.assert_healthy('of 2 MiB used', 'of 1024 connections')

    def test_servers_of_each_host(self) -> None:
        for host in ('host1', 'host2'):
            self.table.create(host, 'compute')
        found = self.examine('memcached')
        self.assert_found(found, WARNING, self.servers[0].address, '2 hosts')
        # Where the services table cannot be read.
        status, shown = self.run_command('--json')
        self.assertEqual(1, status)
        self.assertIn('Every server is another one on each host', shown)

    def test_a_killed_server(self) -> None:
        self.addCleanup(self.restore_backend)
        self.servers[0].kill()
        found = self.examine('memcached')
        self.assert_found(found, WARNING, self.servers[0].address, 'refused')

    def test_a_frozen_server(self) -> None:
        self.addCleanup(self.restore_backend)
        self.servers[0].freeze()
        self.assert_found(
            self.examine(), WARNING, f'{self.servers[0].address} does not'
        )

    def test_all_servers_frozen(self) -> None:
        self.addCleanup(self.restore_backend)
        for server in self.servers:
            server.freeze()
        found = self.examine()
        self.assert_found(found, ERROR, 'No service can report')
        self.assert_found(
            found, ERROR, 'compute, conductor, scheduler cannot be read'
        )

    def test_a_server_that_evicts(self) -> None:
        server = self.servers[0]
        self.addCleanup(self.renew, server)
        value = b'x' * 10_000
        with socket.create_connection(('127.0.0.1', server.port)) as end:
            for number in range(1000):
                end.sendall(
                    b'set foreign-%d 0 0 %d noreply\r\n%s\r\n'
                    % (number, len(value), value)
                )
            end.sendall(b'version\r\n')
            end.recv(100)
        found = self.examine('memcached')
        self.assert_found(found, WARNING, server.address, 'has evicted')

    def test_a_member_that_does_not_know_all_servers(self) -> None:
        one, other = (server.address for server in self.servers)
        self.join('host1')
        self.configure(f'{one},{other}', one)
        self.join('host2')
        self.configure(
            f'memcached_servers = {one}', f'memcached_servers = {one},{other}'
        )
        self.assert_found(
            self.examine('memcached'),
            WARNING,
            f'{other} misses members that another server has: host2.',
        )

    def test_no_servers(self) -> None:
        self.configure('memcached_servers', '# memcached_servers')
        found = self.examine('memcached')
        self.assert_found(found, ERROR, 'The mc driver has no servers')


class ClockTest(contract.FunctionalTestCase):
    """The clock of this host against that of a MariaDB."""

    script = (
        'import sys; from nova_servicegroup.tests.functional import '
        'test_doctor; test_doctor.print_clock(sys.argv[1])'
    )

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.root = cls.make_root()
        cls.server = harness.MariaDB(cls.root / 'mariadb')
        cls.addClassCleanup(cls.server.kill)
        cls.server.start()
        cls.server.create_database('nova')

    def test_a_clock_that_agrees(self) -> None:
        (found,) = examine_clock(self.server.url('nova'))
        self.assertEqual(OK, found.level, found)

    def test_a_clock_that_is_wrong(self) -> None:
        fake = clock.Clock(self.root)
        for offset, level in (('-5', WARNING), ('+20', ERROR)):
            fake.set(offset)
            shown = subprocess.run(
                [sys.executable, '-c', self.script, self.server.url('nova')],
                env=fake.env,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            self.assertIn(f'{int(level)} The clock of this host is ', shown)
            where = 'ahead of' if offset[0] == '+' else 'behind'
            self.assertIn(f'{offset[1:]}.0 s {where} that of', shown)

    def test_a_frozen_database(self) -> None:
        self.addCleanup(self.server.thaw)
        self.server.freeze()
        begun = time.monotonic()
        (found,) = examine_clock(self.server.url('nova'))
        self.assert_within(time.monotonic() - begun, BOUND)
        self.assertIn('no answer in', found.what)


def examine_clock(url: str) -> list[finding.Finding]:
    """Compare this process's clock with that of a database."""
    conf, _ = _startup.load()
    conf([], default_config_files=[], default_config_dirs=[])
    engine = engines.create_engine(url, max_retries=0)
    subject = finding.Subject(
        conf,
        None,
        lambda name: api.API(conf),
        databases=lambda: {'the database': lambda: engine},
    )
    return examination.examine(subject, {'clock': clock_check.check})


def print_clock(url: str) -> None:
    for each in examine_clock(url):
        print(int(each.level), each.what)
