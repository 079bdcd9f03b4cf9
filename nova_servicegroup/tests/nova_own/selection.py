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

"""Which of Nova's tests are run.

Those of what asks who is up, and of services that are killed, forced down,
evacuated and started again: names of modules and of classes.
"""

from collections.abc import Iterable

_UNIT = 'nova.tests.unit.'
_FUNCTIONAL = 'nova.tests.functional.'
_SERVERS = f'{_FUNCTIONAL}test_servers.'
#: The series of Nova that has a name first, where not all have it.
SINCE = {f'{_FUNCTIONAL}test_graceful_shutdown': '34'}
#: Regressions that evacuate, by the number of their bug.
_BUGS = (
    1669054,
    1702454,
    1713783,
    1735407,
    1764883,
    1794996,
    1815153,
    1823370,
    1890244,
    1896463,
    1922053,
    1978983,
    2085975,
)

UNIT = (
    f'{_UNIT}api.openstack.compute.test_services',
    f'{_UNIT}objects.test_service',
    f'{_UNIT}scheduler.filters.test_compute_filters',
    f'{_UNIT}servicegroup.test_api',
    f'{_UNIT}servicegroup.test_db_servicegroup',
    f'{_UNIT}servicegroup.test_mc_servicegroup',
    f'{_UNIT}test_availability_zones',
    f'{_UNIT}test_service',
)

#: For every change.
FUNCTIONAL = (
    f'{_FUNCTIONAL}wsgi.test_services',
    f'{_FUNCTIONAL}test_service',
    *(f'{_FUNCTIONAL}regressions.test_bug_{bug}' for bug in _BUGS),
)

#: They take too long for every change.
LONG = (
    f'{_FUNCTIONAL}libvirt.test_evacuate',
    f'{_FUNCTIONAL}test_graceful_shutdown',
    f'{_FUNCTIONAL}test_server_group',
    f'{_FUNCTIONAL}wsgi.test_servers',
    f'{_SERVERS}ServerLiveMigrateForceAndAbort',
    f'{_SERVERS}ServerMovingTests',
    f'{_SERVERS}ServerMovingTestsFromFlatToNested',
    f'{_SERVERS}ServerMovingTestsWithNestedComputes',
    f'{_SERVERS}ServerMovingTestsWithNestedResourceRequests',
    f'{_SERVERS}ServerRescheduleTests',
)

SUITES = {'unit': UNIT, 'functional': FUNCTIONAL, 'long': LONG}


def of(names: Iterable[str], series: str) -> list[str]:
    """Return the names that a release has."""
    return [each for each in names if SINCE.get(each, '') <= series]
