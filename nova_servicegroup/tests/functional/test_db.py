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


import datetime
import os
import signal
import time
from typing import Any

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.harness import process


class DatabaseBackend:
    """A services table in a file; the real one is tested with Nova."""

    driver = 'db'
    down_within = contract.SERVICE_DOWN_TIME + 0.5
    not_before = contract.SERVICE_DOWN_TIME - contract.REPORT_INTERVAL - 0.5
    # The refresh_interval and two seconds.
    leaves_within = 0.2 + 2.0

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

    def test_nova_itself_calls_one_down_that_has_left(self) -> None:
        stopped = self.running()
        self.assertTrue(self.stock_is_up())
        begun = time.monotonic()
        stopped.stop()
        process.wait_until(
            lambda: not self.stock_is_up(), self.leaves_within, 0.02
        )
        self.measured('stop to down', time.monotonic() - begun)

    def stock_is_up(self) -> bool:
        """Judge as the driver of Nova that is not from this package."""
        record = self.table.get('host1', contract.GROUP)
        seen = record['last_seen_up'] or record['created_at']
        now = datetime.datetime.now(datetime.timezone.utc)
        age = abs((now - seen).total_seconds())
        return bool(age <= contract.SERVICE_DOWN_TIME)

    def test_workers_that_stop_together_are_down_soon(self) -> None:
        both = self.running(workers=2)
        process.wait_until(lambda: len(both.workers()) == 2, contract.START)
        both.stop()
        self.wait_down('host1', self.leaves_within)

    def test_one_worker_that_stops_makes_its_host_not_down(self) -> None:
        both = self.running(workers=2)
        process.wait_until(lambda: len(both.workers()) == 2, contract.START)
        # oslo.service would start a new one in its place.
        os.kill(both.pid, signal.SIGSTOP)
        os.kill(both.workers()[0], signal.SIGTERM)
        self.watch(self.down_within, 'host1')
        os.kill(both.pid, signal.SIGCONT)


class ObserverTest(
    DatabaseBackend, contract.ObserverContract, contract.FunctionalTestCase
):
    def assert_incarnation(self, *args: Any) -> None:
        # The table says nothing of processes.
        self.assertEqual((), args[-1])
