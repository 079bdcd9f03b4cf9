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

"""Servers of an ensemble that die, freeze or lose their data."""

import time

from nova_servicegroup.tests.functional import cluster_faults
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.functional import zk_faults
from nova_servicegroup.tests.harness import zookeeper


class OneServerTest(
    zk_faults.Faults, cluster_faults.OneServer, contract.FunctionalTestCase
):
    session = 4

    def test_a_frozen_follower_makes_nobody_down(self) -> None:
        self.start_clients()
        self._roll()
        self.freeze_one(self.follower())

    def follower(self) -> zookeeper.ZooKeeper:
        """Return the one with the most sessions."""
        return max(
            (
                each
                for each in self.servers.servers
                if each.mode() == 'follower'
            ),
            key=lambda each: each.command('cons').count('sid='),
        )

    def _roll(self) -> None:
        """Restart each server; kazoo then reconnects in another order."""
        fault = time.monotonic()
        for each in self.servers.servers:
            each.kill()
            time.sleep(1)
            each.start()
            self.servers.leader()
        self.after(fault)


class AllServersTest(
    zk_faults.Faults, cluster_faults.AllServers, contract.FunctionalTestCase
):
    session = 4

    @property
    def wiped_within(self) -> float:
        # A client that has seen more than the servers have is replaced after
        # 2.5 sessions; a new one that fails rests for up to half of one.
        return 3.5 * self.session


class LongOutageTest(
    zk_faults.Faults, fault_contract.OutageFaults, contract.FunctionalTestCase
):
    size = 3
    session = 4
