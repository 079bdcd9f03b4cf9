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


"""The only server has a bad time, and nobody is to notice."""

from collections.abc import Callable
import time

from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import redis_faults

HOSTS = [f'host{number}' for number in range(5)]


class OnlyServer(redis_faults.Faults, contract.FunctionalTestCase):
    """Members and observers, and a fault that they are to bear."""

    ttl = 4
    hold = 35
    hosts = HOSTS

    def begin(self) -> float:
        self.members_of(*self.hosts)
        for _ in range(2):
            self.observe(*self.hosts)
        return time.monotonic()

    def away(self, harm: Callable[[], object], seconds: float) -> None:
        """Harm the server, and mend it after so many seconds."""
        fault = self.begin()
        harm()
        time.sleep(seconds)
        self.restore_backend()
        self.back(fault)

    def back(self, fault: float) -> None:
        """Check that everybody is confirmed soon, and never was down."""
        returned = time.monotonic()
        took = self.wait_all_up(returned, self.back_within + 1)
        self.measured(f'{returned - fault:.0f} s away, confirmed', took)
        time.sleep(2.5 * self.ttl)
        self.assert_never_down(fault)
        self.assert_calls_bounded(fault)


class EmptiedTest(OnlyServer):
    def test_restarted_at_once_makes_nobody_down(self) -> None:
        self.away(self.server.kill, 0)

    @base.only_long
    def test_killed_for_a_while_makes_nobody_down(self) -> None:
        self.away(self.server.kill, 20)

    def test_frozen_for_less_than_a_ttl_makes_nobody_down(self) -> None:
        self.away(self.server.freeze, 0.9 * self.ttl)

    @base.only_long
    def test_frozen_for_five_ttls_makes_nobody_down(self) -> None:
        self.away(self.server.freeze, 5 * self.ttl)

    def test_wiped_makes_nobody_down(self) -> None:
        self.away(self.server.wipe, 0)

    @base.only_long
    def test_the_dead_of_an_outage_go_and_the_living_stay(self) -> None:
        members = self.members_of(*HOSTS)
        watcher = self.observe(*HOSTS)
        fault = time.monotonic()
        self.server.kill()
        time.sleep(1)
        for each in members[:3]:
            each.kill()
        time.sleep(8)
        self.server.start()
        down = watcher.wait('down', 2 * self.hold + 10, *HOSTS[:3])
        proof = max(watcher.last_proof(host) for host in HOSTS[:3])
        self.measured('killed in an outage: down', down - fault, down - proof)
        self.assertLess(down - proof, self.hold + self.refresh + faults.NOISE)
        self.assert_never_down(fault, *HOSTS[3:])


class OfTwoTest(OnlyServer):
    """Two members are no mass, whose loss would be strange by itself."""

    hosts = HOSTS[:2]

    def test_restarted_at_once_makes_nobody_down(self) -> None:
        self.away(self.server.kill, 0)

    def test_wiped_makes_nobody_down(self) -> None:
        self.away(self.server.wipe, 0)

    @base.only_long
    def test_wiped_again_and_again_makes_nobody_down(self) -> None:
        fault = self.begin()
        for _ in range(10):
            self.server.wipe()
            time.sleep(0.7)
        self.back(fault)

    @base.only_long
    def test_a_server_without_memory_makes_nobody_down(self) -> None:
        # What is stored is told, and nothing can be stored.
        self._refusing('maxmemory', '1')

    def test_a_server_that_refuses_writes_makes_nobody_down(self) -> None:
        self._refusing('min-replicas-to-write', '1')

    def _refusing(self, option: str, value: str) -> None:
        fault = self.begin()
        client = self.client()
        before = client.config_get(option)[option]
        client.config_set(option, value)
        self.addCleanup(client.config_set, option, before)
        time.sleep(4 * self.ttl)
        client.config_set(option, before)
        self.back(fault)

    def test_evicted_members_are_not_down(self) -> None:
        fault = self.begin()
        client = self.client()
        self.addCleanup(client.config_set, 'maxmemory', '0')
        self.addCleanup(client.config_set, 'maxmemory-policy', 'noeviction')
        client.config_set('maxmemory-policy', 'volatile-random')
        ended = time.monotonic() + 3 * self.ttl
        while time.monotonic() < ended:
            used = client.info('memory')['used_memory']
            client.config_set('maxmemory', str(used - 1))
            time.sleep(0.1)
            client.config_set('maxmemory', '0')
            time.sleep(0.5)
        self.assertGreater(client.info('stats')['evicted_keys'], 0)
        self.back(fault)


@base.only_long
class SnapshotTest(OnlyServer):
    """A server that comes back with what it had long ago."""

    hosts = HOSTS[:2]

    def test_an_old_snapshot_makes_nobody_down(self) -> None:
        self.members_of('host0')
        client = self.client()
        client.save()
        self.members_of('host1')
        self.observe(*self.hosts)
        time.sleep(1.5 * self.ttl)
        fault = time.monotonic()
        self.server.kill()
        self.server.start()
        self.assertEqual(1, self.client().exists(self.group))
        self.back(fault)


class LongOutageTest(
    redis_faults.Faults,
    fault_contract.OutageFaults,
    contract.FunctionalTestCase,
):
    ttl = 4
