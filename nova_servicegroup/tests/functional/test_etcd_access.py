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

"""Who can do what to the members on etcd, as the page on security says.

That page names these tests, row by row.
"""

import time

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import etcd_faults

HOSTS = ['host1', 'host2', 'host3']


class OpenTest(etcd_faults.Faults, contract.FunctionalTestCase):
    """Somebody who reaches the server, which knows no users."""

    ttl = 4
    hold = 6

    def test_sees_who_is_there(self) -> None:
        self.running('host1')
        (key,) = self.members_now()
        self.assertIn(b'host1', key)

    def test_makes_a_dead_host_look_alive(self) -> None:
        killed = self.running('host1')
        watcher = self.observe('host1')
        (key,) = self.members_now()
        self.servers.one.put(key + b'0', b'')
        fault = time.monotonic()
        killed.kill()
        time.sleep(2 * self.dead_within)
        self.assertEqual([], watcher.downs(fault))

    def test_makes_a_live_host_look_dead_until_its_next_heartbeat(
        self,
    ) -> None:
        self.members_of(*HOSTS)
        watcher = self.observe(*HOSTS)
        key = next(each for each in self.members_now() if b'host1' in each)
        down = self.remove_until_down(
            watcher, 'host1', lambda: self.servers.one.delete(key)
        )
        self.measured('down', down)
        self.assertLess(down, self.back_within)

    def test_makes_nobody_look_dead_by_emptying_it(self) -> None:
        self.members_of(*HOSTS)
        self.observe(*HOSTS)
        fault = time.monotonic()
        for _ in range(3):
            self.servers.one.delete(self.key, prefix=True)
            time.sleep(self.ttl)
        self.assert_never_down(fault)
