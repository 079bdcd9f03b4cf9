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


"""Who can do what to a Nova, with this package and without, by its queue.

The page on security names these tests, row by row.
"""

import time

from testtools import content

from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.nova import test_fleet
from nova_servicegroup.tests.nova import test_stack

DOWN_TIME = test_stack.SERVICE_DOWN_TIME
INTERVAL = test_stack.REPORT_INTERVAL


class QueueTest(test_fleet.FleetTest):
    """Somebody with Nova's credentials for the message queue."""

    def setUp(self) -> None:
        super().setUp()
        self.both = self.readers()
        file = self.create_tempfiles([('commands', '')])[0]
        self.commands = open(file, 'w')  # noqa: SIM115
        self.addCleanup(self.commands.close)
        intruder = self.stack.python(
            'intruder', 'nova_servicegroup.tests.nova.intruder'
        )
        intruder.env['INTRUDER'] = file
        self.addCleanup(intruder.kill)
        self.addOnException(
            lambda *_: self.addDetail(
                'intruder', content.text_content(intruder.log.read_text())
            )
        )
        intruder.start()

    def have(self, host: str, action: str) -> None:
        """Have it do something to a host, from now on, and nothing else."""
        self.commands.seek(0)
        self.commands.truncate()
        self.commands.write(f'{host} {action}\n')
        self.commands.flush()

    def wait_all(self, *down: str, within: float = test_stack.SOON) -> None:
        """Wait until both readers see these hosts down, and no other."""
        process.wait_until(
            lambda: all(
                each.looks()[-1][1] == set(down) for each in self.both
            ),
            within,
            what=f'{down} are down',
        )

    def test_makes_a_dead_host_look_alive(self) -> None:
        self.have('compute1', 'renew')
        self.addCleanup(self.stack.start, 'compute1')
        begun = time.monotonic()
        self.stack.kill('compute1')
        time.sleep(2 * DOWN_TIME)
        for each in self.both:
            self.assertEqual(set(), each.down(begun))
        self.have('compute1', 'release')
        self.wait_all('compute1')

    def test_makes_a_live_host_look_dead(self) -> None:
        begun = time.monotonic()
        self.have('compute1', 'age')
        process.wait_until(
            lambda: all(each.down_at('compute1', begun) for each in self.both),
            # One heartbeat that is seen in between makes it start anew.
            2 * test_stack.SOON,
            what='it is down',
        )
        self.have('compute1', 'release')
        self.wait_all()

    def test_forces_a_live_host_down_until_it_is_undone(self) -> None:
        self.addCleanup(self.wait_all)
        self.addCleanup(self.have, 'compute1', 'release')
        self.have('compute1', 'force')
        self.wait_all('compute1')
        time.sleep(2 * INTERVAL)
        self.wait_all('compute1', within=INTERVAL)


class DatabaseTest(test_fleet.FleetTest):
    """Somebody with Nova's credentials for the database."""

    def setUp(self) -> None:
        super().setUp()
        self.both = self.readers()

    def seen(self, host: str, when: str) -> None:
        """Have a host seen at a time of SQL."""
        self.stack.mariadb.execute(
            f"UPDATE services SET last_seen_up = {when} WHERE host = '{host}'",
            test_stack.database.CELL1,
        )

    def test_makes_a_dead_host_look_alive(self) -> None:
        self.addCleanup(self.stack.start, 'compute1')
        begun = time.monotonic()
        self.stack.kill('compute1')
        while time.monotonic() < begun + 2 * DOWN_TIME:
            self.seen('compute1', 'UTC_TIMESTAMP()')
            time.sleep(1)
        for each in self.both:
            self.assertEqual(set(), each.down(begun))

    def test_makes_a_live_host_look_dead(self) -> None:
        begun = time.monotonic()

        def seen_down() -> bool:
            self.seen('compute1', "'2020-01-01'")
            return all(each.down_at('compute1', begun) for each in self.both)

        process.wait_until(seen_down, test_stack.SOON, what='it is down')
