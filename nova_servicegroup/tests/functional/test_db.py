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


from typing import Any

from nova_servicegroup.tests.functional import contract


class DatabaseBackend:
    """A services table in a file; the real one is tested with Nova."""

    driver = 'db'
    down_within = contract.SERVICE_DOWN_TIME + 0.5
    not_before = contract.SERVICE_DOWN_TIME - contract.REPORT_INTERVAL - 0.5
    leaves_within = contract.SERVICE_DOWN_TIME + 0.5

    @classmethod
    def start_backend(cls) -> None:
        pass

    def options(self) -> tuple[str, str]:
        return '', ''


class MemberTest(
    DatabaseBackend, contract.MemberContract, contract.FunctionalTestCase
):
    def test_killed_and_restarted_at_once_is_never_down(self) -> None:
        # As with stock, the first heartbeat comes after a whole interval.
        killed = self.running()
        killed.kill()
        killed.start()
        self.wait_up()


class ObserverTest(
    DatabaseBackend, contract.ObserverContract, contract.FunctionalTestCase
):
    def assert_incarnation(self, *args: Any) -> None:
        # The table says nothing of processes.
        self.assertEqual((), args[-1])
