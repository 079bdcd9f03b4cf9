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


"""Wall clocks that jump."""

import getpass
from typing import Any

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.functional import mc_faults
from nova_servicegroup.tests.harness import clock


class ClockTest(
    mc_faults.Faults, fault_contract.ClockFaults, contract.FunctionalTestCase
):
    """The clock of a member, or an observer."""

    down_time = 3


class ServerClockTest(
    mc_faults.Faults, fault_contract.ClockSteps, contract.FunctionalTestCase
):
    """The clock of the server."""

    down_time = 3
    fake: clock.Clock

    @classmethod
    def start_backend(cls) -> None:
        cls.fake = clock.Clock(cls.root)
        super().start_backend()

    @classmethod
    def server_options(cls) -> dict[str, Any]:
        # Another user could not read the clock.
        return {'env': cls.fake.env, 'options': ['-u', getpass.getuser()]}

    def test_a_step_of_the_servers_clock_has_no_effect(self) -> None:
        members = self.members_of('host1', 'host2')
        self.observe('host1', 'host2')
        self.step(self.fake)
        members[0].kill()
        self.sees_death()
