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


"""Servers of an ensemble that die, freeze or lose their data."""

import time

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import zk_faults

HOSTS = [f'host{number}' for number in range(5)]


class Ensemble(zk_faults.Faults, contract.FunctionalTestCase):
    """Three servers, five members and as many observers as there are servers.

    So each server most likely has a member and an observer.
    """

    size = 3
    session = 4

    def start_clients(self) -> None:
        self.members_of(*HOSTS)
        for _ in range(3):
            self.observe(*HOSTS)

    def after(self, fault: float) -> None:
        """Nothing may happen for a while after the servers are back."""
        time.sleep(self.session)
        self.assert_never_down(fault)
        self.assert_calls_bounded(fault)


class OneServerTest(Ensemble):
    """One server of three has a bad time, and nobody is to notice."""

    def test_a_killed_leader_makes_nobody_down(self) -> None:
        self.start_clients()
        self._kill(self.servers.leader())

    def test_a_killed_follower_makes_nobody_down(self) -> None:
        self.start_clients()
        self._kill(self._busiest('follower'))

    def test_a_frozen_leader_makes_nobody_down(self) -> None:
        self.start_clients()
        self._freeze(self.servers.leader())

    def test_a_frozen_follower_makes_nobody_down(self) -> None:
        self.start_clients()
        self._roll()
        self._freeze(self._busiest('follower'))

    def _roll(self) -> None:
        """Restart each server; kazoo then reconnects in another order."""
        fault = time.monotonic()
        for each in self.servers.servers:
            each.kill()
            time.sleep(1)
            each.start()
            self.servers.leader()
        self.after(fault)

    def _kill(self, server) -> None:
        fault = time.monotonic()
        server.kill()
        time.sleep(3 * self.session)
        self.wait_all_up(fault, 3 * self.session)
        server.start()
        self.after(fault)

    def _freeze(self, server) -> None:
        fault = time.monotonic()
        server.freeze()
        time.sleep(5 * self.session)
        self.assert_never_down(fault)
        self.wait_all_up(fault, 5 * self.session)
        server.thaw()
        self.after(fault)

    def _busiest(self, mode: str):
        return max(
            (each for each in self.servers.servers if each.mode() == mode),
            key=lambda each: each.command('cons').count('sid='),
        )


class AllServersTest(Ensemble):
    """All servers are away for a while, and nobody is to notice."""

    hold = 60 if faults.LONG else 35

    def test_all_killed_for_a_while_make_nobody_down(self) -> None:
        self.start_clients()
        for outage in (10, 40) if faults.LONG else (10,):
            fault = time.monotonic()
            self.servers.kill()
            time.sleep(outage)
            self.servers.start()
            self.back(fault, self.session)

    def test_all_frozen_for_two_sessions_make_nobody_down(self) -> None:
        self._freeze(2 * self.session)

    def test_all_frozen_for_five_sessions_make_nobody_down(self) -> None:
        self._freeze(5 * self.session)

    def test_all_wiped_make_nobody_down(self) -> None:
        self.start_clients()
        fault = time.monotonic()
        self.servers.kill()
        self.servers.wipe()
        time.sleep(1)
        self.servers.start()
        self.back(fault, 3 * self.session)

    def test_the_dead_of_an_outage_go_and_the_living_stay(self) -> None:
        members = self.members_of(*HOSTS)
        watcher = self.observe(*HOSTS)
        fault = time.monotonic()
        self.servers.kill()
        time.sleep(1)
        for each in members[:3]:
            each.kill()
        time.sleep(30 if faults.LONG else 8)
        self.servers.start()
        down = watcher.wait('down', 2 * self.hold + 10, *HOSTS[:3])
        proof = max(watcher.last_proof(host) for host in HOSTS[:3])
        self.measured(
            'killed in an outage: down, since the last proof',
            down - fault,
            down - proof,
        )
        self.assertLess(down - proof, self.hold + self.refresh + faults.NOISE)
        self.assert_never_down(fault, *HOSTS[3:])

    def _freeze(self, seconds: float) -> None:
        self.start_clients()
        fault = time.monotonic()
        self.servers.freeze()
        time.sleep(seconds)
        self.servers.thaw()
        self.servers.leader()
        for each in self.servers.servers:
            each.wait()
        self.back(fault, self.session)

    def back(self, fault: float, within: float) -> None:
        """Check that everybody is confirmed soon, and never was down."""
        returned = time.monotonic()
        took = self.wait_all_up(returned, within)
        self.measured(f'{returned - fault:.0f} s away, confirmed', took)
        self.after(fault)


class LongOutageTest(
    zk_faults.Faults, fault_contract.OutageFaults, contract.FunctionalTestCase
):
    size = 3
    session = 4
