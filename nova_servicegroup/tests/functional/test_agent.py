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

"""nova-servicegroup-agent as a process, beside members and real servers."""

import signal
import time

from nova_servicegroup import services
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import test_etcd
from nova_servicegroup.tests.functional import test_mc
from nova_servicegroup.tests.functional import test_redis
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import agent
from nova_servicegroup.tests.harness import member
from nova_servicegroup.tests.harness import process
from nova_servicegroup.watch import deaths
from nova_servicegroup.watch import inventory

HOST = 'host1'
#: Seconds from the end of a process to the verdict, at most; and seconds in
#: which the agent reports.
ENDED = 1.5
REPORTED = 3.0
#: How often a member is killed and restarted at once.
RESTARTS = 1000 if base.LONG else 8


class AgentContract(contract.Contract):
    """What the agent of a host does with every backend that has members."""

    def _config(self) -> str:
        """See Contract."""
        more = (
            '[servicegroup]\nagents = true\n'
            f'process_directory = {self.directory}\n'
        )
        text = super()._config().replace('[servicegroup]\n', more)
        return text.replace('[DEFAULT]\n', f'[DEFAULT]\nhost = {HOST}\n')

    def setUp(self) -> None:
        super().setUp()
        self.agent = agent.Agent(self.directory / 'agent', self.config)
        self.addCleanup(self.agent.kill)
        self.agent.start()
        self.reader = inventory.Reader(self.api, contract.GROUP)
        # A loss of it is no mass loss.
        for number in range(2, 5):
            self.make_member(f'host{number}').start()
        # Where no agent was ever seen, its absence is no evidence.
        self.make_member('host2', group=services.HOST_GROUP).start()
        self.member = self.running(HOST)
        for number in range(2, 5):
            self.wait_up(f'host{number}')
        for host in (HOST, 'host2'):
            self.wait_up(host, services.HOST_GROUP)
        self.wait_evidence(None)

    def evidence(self) -> str | None:
        return self.reader.read().entries[HOST].evidence

    def wait_evidence(
        self, wanted: str | None, within: float = REPORTED
    ) -> float:
        return process.wait_until(
            lambda: self.evidence() == wanted, within, 0.02, str(wanted)
        )

    def test_the_process_is_killed(self) -> None:
        self.member.kill()
        seconds = self.wait_down(HOST, ENDED)
        self.measured('kill to down', seconds)
        self.measured(
            'kill to evidence',
            seconds + self.wait_evidence(deaths.PROCESS_DIED),
        )
        self.assertEqual('up', self.reader.read().entries['host2'].state)
        self.member.start()
        self.wait_up(HOST)
        self.watch(self.down_within, HOST)
        self.assertIsNone(self.evidence())

    def test_the_process_is_stopped(self) -> None:
        self.member.stop()
        self.wait_down(HOST, self.leaves_within)
        self.wait_evidence(deaths.PROCESS_STOPPED)

    def test_the_host_dies(self) -> None:
        for each in (self.member, self.agent):
            each.kill()
        self.wait_down(HOST, self.down_within + faults.NOISE)
        self.wait_evidence(deaths.SILENT, self.down_within)
        # An observer that has seen nothing of it says the same.
        self.reader = inventory.Reader(self.make_api(), contract.GROUP)
        self.wait_evidence(deaths.SILENT, self.knows_within + REPORTED)

    def test_a_process_that_is_restarted_is_never_down(self) -> None:
        for _ in range(RESTARTS):
            self._restart(self.member)
            self.watch(0.3, HOST)
        self.assertEqual(0, self.agent.count('ERROR'), self.agent.tail(40))

    def _restart(self, killed: member.Member) -> None:
        """Kill a member, and wait until its successor has joined."""
        killed.kill()
        killed.start()
        process.wait_until(
            lambda: killed.pid in killed.workers(), contract.START, 0.01
        )
        self.wait_up(HOST)


class AgentFaults(AgentContract):
    """What it does in rarer cases, which every driver leaves to common code.

    memcached has one key for all processes of a host.
    """

    def test_the_process_stands_still(self) -> None:
        self.member.freeze()
        self.wait_down(HOST, self.down_within + faults.NOISE)
        self.wait_evidence(deaths.NOT_REPORTING)
        self.member.thaw()
        self.wait_up(HOST)

    def test_the_agent_is_stopped_before(self) -> None:
        self.agent.signal(signal.SIGTERM)
        process.wait_until(
            lambda: self.evidence() or not self.agent.running, 10.0, 0.05
        )
        self.member.kill()
        self.wait_down(HOST, self.down_within + faults.NOISE)
        end = time.monotonic() + self.down_within
        while time.monotonic() < end:
            self.assertEqual(deaths.UNKNOWN, self.evidence())

    def test_the_agent_is_restarted(self) -> None:
        self.agent.kill()
        self.member.kill()
        self.agent.start()
        # It may take as long as it takes to start.
        self.wait_down(HOST, self.down_within + faults.NOISE)
        self.wait_evidence(deaths.PROCESS_DIED, contract.START)

    def test_the_backend_is_away(self) -> None:
        self.lose_backend()
        self.member.kill()
        time.sleep(1.0)
        self.restore_backend()
        # A backend that was emptied has nobody down for some time.
        self.wait_down(HOST, self.hold + contract.START)
        self.wait_evidence(deaths.PROCESS_DIED, contract.START)

    def test_a_second_process_of_the_host_dies(self) -> None:
        second = self.make_member(HOST)
        second.start()
        process.wait_until(
            lambda: second.pid in second.workers(), contract.START
        )
        for killed in 3 * (second, self.member):
            # Both have reported meanwhile.
            time.sleep(2.1 * contract.REPORT_INTERVAL)
            killed.kill()
            self.watch(1.5, HOST)
            killed.start()
            process.wait_until(
                lambda each=killed: each.pid in each.workers(), contract.START
            )


#: For a short run.
_Rest = AgentFaults if base.LONG else AgentContract


class ZooKeeperTest(
    test_zk.ZooKeeperBackend, AgentFaults, contract.FunctionalTestCase
):
    pass


class MemcachedTest(
    test_mc.MemcachedBackend, _Rest, contract.FunctionalTestCase
):
    pass


class EtcdTest(test_etcd.EtcdBackend, _Rest, contract.FunctionalTestCase):
    pass


class RedisTest(test_redis.RedisBackend, _Rest, contract.FunctionalTestCase):
    pass
