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


"""Wall clocks that jump.

That of the server cannot be changed for it alone: its allocator clashes with
libfaketime. What an observer makes of a jump of it is told by a unit test, and
by the simulation.
"""

from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.functional import redis_faults


@base.only_long
class ClockTest(
    redis_faults.Faults,
    fault_contract.ClockFaults,
    contract.FunctionalTestCase,
):
    """The clock of a member, or an observer."""
