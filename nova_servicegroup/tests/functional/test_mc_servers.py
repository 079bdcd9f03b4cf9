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


"""Servers that die, freeze or lose what they hold."""

from collections.abc import Callable
import random
import time

from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import mc_faults

HOSTS = [f'host{number}' for number in range(4)]
# A call that takes so long has waited for a server (seconds).
SLOW = 0.3


class OneOfThree(mc_faults.Faults):
    """One server of three has a bad time, and nobody is to notice.

    Its tests are in classes of their own, which run side by side.
    """

    size = 3
    #: Seconds by which a beat may be late.
    late = 2.0

    def _harm(self, harm: Callable[[mc_faults.Memcached], None]) -> None:
        members = self.members_of(*HOSTS)
        for _ in range(2):
            self.observe(*HOSTS)
        ill, *healthy = random.sample(self.servers, self.size)
        pulses = [self.pulse(each, *HOSTS) for each in healthy]
        fault = time.monotonic()
        harm(ill)
        time.sleep(2.5 * self.expiry)
        self.assert_never_down(fault)
        self._check_beats(pulses)
        self._sees_death(self.kill(members[0]))
        self.restore_backend()
        time.sleep(1.5 * self.expiry)
        self.assert_never_down(fault, *HOSTS[1:])
        self._all_are_up(*HOSTS[1:])
        self.assert_calls_bounded(fault, 0.5 - faults.NOISE)

    def _check_beats(self, pulses: list[mc_faults.Pulse]) -> None:
        for each in pulses:
            each.stop()
        longest = max(each.longest for each in pulses)
        self.measured('longest time between two beats', longest)
        self.assert_within(longest, self.report_interval + self.late)
        self.assertEqual(0, sum(each.missing for each in pulses))

    def _sees_death(self, killed: float) -> None:
        for each in self.observers:
            down = each.wait('down', 3 * self.expiry, HOSTS[0]) - killed
            self.measured(f'kill to down, {each.directory.name}', down)
            self.assert_within(down, self.dead_within + self.expiry)
            self.assertGreater(down, self.not_before)

    def _all_are_up(self, *hosts: str) -> None:
        for each in self.observers:
            for host in hosts:
                self.assertEqual('up', each.state(host))


class KilledOfThreeTest(OneOfThree, contract.FunctionalTestCase):
    def test_one_killed_makes_nobody_down(self) -> None:
        self._harm(mc_faults.Memcached.kill)


class FrozenOfThreeTest(OneOfThree, contract.FunctionalTestCase):
    def test_one_frozen_makes_nobody_down(self) -> None:
        self._harm(mc_faults.Memcached.freeze)


class EmptiedOfThreeTest(OneOfThree, contract.FunctionalTestCase):
    def test_one_emptied_makes_nobody_down(self) -> None:
        self._harm(mc_faults.Memcached.wipe)


class OnlyServer(mc_faults.Faults):
    """The only server is away for a while, and nobody is to notice.

    Its tests are in classes of their own, too.
    """

    down_time = 10 if base.LONG else 4
    hold = 60 if base.LONG else 20

    def _away(self, harm: Callable[[], None], seconds: float) -> None:
        self.members_of(*HOSTS)
        for _ in range(2):
            self.observe(*HOSTS)
        fault = time.monotonic()
        harm()
        time.sleep(seconds)
        self.restore_backend()
        returned = time.monotonic()
        time.sleep(self.back_within)
        took = self.wait_all_up(returned, self.back_within)
        self.measured(f'{returned - fault:.0f} s away, confirmed', took)
        time.sleep(self.expiry)
        self.assert_never_down(fault)
        self.assert_calls_bounded(fault)
        self._assert_one_call_waited(fault)

    def _assert_one_call_waited(self, fault: float) -> None:
        for each in self.observers:
            slow = [
                event
                for event in each.events()
                if event['at'] >= fault and event.get('call', 0) > SLOW
            ]
            self.assertLessEqual(len(slow), 1, slow)


class EmptiedTest(OnlyServer, contract.FunctionalTestCase):
    def test_restarted_makes_nobody_down(self) -> None:
        self._away(self.server.kill, 0)

    def test_emptied_makes_nobody_down(self) -> None:
        self._away(self.server.wipe, 0)


class KilledTest(OnlyServer, contract.FunctionalTestCase):
    def test_killed_for_less_than_an_expiry_makes_nobody_down(self) -> None:
        self._away(self.server.kill, 0.75 * self.expiry)

    def test_killed_for_long_makes_nobody_down(self) -> None:
        self._away(self.server.kill, 40 if base.LONG else 6)


class FrozenTest(OnlyServer, contract.FunctionalTestCase):
    def test_frozen_for_less_than_an_expiry_makes_nobody_down(self) -> None:
        self._away(self.server.freeze, 0.75 * self.expiry)

    def test_frozen_for_long_makes_nobody_down(self) -> None:
        self._away(self.server.freeze, 30 if base.LONG else 6)


class DeadOfAnOutageTest(mc_faults.Faults, contract.FunctionalTestCase):
    """A member that dies while the only server is away."""

    hold = 60 if base.LONG else 10

    def test_the_dead_of_an_outage_go_and_the_living_stay(self) -> None:
        members = self.members_of(*HOSTS)
        watcher = self.observe(*HOSTS)
        fault = time.monotonic()
        self.server.kill()
        time.sleep(1)
        members[0].kill()
        time.sleep(self.expiry)
        self.restore_backend()
        down = watcher.wait('down', 2 * self.hold, HOSTS[0])
        since = down - watcher.last_proof(HOSTS[0])
        self.measured('killed in an outage: down, since the proof', since)
        self.assert_within(since, self.hold + self.refresh + faults.NOISE)
        time.sleep(self.expiry)
        self.assert_never_down(fault, *HOSTS[1:])


class LongOutageTest(
    mc_faults.Faults, fault_contract.OutageFaults, contract.FunctionalTestCase
):
    """The only server."""

    hold = 6


class LongOutageOfThreeTest(LongOutageTest):
    """Three servers, all of them."""

    size = 3


class LateObserverTest(mc_faults.Faults, contract.FunctionalTestCase):
    """An observer that starts when a server has just lost everything."""

    report_interval = 4

    def test_started_after_a_flush_it_sees_nobody_down(self) -> None:
        self.members_of('host1', 'host2')
        pulse = self.pulse(self.server, 'host1', 'host2')
        faults.wait_until(lambda: self._has_just_beaten('host2'), 20, 0.01)
        fault = time.monotonic()
        self.server.wipe()
        time.sleep(0.5)
        self.assertIsNone(self.server.client().get(self.key('host2')))
        late = self.make_observer('host1', 'host2')
        late.start()
        faults.wait_until(lambda: late.state('host2'), contract.START)
        begun = late.changes('host2')[0][0] - fault
        self.measured('the observer has looked', begun)
        self.assert_within(begun, self.report_interval)
        self.wait_all_up(fault, 3 * self.report_interval)
        time.sleep(self.expiry)
        self.assert_never_down(0.0)
        pulse.stop()
        self.assertGreater(pulse.missing, 0)

    def _has_just_beaten(self, host: str) -> bool:
        """Tell whether a host was renewed since this was asked last."""
        client = self.server.client()
        left = mc_faults.time_to_live(client, self.key(host)) or 0
        before, self._left = getattr(self, '_left', left), left
        return left > before
