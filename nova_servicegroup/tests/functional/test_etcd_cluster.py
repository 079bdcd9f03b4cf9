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

"""Servers of a cluster that die, freeze or lose their data."""

import time

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.etcd import members
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import cluster_faults
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import etcd_faults
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.harness import etcd

HOSTS = cluster_faults.HOSTS


class OneServerTest(
    etcd_faults.Faults, cluster_faults.OneServer, contract.FunctionalTestCase
):
    ttl = 4

    @base.only_long
    def test_a_killed_follower_makes_nobody_down(self) -> None:
        super().test_a_killed_follower_makes_nobody_down()

    @base.only_long
    def test_a_frozen_follower_makes_nobody_down(self) -> None:
        super().test_a_frozen_follower_makes_nobody_down()

    def test_a_dead_member_is_down_after_an_election(self) -> None:
        """The new leader gives all leases their time anew."""
        killed, *_ = self.members_of(*HOSTS)
        watcher = self.observe(*HOSTS)
        time.sleep(self.ttl)
        fault = time.monotonic()
        killed.kill()
        time.sleep(1)
        leader = self.servers.leader()
        leader.kill()
        self.servers.leader()
        elected = time.monotonic()
        down = watcher.wait('down', self.hold + 4 * self.ttl, HOSTS[0])
        self.measured('kill to down, with an election', down - fault)
        # Who has noticed the election holds those that are missing after it.
        noticed = 'kept' in {each for _, each in watcher.changes(HOSTS[1])}
        held = self.hold if noticed else 0
        self.assertLess(down - elected, self.ttl + 3 + held)
        leader.start()
        self.assert_never_down(fault, *HOSTS[1:])

    def follower(self) -> etcd.Etcd:
        """Return one of two."""
        return self.servers.follower()


class AllServersTest(
    etcd_faults.Faults, cluster_faults.AllServers, contract.FunctionalTestCase
):
    ttl = 4

    @base.only_long
    def test_all_frozen_for_five_expiries_make_nobody_down(self) -> None:
        super().test_all_frozen_for_five_expiries_make_nobody_down()

    @base.only_long
    def test_the_dead_of_an_outage_go_and_the_living_stay(self) -> None:
        super().test_the_dead_of_an_outage_go_and_the_living_stay()

    @base.only_long
    def test_a_mute_majority_makes_nobody_down(self) -> None:
        """One server is left, which answers, but not for the others."""
        self.start_clients()
        fault = time.monotonic()
        for each in self.servers.servers[:2]:
            each.freeze()
        time.sleep(3 * self.ttl)
        self.servers.thaw()
        self.servers.leader()
        self.back(fault, self.ttl + 1)

    @property
    def wiped_within(self) -> float:
        return 3 * self.ttl


class MinorityTest(etcd_faults.Faults, contract.FunctionalTestCase):
    size = 3

    def test_a_server_without_the_majority_confirms_no_member(self) -> None:
        """What it holds may be old, so the member may be gone."""
        server, *others = self.servers.servers
        lease = int(server.ask('lease/grant', {'TTL': 60})['ID'])
        member = naming.member_id(HOSTS[0])
        server.ask('kv/txn', members.join(self.key, member, lease, b'\xc0'))
        question = members.check(self.key, member, lease)
        self.assertTrue(server.ask('kv/txn', question)['succeeded'])
        self.addCleanup(self.servers.thaw)
        for each in others:
            each.freeze()
        self.assertRaises(OSError, server.ask, 'kv/txn', question)


@base.only_long
class LongOutageTest(
    etcd_faults.Faults,
    fault_contract.OutageFaults,
    contract.FunctionalTestCase,
):
    size = 3
    ttl = 4
