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

"""Nova's tests that fail with the package, since they look into stock drivers.

They pass without it, and are the same in each release. Each is here with its
reason; a test of this project fails when another one fails, and when one of
these passes.
"""

_UNIT = 'nova.tests.unit.'
_DB = f'{_UNIT}servicegroup.test_db_servicegroup.DBServiceGroupTestCase.'
_MC = (
    f'{_UNIT}servicegroup.test_mc_servicegroup.MemcachedServiceGroupTestCase.'
)
_API = f'{_UNIT}api.openstack.compute.test_services.'

_TIMER = (
    "calls the stock driver's private _report_state and expects it, alone, "
    'on the timer of the service'
)
_SAVE = "calls the stock driver's private _report_state"
_CLIENT = "puts a mock in the place of the stock driver's client for memcached"

REASONS = {
    f'{_DB}test_is_up': (
        'has no database; who is late by his record alone is only called down '
        'once the database has been read'
    ),
    f'{_DB}test_join': _TIMER,
    f'{_DB}test_report_state': _SAVE,
    f'{_DB}test_report_state_error_handling_timeout': _SAVE,
    f'{_DB}test_report_state_service_not_found': _SAVE,
    f'{_DB}test_report_state_unexpected_error': _SAVE,
    f'{_MC}test_get_updated_time': _CLIENT,
    f'{_MC}test_is_up': _CLIENT,
    f'{_MC}test_join': _TIMER,
    f'{_MC}test_report_state': _CLIENT,
    **{
        f'{_API}ServicesTestV{version}.test_services_with_exception': (
            "has the stock driver's is_up raise an error; ours never raises"
        )
        for version in ('21', '211', '252')
    },
}
