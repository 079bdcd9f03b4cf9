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


"""Faults that every driver must bear whose backend drops silent members."""

import os
import signal
import time
from typing import Any

from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.harness import clock

#: So often a restart is tried that a busy machine makes too slow.
_TRIES = 10


class DeathFaults(faults.Faults):
    """Deaths that are to be seen."""

    times = 30 if base.LONG else 5
    #: The seconds of a heartbeat that a busy member has skipped when it is
    #: killed.
    skipped: float = 0.0

    def hollow(self, *hosts: str) -> None:
        """Have members in the group that need no process of their own."""
        raise NotImplementedError

    def settle(self) -> None:
        """Wait until a group that was just made is like any other."""

    def test_a_killed_member_is_down_in_time_and_never_too_soon(self) -> None:
        hosts = [f'host{number}' for number in range(self.times)]
        # More than half of a group must live, or the others are held.
        self.hollow(*(f'living{host}' for host in hosts), 'one-more')
        members = self.members_of(*hosts)
        watcher = self.observe(*hosts)
        kills = {each.host: self.kill(each) for each in members}
        watcher.wait('down', self.dead_within + contract.START)
        taken = [watcher.wait('down', 0, host) - kills[host] for host in hosts]
        self.measured('kill to down', min(taken), max(taken))
        self.assert_within(max(taken), self.dead_within)
        self.assertGreater(min(taken), self.not_before - self.skipped)

    def test_a_clean_stop_is_down_at_once_and_ends_soon(self) -> None:
        stopped = self.running()
        watcher = self.observe('host1')
        self.settle()
        begun = time.monotonic()
        stopped.signal(signal.SIGTERM)
        ended = faults.wait_until(lambda: not stopped.running, 20, 0.01)
        down = watcher.wait('down', self.dead_within) - begun
        self.measured('clean stop: down, ended', down, ended)
        self.assert_within(ended, 2.0)
        self.assert_within(down, ended + self.refresh + 0.2)

    def test_a_clean_stop_ends_soon_without_servers(self) -> None:
        stopped = self.running()
        self.lose_backend()
        time.sleep(self.expiry)
        stopped.signal(signal.SIGTERM)
        ended = faults.wait_until(lambda: not stopped.running, 20, 0.01)
        self.measured('clean stop without servers: ended', ended)
        self.assert_within(ended, 2.0)

    def test_frozen_for_three_expiries_is_down_and_comes_back(self) -> None:
        frozen = self.running()
        watcher = self.observe('host1')
        fault = time.monotonic()
        frozen.freeze()
        faults.sleep_until(fault + 3 * self.expiry)
        down = watcher.wait('down', 0) - fault
        thawed = time.monotonic()
        frozen.thaw()
        back = watcher.wait('up', contract.START) - thawed
        self.measured('frozen: down, back', down, back)
        self.assert_within(down, self.dead_within)
        self.assert_within(back, self.back_within)

    def wedge(self) -> tuple[float, float]:
        """Let a service's timers stand still until it is seen down, and go on.

        :returns: the seconds until it was down, and then up
        """
        wedged = self.running()
        watcher = self.observe('host1')
        fault = time.monotonic()
        wedged.wedge()
        down = watcher.wait('down', self.dead_within + contract.START) - fault
        freed = time.monotonic()
        wedged.unwedge()
        back = watcher.wait('up', contract.START) - freed
        self.measured('wedged: down, back', down, back)
        return down, back

    def test_a_whole_group_killed_is_down_after_the_hold_time(self) -> None:
        hosts = [f'host{number}' for number in range(4)]
        members = self.members_of(*hosts)
        watcher = self.observe(*hosts)
        fault = time.monotonic()
        for each in members:
            each.kill()
        down = watcher.wait('down', self.hold + contract.START) - fault
        self.measured('all killed: down', down)
        self.assert_within(down, self.dead_within + self.hold + faults.NOISE)
        self.assertGreater(down, self.hold)

    hold = 8


class RestartFaults(faults.Faults):
    """What is to be invisible."""

    times = 30 if base.LONG else 5

    def test_killed_and_restarted_at_once_is_never_seen_down(self) -> None:
        restarted = self.running()
        watcher = self.observe('host1')
        longest = 0.0
        for _ in range(self.times):
            fault, took = self._restart_at_once(restarted)
            longest = max(longest, took)
            self.assert_never_down(fault)
        self.measured('longest restart', longest)
        time.sleep(self.dead_within)
        self.assert_never_down(fault)
        self.assertEqual('up', watcher.state('host1'))

    def _restart_at_once(self, member: Any) -> tuple[float, float]:
        """Restart a member; return when, and the seconds without it.

        On a busy machine a restart may take so long that the member is rightly
        down; then once more.
        """
        for _ in range(_TRIES):
            begun = time.monotonic()
            took = self._restart(member)
            if took < self.not_before:
                return begun, took
            self.wait_up('host1')  # type: ignore[attr-defined]
        raise AssertionError(f'no restart took less than {self.not_before} s')

    def _restart(self, member: Any) -> float:
        """Kill and start a member; return the seconds without it."""
        joined = len(member.workers())
        killed = time.monotonic()
        member.kill()
        member.start()
        faults.wait_until(lambda: len(member.workers()) > joined, 20, 0.01)
        return time.monotonic() - killed


class ForkFaults(faults.Faults):
    """Processes that fork after they have joined and asked."""

    def setUp(self) -> None:
        super().setUp()
        self.service = base.FakeService(report_interval=self.report_interval)
        self.api.join('parent', 'compute', self.service)
        self.addCleanup(self.service.stop)

    def is_apart(self) -> bool:
        """Tell, in the child, whether it uses nothing of its parent's."""
        raise NotImplementedError

    def test_a_forked_child_has_connections_of_its_own(self) -> None:
        self.wait_up('parent')
        watcher = self.make_observer('parent')
        watcher.start()
        faults.wait_until(
            lambda: self.service.fire() or watcher.state('parent') == 'up',
            contract.START,
        )
        fault = time.monotonic()
        child = os.fork()
        if not child:
            os._exit(self._as_child())
        self.assertEqual(0, self._beat_until_ended(child))
        end = time.monotonic() + 2 * self.expiry
        while time.monotonic() < end:
            self._beat()
        self.assert_never_down(fault)
        self.assertEqual('up', watcher.state('parent'))

    def _beat(self) -> None:
        self.service.fire()
        self.assertTrue(self.is_up('parent'))
        time.sleep(self.expiry / 6)

    def _beat_until_ended(self, child: int) -> int:
        """Beat until the child has ended; return how it did."""
        while True:
            self._beat()
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)

    def _as_child(self) -> int:
        """Join and look; return how it ended, for exit."""
        try:
            service = base.FakeService(report_interval=self.report_interval)
            self.api.join('parent', 'compute', service)
            self.api.join('child', 'compute', service)
            faults.wait_until(lambda: 'child' in self.proven(), 10)
            apart = self.is_apart()
            service.stop()
            return 0 if apart else 2
        except BaseException:
            return 1


class DistinctRestartFaults(RestartFaults):
    """The same where each process is a member of its own."""

    def test_killed_and_restarted_at_once_is_never_seen_down(self) -> None:
        super().test_killed_and_restarted_at_once_is_never_seen_down()
        self.assertEqual(1, len(self.api.get_all('compute')[0].incarnations))
        self.assertEqual([], self.observers[0].warnings('machines'))

    def test_frozen_for_half_an_expiry_is_never_seen_down(self) -> None:
        frozen = self.running()
        self.observe('host1')
        for _ in range(2):
            fault = time.monotonic()
            frozen.freeze()
            time.sleep(self.expiry / 2)
            frozen.thaw()
            time.sleep(self.expiry)
            self.assert_never_down(fault)


class DistinctForkFaults(ForkFaults):
    """The same where a child is a member of its own."""

    def test_a_forked_child_has_connections_of_its_own(self) -> None:
        super().test_a_forked_child_has_connections_of_its_own()
        self.assertEqual(1, len(self.api.get_all('compute')[0].incarnations))

    def is_apart(self) -> bool:
        seen = {each.host: each for each in self.api.get_all('compute')}
        return len(seen['parent'].incarnations) == 2


class DoubleFaults(faults.Faults):
    """Two machines that believe to be the same host."""

    def test_it_is_up_with_one_warning_and_both_are_shown(self) -> None:
        machines = [self._machine(name) for name in ('rack1', 'rack2')]
        watcher = self.observe('host1')
        fault = time.monotonic()
        faults.wait_until(lambda: watcher.warnings('rack1'), 20)
        time.sleep(1)
        warnings = watcher.warnings('rack')
        self.assertEqual(1, len(warnings), warnings)
        for part in ('host1', 'rack1', 'rack2'):
            self.assertIn(part, warnings[0])
        shown = self.api.get_all('compute')[0].incarnations
        self.assertEqual(2, len(shown))
        for name in ('rack1', 'rack2'):
            self.assertIn(name, [each.machine for each in shown])
        machines[0].kill()
        time.sleep(self.dead_within)
        self.assert_never_down(fault)

    def test_workers_of_one_machine_are_no_double(self) -> None:
        both = self.running(workers=2)
        watcher = self.observe('host1')
        faults.wait_until(lambda: len(both.workers()) == 2, 20)
        time.sleep(4 * self.expiry)
        self.assertEqual([], watcher.warnings('host1'))

    def _machine(self, name: str) -> Any:
        script = f'hostname {name} && exec "$@"'
        return self.running(
            'host1', prefix=['unshare', '--uts', 'sh', '-c', script, 'sh']
        )


class OutageFaults(faults.Faults):
    """The servers stay away for longer than the hold time."""

    hold = 8

    def test_members_are_held_for_the_hold_time_and_come_back(self) -> None:
        self.members_of('host1', 'host2')
        watcher = self.observe('host1', 'host2')
        fault = time.monotonic()
        self.lose_backend()
        last = watcher.wait('down', self.hold + 10)
        first = min(at for at, _ in watcher.downs(fault))
        self.measured('outage to down', first - fault, last - fault)
        self.assertGreater(first - fault, self.hold - 2 * self.refresh)
        self.assert_within(
            last - fault, self.hold + self.refresh + faults.NOISE
        )
        time.sleep(2 * self.refresh)
        blind = watcher.warnings('blind')
        self.assertEqual(1, len(blind), blind)
        self.assertIn('host1, host2: down', blind[0])
        time.sleep(3)
        self.restore_backend()
        returned = time.monotonic()
        self.measured(
            'confirmed', self.wait_all_up(returned, self.back_within)
        )

    def test_who_is_not_asked_for_long_looks_before_it_answers(self) -> None:
        """As a worker of nova-api may be; its last look was in an outage."""
        self.members_of('host1', 'host2')
        self.observe('host1', 'host2')
        self.assertTrue(self.is_up('host1'))
        self.lose_backend()
        time.sleep(2 * self.refresh)
        self.assertTrue(self.is_up('host1'))
        asked = time.monotonic()
        self.restore_backend()
        self.wait_all_up(time.monotonic(), self.back_within)
        faults.sleep_until(asked + self.hold + 1)
        self.assertTrue(self.is_up('host1'))
        self.assertTrue(self.is_up('host2'))


class ClockSteps(faults.Faults):
    """Wall clocks that jump."""

    def step(self, stepped: clock.Clock) -> None:
        """Step a clock there and back; nobody may be seen down."""
        fault = time.monotonic()
        for offset, seconds in (('+1h', 3600), ('-1h', -3600), ('+0', 0)):
            stepped.set(offset)
            self.assertAlmostEqual(
                time.time() + seconds, stepped.read(), delta=60
            )
            time.sleep(1.5 * self.expiry)
            self.assert_never_down(fault)
        self.wait_all_up(fault, 6 * self.expiry)

    def sees_death(self) -> None:
        """Check that host1, just killed, is seen down in time."""
        killed = time.monotonic()
        down = self.observers[0].wait('down', 20, 'host1') - killed
        self.measured('kill to down', down)
        self.assert_within(down, self.dead_within)
        self.assertGreater(down, self.not_before)
        self.assert_never_down(killed, 'host2')


class ClockFaults(ClockSteps):
    """Wall clocks of members and observers that jump."""

    def setUp(self) -> None:
        super().setUp()
        self.fake = clock.Clock(self.directory)

    def test_a_step_of_the_members_clock_has_no_effect(self) -> None:
        stepped = self.running('host1', env=self.fake.env)
        self.running('host2')
        self.observe('host1', 'host2')
        self.step(self.fake)
        stepped.kill()
        self.sees_death()

    def test_a_step_of_the_observers_clock_has_no_effect(self) -> None:
        members = self.members_of('host1', 'host2')
        self.observe('host1', 'host2', env=self.fake.env)
        self.step(self.fake)
        members[0].kill()
        self.sees_death()
