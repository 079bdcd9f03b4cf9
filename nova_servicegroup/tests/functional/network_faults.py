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

"""What is expected where a network fails, whatever the servers are."""

import time
from typing import Any

from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.harness import network


class Network(faults.Faults):
    """A server that is reached over a link that can be harmed."""

    address: network.Address

    @classmethod
    def start_backend(cls) -> None:
        cls.address = network.Address()
        cls.addClassCleanup(cls.address.remove)  # type: ignore[attr-defined]
        super().start_backend()

    @classmethod
    def server_options(cls) -> dict[str, Any]:
        return {'host': cls.address.ip}

    def setUp(self) -> None:
        super().setUp()
        self.far = network.Namespace()
        self.addCleanup(self.far.remove)  # type: ignore[attr-defined]


class ObserverCut(Network):
    hold = 12

    def test_an_observer_whose_packets_are_dropped_keeps_all_up(self) -> None:
        self._cut('drop')

    def test_an_observer_whose_packets_are_refused_keeps_all_up(self) -> None:
        self._cut('reject')

    def _cut(self, how: str) -> None:
        self.members_of('host1', 'host2')
        watcher = self.observe('host1', 'host2', prefix=self.far.prefix)
        fault = time.monotonic()
        self.far.cut(how)
        faults.sleep_until(fault + self.hold - 1)
        self.assert_never_down(fault)
        self.assertEqual('kept', watcher.state('host1'))
        watcher.wait('down', 5)
        healed = time.monotonic()
        self.far.heal()
        back = self.wait_all_up(healed, self.back_within + self.expiry)
        self.measured(f'{how}: observer back', back)
        self.assert_calls_bounded(fault)


class MemberCut(Network):
    times = 5 if base.LONG else 2

    def test_a_member_whose_packets_are_dropped_comes_back(self) -> None:
        self._cut('drop')

    @base.only_long
    def test_a_member_whose_packets_are_refused_comes_back(self) -> None:
        self._cut('reject')

    def _cut(self, how: str) -> None:
        self.members_of('host1', prefix=self.far.prefix)
        watcher = self.observe('host1')
        for _ in range(self.times):
            fault = time.monotonic()
            self.far.cut(how)
            faults.sleep_until(fault + 3 * self.expiry)
            down = watcher.wait('down', 0) - fault
            healed = time.monotonic()
            self.far.heal()
            back = watcher.wait('up', contract.START) - healed
            self.measured(f'{how}: member down, back', down, back)
            self.assert_within(down, self.dead_within)
            self.assert_within(back, self.back_within)


class Loss(Network):
    seconds = 300 if base.LONG else 30

    def test_a_tenth_of_the_packets_lost_makes_nobody_down(self) -> None:
        hosts = ['host1', 'host2', 'host3']
        self.members_of(*hosts, prefix=self.far.prefix)
        self.observe(*hosts)
        fault = time.monotonic()
        self.far.lose(10)
        while time.monotonic() < fault + self.seconds:
            time.sleep(1)
            self.assert_never_down(fault)
        lost = self.far.lost()
        self.assertEqual(2, len(lost))
        # Where little is said, none of one direction may be lost by chance.
        self.assertGreater(sum(lost), 0)
        self.far.heal()
        self.wait_all_up(fault, self.seconds + self.expiry)
        self.assert_never_down(fault)
        self.assert_calls_bounded(fault)
