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

"""The agent beside the nova-computes of a real Nova."""

import json
import pathlib
import signal

from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.nova import test_stack
from nova_servicegroup.watch import deaths

#: What the API's answer, and a busy machine, add to a verdict.
_ASKED = 1.0


class Agents(test_stack.Running):
    """Each compute host has an agent.

    Set ``ended_within``: the seconds from SIGKILL of nova-compute to down.

    :cvar killed: the evidence for one that was killed
    """

    mode = 'threading'
    ended_within: float
    killed = deaths.PROCESS_DIED
    directory: pathlib.Path

    @classmethod
    def setUpClass(cls) -> None:
        super(test_stack.Running, cls).setUpClass()  # type: ignore[misc]
        cls.directory = cls.make_root()  # type: ignore[attr-defined]
        overrides = {
            **test_stack.EXPIRY,
            'servicegroup.hold_time': str(test_stack.HOLD_TIME),
            'servicegroup.agents': 'true',
            'servicegroup.process_directory': str(cls.directory),
        }
        cls.stack = test_stack.running(
            cls.driver, cls.mode, overrides=overrides
        )
        for host in cls.stack.hosts:
            agent = cls.stack.agent(host)
            cls.addClassCleanup(agent.kill)  # type: ignore[attr-defined]
            agent.log.unlink(missing_ok=True)
            agent.start()
            process.wait_until(
                lambda found=agent: 'watches' in found.log.read_text(),
                test_stack.SOON,
            )

    def evidence(self, host: str) -> str:
        """Return what the command line shows of a nova-compute."""
        done = self.stack.command(
            'nova-servicegroup', 'member', 'show', '-f', 'json', host
        )
        return str(json.loads(done.stdout)['Evidence'])

    def test_a_killed_nova_compute_is_down_at_once(self) -> None:
        self.addCleanup(self.revive, 'compute2')
        self.stack.kill('compute2')
        taken = self.stack.wait_state(
            'compute2', 'down', self.ended_within + _ASKED, 0.05
        )
        self.measured('kill to down', taken)
        self.poll_others()
        process.wait_until(
            lambda: self.evidence('compute2') == self.killed,
            test_stack.SOON,
            0.5,
        )
        self.revive('compute2')
        self.poll(test_stack.SESSION_TIMEOUT + 2.0)

    def poll_others(self) -> None:
        """Check that only compute2 is down."""
        down = [
            each['host']
            for each in self.stack.services()
            if each['state'] != 'up'
        ]
        self.assertEqual(['compute2'], down)

    @base.only_long
    def test_one_that_is_restarted_at_once_stays_up(self) -> None:
        for _ in range(3):
            self.stack.kill('compute1')
            self.stack.start('compute1')
            self.poll(test_stack.SESSION_TIMEOUT / 2)

    @base.only_long
    def test_a_frozen_nova_compute_is_none_of_its_business(self) -> None:
        self.stack.kill('compute3', signal.SIGSTOP)
        try:
            self.stack.wait_state('compute3', 'down', self.down_within + 5.0)
        finally:
            self.stack.kill('compute3', signal.SIGCONT)
        self.stack.wait_state('compute3', 'up', test_stack.SOON)


class ZooKeeperTest(Agents, base.TestCase):
    driver = 'zk'
    down_within = test_stack.SESSION_TIMEOUT + 2.0
    settle_time = 1.5 * test_stack.SESSION_TIMEOUT
    ended_within = 1.5


class DatabaseTest(Agents, base.TestCase):
    driver = 'db'
    down_within = test_stack.SERVICE_DOWN_TIME + 4.0
    settle_time = 2.0 * test_stack.REPORT_INTERVAL
    ended_within = 3.0
    killed = deaths.UNKNOWN
