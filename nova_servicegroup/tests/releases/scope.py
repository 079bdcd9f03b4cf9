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

"""Which release the tests here are about, and how much of it."""

import os

from nova_servicegroup.tests.nova import test_stack

RELEASE = test_stack.RELEASE
#: How the services of this release can run; the first one is the default.
MODES = RELEASE.modes
#: The drivers to test, as tools/run-tests says.
DRIVERS = os.environ.get('NOVA_SERVICEGROUP_DRIVERS', 'zk mc db').split()
