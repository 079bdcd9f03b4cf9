# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""The pages of nova-servicegroup-monitor for orchestrators."""

import os
import socket
import subprocess

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import monitor
from nova_servicegroup.tests.harness import pages
from nova_servicegroup.tests.harness import ports
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import systemd

_TEXT = """
[DEFAULT]
transport_url = fake:/
[servicegroup_monitor]
health_port = {port}
"""


class HealthTest(
    test_zk.ZooKeeperBackend, contract.Contract, contract.FunctionalTestCase
):
    def make_monitor(self, name: str, port: int) -> monitor.Monitor:
        """Return a monitor that has not been started."""
        config = self.directory / f'{name}.conf'
        config.write_text(self.config.read_text() + _TEXT.format(port=port))
        made = monitor.Monitor(self.directory / name, config)
        self.addCleanup(made.kill)
        return made

    def told(self, port: int) -> dict[str, tuple[int, str]]:
        """Return what a monitor tells; nothing if it does not answer."""
        try:
            return {
                path: pages.fetch(f'http://127.0.0.1:{port}{path}')
                for path in ('/healthz', '/readyz', '/')
            }
        except OSError:
            return {}

    def wait_ready(self, port: int) -> float:
        return process.wait_until(
            lambda: self.told(port).get('/readyz') == (200, 'ok\n'),
            contract.START,
            0.1,
            'it is ready',
        )

    def test_the_leader_and_a_follower(self) -> None:
        self.running('host1')
        where = [ports.free_port(), ports.free_port()]
        for number, port in enumerate(where):
            self.make_monitor(f'monitor{number}', port).start()
        for port in where:
            self.wait_ready(port)
            self.assertEqual(404, self.told(port)['/'][0])
        self.server.freeze()
        self.addCleanup(self.server.thaw)
        for port in where:
            process.wait_until(
                lambda it=port: 'cannot meet' in self.told(it)['/readyz'][1],
                contract.START,
                0.1,
                'it is not ready',
            )
            told = self.told(port)
            self.assertEqual((200, 'ok\n'), told['/healthz'])
            self.assertEqual(503, told['/readyz'][0])
            blind, election = told['/readyz'][1].splitlines()
            self.assertTrue(blind.startswith('compute: blind for '), blind)
            self.assertEqual('election: the monitors cannot meet', election)
        self.server.thaw()
        for port in where:
            self.measured('ready after an outage', self.wait_ready(port))

    def test_systemd_is_told_how_it_is(self) -> None:
        told = systemd.Systemd(watchdog=1.5)
        self.addCleanup(told.close)
        made = self.make_monitor('monitor', ports.free_port())
        made.env.update(told.env)
        made.start()
        told.wait('READY=1', contract.START)
        told.wait('STATUS=compute: ready; election: ready', contract.START)
        told.wait('WATCHDOG=1', 2.0)

    def test_a_port_that_is_taken(self) -> None:
        with socket.create_server(('127.0.0.1', 0)) as taken:
            port = taken.getsockname()[1]
            made = self.make_monitor('monitor', port)
            done = subprocess.run(
                made.argv,
                capture_output=True,
                text=True,
                timeout=contract.START,
                env={**os.environ, **made.env},
            )
        self.assertEqual(2, done.returncode, done.stderr)
        line = done.stderr.splitlines()[-1]
        self.assertIn('Address already in use', line)
        self.assertIn(f'health_port = {port}', line)
