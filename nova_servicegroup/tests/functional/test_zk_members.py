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


"""Members that die, freeze, restart and leave; ZooKeeper is well."""

import re
import time

from kazoo import client
from kazoo import security

from nova_servicegroup import condition
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import ending_contract
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import zk_faults


class DeathTest(
    zk_faults.Faults, fault_contract.DeathFaults, contract.FunctionalTestCase
):
    """With short sessions."""

    def test_a_wedged_service_gives_its_membership_up(self) -> None:
        down, back = self.wedge()
        self.assertLess(down, self.down_time + self.session)
        self.assertGreater(down, self.down_time * 0.7)
        self.assertLess(back, self.back_within)


class LifeTest(
    zk_faults.Faults,
    fault_contract.DistinctRestartFaults,
    contract.FunctionalTestCase,
):
    """What is to be invisible."""

    session = 4


class EndTest(
    zk_faults.Faults, ending_contract.EndRaces, contract.FunctionalTestCase
):
    """Memberships that are ended for the dead."""

    session = 10
    # kazoo's longest pause between two attempts, and one attempt.
    reconnects_within = 4.0

    def freeze_backend(self) -> None:
        self.servers.freeze()

    def test_a_mark_that_an_attempt_has_left_stays(self) -> None:
        killed, stranger = self.running('host1'), self.hollow()
        (node,) = stranger.get_children(self.path)
        mark = f'{node}!{condition.ENDED_MARK}'
        stranger.create(f'{self.path}/{mark}', ephemeral=True)
        self.end_killed(killed)
        self.assertEqual([mark], stranger.get_children(self.path))

    def test_nodes_may_only_be_deleted(self) -> None:
        killed, stranger = self.running('host1'), self.hollow()
        watcher = self.observe('host1')
        self.settle()
        allowed = security.make_acl(
            'world', 'anyone', read=True, delete=True, admin=True
        )
        stranger.set_acls(self.path, [allowed])
        fault = self.end_killed(killed)
        down = watcher.wait('down', contract.START) - fault
        self.assert_within(down, self.refresh + 0.5)
        self.assertEqual([], stranger.get_children(self.path))


class ForkTest(
    zk_faults.Faults,
    fault_contract.DistinctForkFaults,
    contract.FunctionalTestCase,
):
    """A forked child has sessions of its own."""

    session = 4


class WatchTest(zk_faults.Faults, contract.FunctionalTestCase):
    """The server tells a member what becomes of its node."""

    session = 4

    def setUp(self) -> None:
        super().setUp()
        self.running('host1')
        self.stranger: client.KazooClient = self.hollow()
        # Its timer fires for the first time after a third of a session.
        time.sleep(self.beat + 1)

    def nodes(self) -> list[str]:
        """Return the paths of what is in the group."""
        found = self.stranger.get_children(self.path)
        return [f'{self.path}/{each}' for each in found]

    def test_a_node_that_a_stranger_deletes_is_back_in_a_second(self) -> None:
        longest = 0.0
        for _ in range(3):
            (node,) = self.nodes()
            self.stranger.delete(node)
            back = faults.wait_until(self.nodes, contract.START, 0.01)
            longest = max(longest, back)
            time.sleep(0.7)
        self.measured('deleted: back', longest)
        self.assert_within(longest, 1.0)

    def test_it_is_not_read_while_nothing_happens(self) -> None:
        asked, received = self.seen()
        time.sleep(3 * self.session)
        asked_since, received_since = self.seen()
        self.measured(
            'asked, received', asked_since - asked, received_since - received
        )
        # It pings, and reads at most once.
        self.assertGreater(received_since - received, 7)
        self.assertLessEqual(asked_since - asked, 1)

    def seen(self) -> tuple[int, int]:
        """Return what the server had of the member's session.

        :returns: the number of the last request, which pings have not, and
            how many packets there were
        """
        (node,) = self.nodes()
        owner = self.stranger.exists(node).ephemeralOwner
        (line,) = (
            each
            for server in self.servers.servers
            for each in server.command('cons').splitlines()
            if f'sid={owner:#x},' in each
        )
        asked = re.search(r'lcxid=(0x[0-9a-f]+)', line)
        received = re.search(r'recved=(\d+)', line)
        assert asked is not None and received is not None  # noqa: S101
        return int(asked[1], 16), int(received[1])
