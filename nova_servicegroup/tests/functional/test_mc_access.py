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


"""Who can do what to the members on memcached, as the page on security says.

That page names these tests, row by row.
"""

import contextlib
import time

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import mc_faults

HOSTS = ['host1', 'host2', 'host3']


class OpenTest(mc_faults.Faults, contract.FunctionalTestCase):
    """Somebody who reaches the server."""

    hold = 6

    def test_sees_who_is_there(self) -> None:
        self.running('host1')
        found = self.server.client().get(self.key('host1'))
        self.assertIsNotNone(found)
        # Nobody needs to know a name for it.
        keys = self.server.client().raw_command(
            b'lru_crawler metadump all', b'END\r\n'
        )
        self.assertIn(b'host1', keys)

    def test_makes_a_dead_host_look_alive(self) -> None:
        self.running('host1')
        killed = self.running('host2')
        watcher = self.observe('host2')
        killed.kill()
        stranger = self.server.client()
        fault = end = time.monotonic()
        while time.monotonic() < end + 3 * self.expiry:
            stranger.set(self.key('host2'), b'x', expire=60, noreply=False)
            time.sleep(1)
        self.assertEqual([], watcher.downs(fault))

    def test_makes_a_live_host_look_dead_until_its_next_heartbeat(
        self,
    ) -> None:
        self.members_of(*HOSTS)
        watcher = self.observe(*HOSTS)
        self.settle()
        stranger, fault = self.server.client(), time.monotonic()
        while not watcher.downs(fault):
            # A heartbeat may be faster than a look.
            self.settle()
            stranger.delete(self.key('host1'), noreply=False)
            with contextlib.suppress(TimeoutError):
                faults.wait_until(
                    lambda: watcher.downs(fault), self.back_within
                )
        # What the member notes lasts for seconds only.
        up = watcher.wait('up', contract.START, 'host1')
        (down, host), *more = watcher.downs(fault)
        self.assertEqual(('host1', []), (host, more))
        self.measured('down', up - down)
        self.assert_within(up - down, self.back_within)
        # The member has noted that the server loses some.
        for _ in range(5):
            stranger.delete(self.key('host1'), noreply=False)
            time.sleep(self.report_interval)
        self.assertEqual([(down, host)], watcher.downs(fault))

    def test_makes_nobody_look_dead_by_emptying_it(self) -> None:
        self.members_of(*HOSTS)
        self.observe(*HOSTS)
        self.settle()
        fault = time.monotonic()
        for _ in range(3):
            self.server.wipe()
            time.sleep(2 * self.report_interval)
        self.assert_never_down(fault)

    def test_hides_the_dead_while_it_is_emptied_again_and_again(self) -> None:
        members = self.members_of(*HOSTS)
        watcher = self.observe(*HOSTS)
        self.settle()
        killed = self.kill(members[0])
        end = killed + self.hold + self.dead_within
        while time.monotonic() < end and not watcher.downs(killed, 'host1'):
            self.server.wipe()
            time.sleep(self.report_interval)
        down = watcher.wait('down', contract.START, 'host1') - killed
        self.measured('kill to down', down)
        self.assert_within(down, self.hold + self.dead_within + 1)
