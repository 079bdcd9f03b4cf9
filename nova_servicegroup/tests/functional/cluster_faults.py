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

"""What is expected of several servers that elect a leader.

A driver's own module mixes it with what its servers are.
"""

import abc
import time
from typing import Any

from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.harness import cluster

HOSTS = [f'host{number}' for number in range(5)]


class Faults(contract.SeveralServers, faults.Faults):
    """One server, or several. ``expiry`` is that of a member, in seconds."""

    size = 1

    @classmethod
    def server_options(cls) -> dict[str, Any]:
        return {}

    @property
    def beat(self) -> float:
        return self.expiry / 3

    @property
    def not_before(self) -> float:
        return self.expiry * 2 / 3


class Cluster(Faults):
    """Three servers, five members and as many observers as there are servers.

    So each server most likely has a member and an observer.
    """

    size = 3

    def start_clients(self) -> None:
        self.members_of(*HOSTS)
        for _ in range(3):
            self.observe(*HOSTS)

    def after(self, fault: float) -> None:
        """Nothing may happen for a while after the servers are back."""
        time.sleep(self.expiry)
        self.assert_never_down(fault)
        self.assert_calls_bounded(fault)


class OneServer(Cluster):
    """One server of three has a bad time, and nobody is to notice."""

    def test_a_killed_leader_makes_nobody_down(self) -> None:
        self.start_clients()
        self.kill_one(self.servers.leader())

    def test_a_killed_follower_makes_nobody_down(self) -> None:
        self.start_clients()
        self.kill_one(self.follower())

    def test_a_frozen_leader_makes_nobody_down(self) -> None:
        self.start_clients()
        self.freeze_one(self.servers.leader())

    def test_a_frozen_follower_makes_nobody_down(self) -> None:
        self.start_clients()
        self.freeze_one(self.follower())

    def kill_one(self, server: cluster.Member) -> None:
        fault = time.monotonic()
        server.kill()
        time.sleep(3 * self.expiry)
        self.wait_all_up(fault, 3 * self.expiry)
        server.start()
        self.after(fault)

    def freeze_one(self, server: cluster.Member) -> None:
        fault = time.monotonic()
        server.freeze()
        time.sleep(5 * self.expiry)
        self.assert_never_down(fault)
        self.wait_all_up(fault, 5 * self.expiry)
        server.thaw()
        self.after(fault)

    @abc.abstractmethod
    def follower(self) -> cluster.Member:
        """Return a server that does not lead, and has something to do."""


class AllServers(Cluster):
    """All servers are away for a while, and nobody is to notice."""

    # More than the longest outage and an election on a busy machine.
    hold = 60 if base.LONG else 45

    def test_all_killed_for_a_while_make_nobody_down(self) -> None:
        self.start_clients()
        for outage in (10, 40) if base.LONG else (10,):
            fault = time.monotonic()
            self.servers.kill()
            time.sleep(outage)
            self.servers.start()
            self.back(fault, self.expiry)

    def test_all_frozen_for_two_expiries_make_nobody_down(self) -> None:
        self.freeze_all(2 * self.expiry)

    def test_all_frozen_for_five_expiries_make_nobody_down(self) -> None:
        self.freeze_all(5 * self.expiry)

    def test_all_wiped_make_nobody_down(self) -> None:
        self.start_clients()
        fault = time.monotonic()
        self.servers.kill()
        self.servers.wipe()
        time.sleep(1)
        self.servers.start()
        self.back(fault, self.wiped_within)

    def test_the_dead_of_an_outage_go_and_the_living_stay(self) -> None:
        members = self.members_of(*HOSTS)
        watcher = self.observe(*HOSTS)
        fault = time.monotonic()
        self.servers.kill()
        time.sleep(1)
        for each in members[:3]:
            each.kill()
        time.sleep(30 if base.LONG else 8)
        self.servers.start()
        down = watcher.wait('down', 2 * self.hold + 10, *HOSTS[:3])
        proof = max(watcher.last_proof(host) for host in HOSTS[:3])
        self.measured(
            'killed in an outage: down, since the last proof',
            down - fault,
            down - proof,
        )
        self.assert_within(
            down - proof, self.hold + self.refresh + faults.NOISE
        )
        self.assert_never_down(fault, *HOSTS[3:])

    def freeze_all(self, seconds: float) -> None:
        self.start_clients()
        fault = time.monotonic()
        self.servers.freeze()
        time.sleep(seconds)
        self.servers.thaw()
        self.servers.recover()
        # They may elect a leader once more.
        self.back(fault, 1.5 * self.expiry)

    def back(self, fault: float, within: float) -> None:
        """Check that everybody is confirmed soon, and never was down."""
        returned = time.monotonic()
        took = self.wait_all_up(returned, within)
        self.measured(f'{returned - fault:.0f} s away, confirmed', took)
        self.after(fault)

    @property
    @abc.abstractmethod
    def wiped_within(self) -> float:
        """The time in which all are confirmed by servers without memory."""
