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


"""Members that die, freeze, restart and leave; the server is well."""

import os
from unittest import mock

from nova_servicegroup.drivers.redis import driver
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import ending_contract
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.functional import redis_faults


class DeathTest(
    redis_faults.Faults,
    fault_contract.DeathFaults,
    contract.FunctionalTestCase,
):
    times = 30 if base.LONG else 10

    def test_a_wedged_service_is_down_and_comes_back(self) -> None:
        down, back = self.wedge()
        self.assertLess(down, self.dead_within)
        self.assertLess(back, self.back_within)


class RestartTest(
    redis_faults.Faults,
    fault_contract.RestartFaults,
    contract.FunctionalTestCase,
):
    # A restart on a busy machine takes seconds.
    ttl = 12 if base.LONG else 8


class EndTest(
    redis_faults.Faults, ending_contract.EndRest, contract.FunctionalTestCase
):
    """Memberships that are ended for the dead."""

    ttl = 10

    def freeze_backend(self) -> None:
        self.server.freeze()


class ForkTest(
    redis_faults.Faults,
    fault_contract.ForkFaults,
    contract.FunctionalTestCase,
):
    def is_apart(self) -> bool:
        """Tell whether this process has connections of its own."""
        listing = self.client().client_list()
        addresses = {each['addr'] for each in listing}
        return len(_ports(os.getpid()) & addresses) >= 3


class SweepTest(redis_faults.Faults, contract.FunctionalTestCase):
    """Members that died stay on the list for a while, and no reader cares."""

    def test_a_reader_removes_nobody(self) -> None:
        self.hollow('host2')
        killed = self.running('host1')
        killed.kill()
        self.wait_down('host1', self.dead_within + 1)
        for _ in range(5):
            self.make_api().get_all(contract.GROUP)
        self.assertEqual(1, len(self.ids(self.client(), 'host1')))

    def test_some_who_join_remove_the_dead_alone(self) -> None:
        client = self.hollow('host2')
        dead = 'dead@000000000000000000000000'
        client.hset(self.group, dead, b'')
        # One in fifty does.
        with mock.patch.object(driver, '_SWEEP', 1):
            self.api.join('host1', contract.GROUP, base.FakeService(60))
        self.assertFalse(client.hexists(self.group, dead))
        self.assertTrue(client.hexists(self.group, '__created__'))
        for host in ('host1', 'host2'):
            self.assertTrue(self.ids(client, host), host)


def _ports(pid: int) -> set[str]:
    """Return the local ends of the connections of a process."""
    found = set()
    names = os.listdir(f'/proc/{pid}/fd')
    inodes = set()
    for name in names:
        try:
            inodes.add(os.readlink(f'/proc/{pid}/fd/{name}'))
        except OSError:
            continue
    with open(f'/proc/{pid}/net/tcp') as lines:
        for line in list(lines)[1:]:
            words = line.split()
            if f'socket:[{words[9]}]' in inodes:
                port = int(words[1].partition(':')[2], 16)
                found.add(f'127.0.0.1:{port}')
    return found
