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

"""Members that die, freeze, restart and leave; etcd is well."""

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import ending_contract
from nova_servicegroup.tests.functional import etcd_faults
from nova_servicegroup.tests.functional import fault_contract


class DeathTest(
    etcd_faults.Faults, fault_contract.DeathFaults, contract.FunctionalTestCase
):
    """With short leases."""

    def test_a_wedged_service_loses_its_lease(self) -> None:
        down, back = self.wedge()
        self.assertLess(down, self.dead_within)
        self.assertLess(back, self.back_within)


class LifeTest(
    etcd_faults.Faults,
    fault_contract.DistinctRestartFaults,
    contract.FunctionalTestCase,
):
    """What is to be invisible."""

    ttl = 4


class EndTest(
    etcd_faults.Faults, ending_contract.EndRest, contract.FunctionalTestCase
):
    """Memberships that are ended for the dead."""

    ttl = 10

    def freeze_backend(self) -> None:
        self.servers.freeze()

    def test_a_server_that_lacks_space(self) -> None:
        killed = self.running('host1')
        watcher = self.observe('host1')
        self.settle()
        self.raise_alarm()
        fault = self.end_killed(killed)
        down = watcher.wait('down', contract.START) - fault
        self.assert_within(down, self.refresh + 0.5)
        self.assertEqual([], self.members_now())

    def raise_alarm(self) -> None:
        """Have the server refuse all that needs space, until the end."""
        one = self.servers.one
        said = one.ask('maintenance/status', {})
        alarm = {'memberID': said['header']['member_id'], 'alarm': 'NOSPACE'}
        self.addCleanup(
            one.ask, 'maintenance/alarm', {'action': 'DEACTIVATE', **alarm}
        )
        one.ask('maintenance/alarm', {'action': 'ACTIVATE', **alarm})


class ForkTest(
    etcd_faults.Faults,
    fault_contract.DistinctForkFaults,
    contract.FunctionalTestCase,
):
    """A forked child has a lease of its own."""

    ttl = 4
