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

"""The seam in the Nova of a release, with the libraries that it pins."""

import testscenarios

from nova_servicegroup.tests.nova import test_live
from nova_servicegroup.tests.releases import scope

load_tests = testscenarios.load_tests_apply_scenarios


class LiveTestCase(test_live.LiveTestCase):
    scenarios = testscenarios.multiply_scenarios(
        [
            (name, {'eventlet': name == 'eventlet'})
            for name in ('threading', 'eventlet')
            if name in scope.MODES
        ],
        [(name, {'driver': name}) for name in scope.DRIVERS],
    )


class ProgramsTestCase(test_live.ProgramsTestCase):
    """Nova's own programs, and ours."""
