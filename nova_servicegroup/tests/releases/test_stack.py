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

"""A real Nova of a release, with each driver and in each mode it has."""

import time
from typing import Any

from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.nova import test_stack
from nova_servicegroup.tests.releases import scope


class DatabaseContract(test_stack.DatabaseContract):
    """Nova's API needs this backend itself: only answers are evidence.

    A group of one host is not held, so the controller does not count.
    """

    def restore_backend(self) -> None:
        if not self.stack.mariadb.running:
            self.stack.mariadb.start()

    def down(self, seconds: float) -> set[str]:
        """Return the computes that any answer of some seconds has down."""
        found: set[str] = set()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found |= {
                one['host']
                for one in self.answer('?binary=nova-compute')
                if one['state'] != 'up'
            }
            time.sleep(0.2)
        return found

    def answer(self, query: str = '') -> list[dict[str, Any]]:
        """Return the services, none when the API cannot answer."""
        path = f'/os-services{query}'
        try:
            status, body, _ = self.stack.request(
                'GET', path, timeout=test_stack.SLOWEST
            )
        except OSError:
            return []
        return list(body['services']) if status == 200 else []

    def have_reported(self, since: float) -> bool:
        """Tell whether every service has reported since then."""
        found = self.answer()
        times = [test_stack.stack_.nova.reported(one) for one in found]
        return bool(found) and min(times) > since

    def test_an_outage_of_the_backend(self) -> None:
        self.addCleanup(self.revive, 'compute2')
        self.addCleanup(self.restore_backend)
        self.stack.mariadb.kill()
        self.assertEqual(set(), self.down(test_stack.OUTAGE))
        self.restore_backend()
        restored = time.time()
        taken = process.wait_until(
            self.answer, test_stack.SOON, 0.2, 'the API answers again'
        )
        self.measured('back to an answer', taken)
        self.assertEqual(set(), self.down(test_stack.SETTLED))
        process.wait_until(
            lambda: self.have_reported(restored),
            test_stack.SOON,
            0.2,
            'all report again',
        )
        self.stack.kill('compute2')
        self.stack.wait_state('compute2', 'down', self.held_within)

    #: One that is late before the others have settled is held for hold_time.
    held_within = (
        test_stack.DatabaseContract.down_within + test_stack.HOLD_TIME
    )


_CONTRACTS: dict[str, type] = {
    'zk': test_stack.ZooKeeperContract,
    'mc': test_stack.MemcachedContract,
    'db': DatabaseContract,
}


def _classes() -> dict[str, type]:
    """Return a class of tests for each mode and driver, by its name."""
    found = {}
    for mode in scope.MODES:
        # Our programs run alike in all modes.
        commands = [test_stack.CommandContract] * (mode == scope.MODES[0])
        for driver in scope.DRIVERS:
            name = f'{mode.capitalize()}_{driver}_Test'
            bases = (*commands, _CONTRACTS[driver], base.TestCase)
            own = {'__module__': __name__, 'mode': mode}
            found[name] = type(name, bases, own)
    return found


globals().update(_classes())
