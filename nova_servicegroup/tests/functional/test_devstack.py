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

"""The DevStack plugin, in a DevStack of stand-ins (fake_devstack.sh)."""

import os
import pathlib
import re
import signal
import socket
import subprocess

import fixtures
from oslo_config import cfg
import testscenarios

from nova_servicegroup import api
from nova_servicegroup import opts
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import ports

ROOT = pathlib.Path(__file__).parents[3]
DEVSTACK = pathlib.Path(__file__).with_name('fake_devstack.sh')
CONTROLLER = 'n-api,n-cond,n-sch,n-cpu,key'
SUBNODE = 'n-cpu,placement-client'
ADDRESS = '192.0.2.1'
HOST = socket.gethostname()

#: A program in the place of the real one: it records its call, and answers
#: with the first file of answers, or with the only one left.
PROGRAM = """#!/bin/sh
cd "$(dirname "$0")/.." || exit 3
name=$(basename "$0")
echo "$name $*" >> calls
if [ -e "$name.2" ]; then mv "$name.1" "$name.0"; mv "$name.2" "$name.1"
else cp "$name.1" "$name.0"; fi
. "./$name.0"
"""


class FakeDevStack(fixtures.Fixture):
    """A directory in which DevStack's scripts run."""

    def _setUp(self):
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (self.path / 'bin').mkdir()
        self.answer('openstack', *services(), 'true')
        self.answer('nova-servicegroup', f'echo {HOST} up')
        self.answer('nova-servicegroup-status', 'exit 0')

    def answer(self, program, *commands, first=None):
        """Let a program of Nova's environment run these commands.

        :param first: what it runs when it is called for the first time
        """
        path = self.path / 'bin' / program
        path.write_text(PROGRAM)
        path.chmod(0o755)
        runs = [first, commands] if first else [commands]
        for number, run in enumerate(runs, 1):
            text = '\n'.join(run) + '\n'
            (self.path / f'{program}.{number}').write_text(text)

    def run(self, mode, enabled_services=CONTROLLER, **settings):
        """Run stack, unstack or clean; return how it ended."""
        return subprocess.run(
            ['bash', DEVSTACK, self.path, mode],
            env={
                'PATH': '/usr/sbin:/usr/bin:/sbin:/bin',
                'ENABLED_SERVICES': enabled_services,
                'SERVICE_HOST': ADDRESS,
                **settings,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def calls(self, program=''):
        """Return what was called, of all or of one program."""
        path = self.path / 'calls'
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(program)]

    def ran(self):
        """Return the names of the shell functions that ran."""
        return set((self.path / 'ran').read_text().split())

    def conf(self, name):
        """Return a configuration file of Nova, as our options read it."""
        conf = cfg.ConfigOpts()
        opts.register_opts(conf)
        conf(['--config-file', str(self.path / 'etc' / name)], project='nova')
        return conf

    def conf_names(self):
        return {path.name for path in (self.path / 'etc').iterdir()}


def services(**states):
    """Return the lines by which a service list is printed."""
    binaries = ('nova-conductor', 'nova-scheduler', 'nova-compute')
    return [
        f'echo {binary} {HOST} {states.get(binary[5:], "up")}'
        for binary in binaries
    ]


class DevStackTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.devstack = self.useFixture(FakeDevStack())

    def succeed(self, mode, *arguments, **settings):
        done = self.devstack.run(mode, *arguments, **settings)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done

    def fail_with(self, text, mode, *arguments, **settings):
        done = self.devstack.run(mode, *arguments, **settings)
        self.assertNotEqual(0, done.returncode, done.stdout)
        self.assertIn(text, done.stderr)


class EachDriverTest(testscenarios.WithScenarios, DevStackTestCase):
    scenarios = [
        (
            'zk',
            {
                'driver': 'zk',
                'server': 'sg-zookeeper',
                'wanted': {('zookeeper', 'address'): f'{ADDRESS}:2181'},
            },
        ),
        (
            'mc',
            {
                'driver': 'mc',
                'server': 'sg-memcached',
                'wanted': {
                    ('DEFAULT', 'memcached_servers'): [f'{ADDRESS}:11212']
                },
            },
        ),
        ('db', {'driver': 'db', 'server': None, 'wanted': {}}),
        (
            'etcd',
            {
                'driver': 'etcd',
                # DevStack's own.
                'server': None,
                'wanted': {('etcd', 'address'): f'{ADDRESS}:2379'},
            },
        ),
    ]

    def check_confs(self, *names):
        self.assertEqual(set(names), self.devstack.conf_names())
        for name in names:
            conf = self.devstack.conf(name)
            self.assertEqual(self.driver, conf.servicegroup_driver)
            self.assertEqual(10, conf.report_interval)
            self.assertEqual(60, conf.service_down_time)
            for (group, option), value in self.wanted.items():
                found = conf if group == 'DEFAULT' else conf[group]
                self.assertEqual(value, found[option], name)

    def test_a_controller(self):
        before = set(self.devstack.path.iterdir())
        self.succeed(
            'stack', NOVA_SERVICEGROUP_DRIVER=self.driver, NOVA_NUM_CELLS='2'
        )
        self.check_confs(
            'nova.conf', 'nova-cpu.conf', 'nova_cell1.conf', 'nova_cell2.conf'
        )
        self.check_installed()
        self.check_served()
        checks = self.devstack.calls('nova-servicegroup-status')
        self.assertEqual(
            [
                'nova.conf',
                'nova_cell1.conf',
                'nova_cell2.conf',
                'nova-cpu.conf',
            ],
            [pathlib.Path(line.split()[2]).name for line in checks],
        )
        self.check_cleaned(before)

    def check_installed(self):
        extra = '' if self.driver == 'db' else self.driver
        self.assertEqual(
            [f'setup_develop {ROOT} {extra}'],
            self.devstack.calls('setup_develop'),
        )
        self.assertEqual(
            [f'install_bindep {ROOT / "bindep.txt"} {extra}']
            if self.server
            else [],
            self.devstack.calls('install_bindep'),
        )

    def check_served(self):
        started = self.devstack.calls('run_process')
        names = [line.split()[1] for line in started]
        self.assertEqual([self.server] if self.server else [], names)
        calls = self.devstack.calls()
        for line in started:
            self.assertLess(calls.index(line), calls.index('start_nova'))

    def check_cleaned(self, before):
        self.succeed('clean', NOVA_SERVICEGROUP_DRIVER=self.driver)
        left = set(self.devstack.path.iterdir()) - before
        self.assertLessEqual(
            {path.name for path in left if path.suffix != '.0'},
            {'calls', 'ran', 'data'},
        )
        data = self.devstack.path / 'data'
        self.assertEqual([], list(data.iterdir()) if data.exists() else [])
        stopped = [
            line.split()[1] for line in self.devstack.calls('stop_process')
        ]
        for line in self.devstack.calls('run_process'):
            self.assertIn(line.split()[1], stopped)
        self.assertEqual(
            len(self.devstack.calls('setup_develop')),
            len(self.devstack.calls('pip_uninstall nova-servicegroup')),
        )

    def test_a_subnode(self):
        self.succeed('stack', SUBNODE, NOVA_SERVICEGROUP_DRIVER=self.driver)
        self.check_confs('nova.conf', 'nova-cpu.conf')
        self.assertEqual([], self.devstack.calls('run_process'))
        self.assertEqual([], self.devstack.calls('install_bindep'))
        (listed,) = self.devstack.calls('openstack')
        self.assertIn(f'--host {HOST} ', listed)


class ServerTest(DevStackTestCase):
    """The servers as the plugin starts them, for real."""

    def start(self, driver, **settings):
        self.addCleanup(self.kill)
        self.succeed(
            'stack',
            NOVA_SERVICEGROUP_DRIVER=driver,
            SERVICE_HOST='127.0.0.1',
            SERVICE_LISTEN_ADDRESS='127.0.0.1',
            RUN='1',
            **settings,
        )
        servicegroup = api.API(self.devstack.conf('nova_cell1.conf'))
        self.addCleanup(servicegroup.close)
        return servicegroup.driver.check()

    def kill(self):
        for file in self.devstack.path.glob('sg-*.pid'):
            os.killpg(int(file.read_text()), signal.SIGKILL)

    def test_zookeeper(self):
        port = ports.free_port()
        answer = self.start('zk', NOVA_SERVICEGROUP_ZK_PORT=str(port))
        self.assertIn(str(port), answer)

    def test_memcached(self):
        port = ports.free_port()
        answer = self.start('mc', NOVA_SERVICEGROUP_MC_PORT=str(port))
        self.assertIn(str(port), answer)

    def test_redis(self):
        port = ports.free_port()
        answer = self.start('redis', NOVA_SERVICEGROUP_REDIS_PORT=str(port))
        self.assertIn(str(port), answer)


class SettingsTest(DevStackTestCase):
    def test_an_interval_of_local_conf_reaches_every_cell(self):
        self.succeed('stack', NOVA_SERVICE_REPORT_INTERVAL='5')
        for name in self.devstack.conf_names():
            conf = self.devstack.conf(name)
            self.assertEqual(5, conf.report_interval, name)
            self.assertEqual(30, conf.service_down_time, name)

    def test_servers_of_ones_own(self):
        self.succeed(
            'stack',
            DISABLED_SERVICES='sg-zookeeper',
            NOVA_SERVICEGROUP_ZK_ADDRESS='zk1:2181,zk2:2181',
            NOVA_SERVICEGROUP_ZK_SESSION_TIMEOUT='5',
        )
        self.assertEqual([], self.devstack.calls('run_process'))
        zookeeper = self.devstack.conf('nova_cell1.conf').zookeeper
        self.assertEqual('zk1:2181,zk2:2181', zookeeper.address)
        self.assertEqual(5, zookeeper.session_timeout)

    def test_an_unknown_driver_is_refused(self):
        self.fail_with(
            "NOVA_SERVICEGROUP_DRIVER is 'ldap', must be zk, mc, etcd, redis "
            'or db',
            'stack',
            NOVA_SERVICEGROUP_DRIVER='ldap',
        )
        self.assertEqual([], self.devstack.calls('setup_develop'))

    def test_ipv6(self):
        self.succeed(
            'stack',
            SERVICE_HOST='[2001:db8::1]',
            SERVICE_LISTEN_ADDRESS='[::]',
        )
        address = self.devstack.conf('nova.conf').zookeeper.address
        self.assertEqual('[2001:db8::1]:2181', address)
        zoo = self.devstack.path / 'data' / 'nova-servicegroup' / 'zoo.cfg'
        self.assertIn('\nclientPortAddress=::\n', zoo.read_text())
        (awaited,) = self.devstack.calls('test_with_retry')
        self.assertIn('/dev/tcp/2001:db8::1/2181', awaited)

    def test_a_host_without_nova_is_left_alone(self):
        self.succeed('stack', 'key,c-vol')
        self.assertEqual(
            ['define_plugin nova-servicegroup', 'start_nova'],
            self.devstack.calls(),
        )


class ChecksTest(DevStackTestCase):
    def test_services_may_take_a_moment(self):
        late = services(compute='down')
        self.devstack.answer('openstack', *services(), first=late)
        self.succeed('stack')
        self.assertEqual(2, len(self.devstack.calls('openstack')))

    def test_a_service_that_stays_down(self):
        self.devstack.answer('openstack', *services(compute='down'))
        self.fail_with(
            'a service is not up', 'stack', NOVA_SERVICEGROUP_TIMEOUT='0'
        )

    def test_a_service_that_is_missing(self):
        self.devstack.answer('openstack', *services()[:2])
        self.fail_with(
            'a service is not up', 'stack', NOVA_SERVICEGROUP_TIMEOUT='0'
        )

    def test_an_api_that_does_not_answer(self):
        self.devstack.answer('openstack', *services(), 'exit 1')
        self.fail_with(
            'a service is not up', 'stack', NOVA_SERVICEGROUP_TIMEOUT='0'
        )

    def test_a_host_that_the_backend_does_not_know(self):
        self.devstack.answer('nova-servicegroup', f'echo x{HOST} up')
        self.fail_with(
            'the backend does not know this host',
            'stack',
            NOVA_SERVICEGROUP_TIMEOUT='0',
        )

    def test_fake_computes_have_names_of_their_own(self):
        self.devstack.answer('nova-servicegroup', f'echo {HOST}1 up')
        self.succeed('stack', VIRT_DRIVER='fake')

    def test_a_warning_of_the_status_command_is_none_of_devstack(self):
        self.devstack.answer('nova-servicegroup-status', 'exit 1')
        self.succeed('stack')

    def test_a_failure_of_the_status_command(self):
        self.devstack.answer('nova-servicegroup-status', 'exit 2')
        self.fail_with('nova-servicegroup-status finds fault', 'stack')

    def test_a_compute_with_another_driver(self):
        self.fail_with(
            'nova-cpu.conf has servicegroup_driver = db',
            'stack',
            LOCAL_CPU_DRIVER='db',
        )


class EndTest(DevStackTestCase):
    def test_unstack_stops_the_server_of_another_driver_too(self):
        self.succeed('unstack', NOVA_SERVICEGROUP_DRIVER='db')
        self.assertEqual(
            [
                'stop_process sg-zookeeper',
                'stop_process sg-memcached',
                'stop_process sg-redis',
            ],
            self.devstack.calls('stop_process'),
        )

    def test_the_package_is_removed_from_where_nova_is(self):
        self.succeed('clean')
        self.succeed('clean', GLOBAL_VENV='False')
        venv = self.devstack.path / 'data' / 'venv'
        self.assertEqual(
            [
                f'pip_uninstall nova-servicegroup from {venv}',
                'pip_uninstall nova-servicegroup from the system',
            ],
            self.devstack.calls('pip_uninstall'),
        )

    def test_every_function_of_the_plugin_is_called_in_some_phase(self):
        self.succeed('stack')
        self.succeed('stack', NOVA_SERVICEGROUP_DRIVER='mc')
        self.succeed('stack', NOVA_SERVICEGROUP_DRIVER='redis')
        self.succeed('clean')
        text = (ROOT / 'devstack' / 'plugin.sh').read_text()
        functions = set(re.findall(r'^function (\w+)', text, re.MULTILINE))
        self.assertTrue(functions)
        self.assertEqual(set(), functions - self.devstack.ran())
