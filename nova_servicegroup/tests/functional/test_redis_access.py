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

"""Who can do what to the members on redis, as the page on security says.

That page names these tests, row by row.
"""

import time

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import redis_faults

HOSTS = ['host1', 'host2', 'host3']


class OpenTest(redis_faults.Faults, contract.FunctionalTestCase):
    """Somebody who reaches the server, which wants no password."""

    hold = 6

    def test_sees_who_is_there(self) -> None:
        self.running('host1')
        self.assertEqual(1, len(self.ids(self.client(), 'host1')))

    def test_makes_a_dead_host_look_alive(self) -> None:
        killed = self.running('host1')
        watcher = self.observe('host1')
        stranger = self.client()
        (name,) = self.ids(stranger, 'host1')
        fault = time.monotonic()
        killed.kill()
        stranger.set(self.key(name), b'1')
        time.sleep(2 * self.dead_within)
        self.assertEqual([], watcher.downs(fault))

    def test_makes_a_live_host_look_dead_until_its_next_heartbeat(
        self,
    ) -> None:
        self.members_of(*HOSTS)
        watcher = self.observe(*HOSTS)
        self.server.wait_age(1.5 * self.ttl)
        time.sleep(1.5 * self.ttl)
        stranger = self.client()
        (name,) = self.ids(stranger, 'host1')
        down = self.remove_until_down(
            watcher, 'host1', lambda: stranger.delete(self.key(name))
        )
        self.measured('down', down)
        self.assertLess(down, self.back_within)

    def test_makes_nobody_look_dead_by_emptying_it(self) -> None:
        self.members_of(*HOSTS)
        self.observe(*HOSTS)
        fault = time.monotonic()
        for _ in range(3):
            self.server.wipe()
            time.sleep(self.ttl)
        self.assert_never_down(fault)
