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

"""A server that stands alone, and has a bad time."""

import time

from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import etcd_faults
from nova_servicegroup.tests.functional import fault_contract

HOSTS = ['host1', 'host2', 'host3']


class OneServerTest(etcd_faults.Faults, contract.FunctionalTestCase):
    """Nobody is to notice."""

    ttl = 4
    hold = 35

    def start_clients(self) -> float:
        self.members_of(*HOSTS)
        self.observe(*HOSTS)
        return time.monotonic()

    def back(self, fault: float, within: float) -> None:
        """Check that everybody is confirmed soon, and never was down."""
        took = self.wait_all_up(time.monotonic(), within)
        self.measured('confirmed', took)
        time.sleep(self.ttl)
        self.assert_never_down(fault)
        self.assert_calls_bounded(fault)

    @base.only_long
    def test_restarted_again_and_again(self) -> None:
        fault = self.start_clients()
        for _ in range(3):
            self.servers.kill()
            self.servers.start()
            self.back(fault, self.ttl)

    @base.only_long
    def test_mute_for_three_leases(self) -> None:
        fault = self.start_clients()
        self.servers.freeze()
        time.sleep(3 * self.ttl)
        self.servers.thaw()
        self.back(fault, self.ttl)

    def test_wiped(self) -> None:
        fault = self.start_clients()
        self.servers.kill()
        self.servers.wipe()
        self.servers.start()
        self.back(fault, self.ttl)

    def test_all_keys_are_deleted_while_it_runs(self) -> None:
        """So that there is no outage to tell by; for a group of any size."""
        fault = self.start_clients()
        for _ in range(3):
            self.servers.one.delete(self.key, prefix=True)
            time.sleep(self.ttl)
        self.back(fault, self.ttl)

    def test_all_leases_are_revoked_while_it_runs(self) -> None:
        fault = self.start_clients()
        one = self.servers.one
        for each in one.ask('kv/lease/leases', {})['leases']:
            one.ask('lease/revoke', {'ID': each['ID']})
        self.back(fault, self.ttl)

    def test_one_key_is_deleted_and_is_back_with_the_next_beat(self) -> None:
        fault = self.start_clients()
        self.servers.one.delete(self.members_now()[0])
        time.sleep(self.back_within)
        self.assertEqual(len(HOSTS), len(self.members_now()))
        self.assert_never_down(fault, *HOSTS[1:])

    def test_a_key_with_another_lease_is_taken_back(self) -> None:
        """It would go with that lease, and no heartbeat would see it."""
        fault = self.start_clients()
        one = self.servers.one
        lease = int(one.ask('lease/grant', {'TTL': 2 * self.ttl})['ID'])
        for each in self.members_now():
            one.put(each, b'\xc0', lease)
        time.sleep(3 * self.ttl)
        self.back(fault, self.ttl)


@base.only_long
class LongOutageTest(
    etcd_faults.Faults,
    fault_contract.OutageFaults,
    contract.FunctionalTestCase,
):
    ttl = 4
