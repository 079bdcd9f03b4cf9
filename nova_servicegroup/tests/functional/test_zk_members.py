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

import os
import random
import signal
import time
from typing import Any

from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import zk_faults


class DeathTest(zk_faults.Faults, contract.FunctionalTestCase):
    """With short sessions: deaths that are to be seen."""

    times = 30 if zk_faults.LONG else 5

    def test_a_killed_member_is_down_in_time_and_never_too_soon(self) -> None:
        hosts = [f'host{number}' for number in range(self.times)]
        # More than half of a group must live, or the others are held.
        self.hollow(*(f'living{host}' for host in hosts), 'one-more')
        members = self.members_of(*hosts)
        watcher = self.observe(*hosts)
        kills = {each.host: self._kill(each) for each in members}
        watcher.wait('down', self.dead_within + contract.START)
        taken = [watcher.wait('down', 0, host) - kills[host] for host in hosts]
        self.measured('kill to down', min(taken), max(taken))
        self.assertLess(max(taken), self.dead_within)
        self.assertGreater(min(taken), self.session * 2 / 3)

    def _kill(self, member: Any) -> float:
        time.sleep(random.uniform(0, self.session / 3))
        killed = time.monotonic()
        member.kill()
        return killed

    def test_a_clean_stop_is_down_at_once_and_ends_soon(self) -> None:
        stopped = self.running()
        watcher = self.observe('host1')
        begun = time.monotonic()
        stopped.signal(signal.SIGTERM)
        ended = zk_faults.wait_until(lambda: not stopped.running, 20, 0.01)
        down = watcher.wait('down', self.dead_within) - begun
        self.measured('clean stop: down, ended', down, ended)
        self.assertLess(ended, 2.0)
        self.assertLess(down, ended + self.refresh + 0.2)

    def test_a_clean_stop_ends_soon_without_servers(self) -> None:
        stopped = self.running()
        self.servers.kill()
        time.sleep(self.session)
        stopped.signal(signal.SIGTERM)
        ended = zk_faults.wait_until(lambda: not stopped.running, 20, 0.01)
        self.measured('clean stop without servers: ended', ended)
        self.assertLess(ended, 2.0)

    def test_frozen_for_three_sessions_is_down_and_comes_back(self) -> None:
        frozen = self.running()
        watcher = self.observe('host1')
        fault = time.monotonic()
        frozen.freeze()
        zk_faults.sleep_until(fault + 3 * self.session)
        down = watcher.wait('down', 0) - fault
        thawed = time.monotonic()
        frozen.thaw()
        back = watcher.wait('up', contract.START) - thawed
        self.measured('frozen: down, back', down, back)
        self.assertLess(down, self.dead_within)
        self.assertLess(back, self.back_within)

    def test_a_wedged_service_gives_its_membership_up(self) -> None:
        wedged = self.running()
        watcher = self.observe('host1')
        fault = time.monotonic()
        wedged.wedge()
        down = watcher.wait('down', contract.START) - fault
        wedged.unwedge()
        freed = time.monotonic()
        back = watcher.wait('up', contract.START) - freed
        self.measured('wedged: down, back', down, back)
        self.assertLess(down, self.down_time + self.session)
        self.assertGreater(down, self.down_time * 0.7)
        self.assertLess(back, self.back_within)

    def test_a_whole_group_killed_is_down_within_the_hold_time(self) -> None:
        hosts = [f'host{number}' for number in range(4)]
        members = self.members_of(*hosts)
        watcher = self.observe(*hosts)
        fault = time.monotonic()
        for each in members:
            each.kill()
        down = watcher.wait('down', self.hold + contract.START) - fault
        self.measured('all killed: down', down)
        self.assertLess(down, self.hold + self.refresh + zk_faults.NOISE)
        self.assertGreater(down, self.session * 2 / 3)

    hold = 8


class LifeTest(zk_faults.Faults, contract.FunctionalTestCase):
    """What is to be invisible."""

    session = 4
    times = 30 if zk_faults.LONG else 5

    def test_killed_and_restarted_at_once_is_never_seen_down(self) -> None:
        restarted = self.running()
        watcher = self.observe('host1')
        fault = time.monotonic()
        for _ in range(self.times):
            joined = len(restarted.workers())
            restarted.kill()
            restarted.start()
            zk_faults.wait_until(
                lambda joined=joined: len(restarted.workers()) > joined,
                20,
                0.01,
            )
        time.sleep(self.dead_within)
        self.assert_never_down(fault)
        self.assertEqual('up', watcher.state('host1'))
        self.assertEqual(1, len(self.api.get_all('compute')[0].incarnations))
        self.assertEqual([], watcher.warnings('machines'))

    def test_frozen_for_half_a_session_is_never_seen_down(self) -> None:
        frozen = self.running()
        self.observe('host1')
        for _ in range(2):
            fault = time.monotonic()
            frozen.freeze()
            time.sleep(self.session / 2)
            frozen.thaw()
            time.sleep(self.session)
            self.assert_never_down(fault)


class ForkTest(zk_faults.Faults, contract.FunctionalTestCase):
    """Processes that fork after they have joined and asked."""

    session = 4

    def setUp(self) -> None:
        super().setUp()
        self.service = base.FakeService(report_interval=self.report_interval)
        self.api.join('parent', 'compute', self.service)
        self.addCleanup(self.service.stop)

    def test_a_forked_child_has_sessions_of_its_own(self) -> None:
        self.wait_up('parent')
        watcher = self.observe('parent')
        fault = time.monotonic()
        child = os.fork()
        if not child:
            os._exit(self._as_child())
        status = os.waitpid(child, 0)[1]
        self.assertEqual(0, os.waitstatus_to_exitcode(status))
        end = time.monotonic() + 2 * self.session
        while time.monotonic() < end:
            self.service.fire()
            self.assertTrue(self.is_up('parent'))
            time.sleep(self.session / 6)
        self.assert_never_down(fault)
        self.assertEqual(1, len(self.api.get_all('compute')[0].incarnations))
        self.assertEqual('up', watcher.state('parent'))

    def _as_child(self) -> int:
        """Join and look; return how it ended, for exit."""
        try:
            service = base.FakeService(report_interval=self.report_interval)
            self.api.join('parent', 'compute', service)
            self.api.join('child', 'compute', service)
            zk_faults.wait_until(lambda: 'child' in self.proven(), 10)
            seen = {each.host: each for each in self.api.get_all('compute')}
            service.stop()
            return 0 if len(seen['parent'].incarnations) == 2 else 2
        except BaseException:
            return 1
