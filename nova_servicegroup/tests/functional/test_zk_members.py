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


"""Members that die, freeze, restart and leave; ZooKeeper is well."""

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.functional import zk_faults


class DeathTest(
    zk_faults.Faults, fault_contract.DeathFaults, contract.FunctionalTestCase
):
    """With short sessions."""

    def test_a_wedged_service_gives_its_membership_up(self) -> None:
        down, back = self.wedge()
        self.assertLess(down, self.down_time + self.session)
        self.assertGreater(down, self.down_time * 0.7)
        self.assertLess(back, self.back_within)


class LifeTest(
    zk_faults.Faults,
    fault_contract.DistinctRestartFaults,
    contract.FunctionalTestCase,
):
    """What is to be invisible."""

    session = 4


class ForkTest(
    zk_faults.Faults,
    fault_contract.DistinctForkFaults,
    contract.FunctionalTestCase,
):
    """A forked child has sessions of its own."""

    session = 4
