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


"""A server with a replica, and three Sentinels that promote it."""

from collections.abc import Mapping
import time

from nova_servicegroup.drivers.common import requests
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.functional import redis_faults
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import redis

HOSTS = [f'host{number}' for number in range(5)]


class Watched(contract.SeveralServers, redis_faults.Faults):
    """Failing over takes some three seconds here."""

    ttl = 6
    servers: redis.Watched

    @classmethod
    def make_servers(cls) -> redis.Watched:
        return redis.Watched(cls.root / 'redis')

    def place(self) -> Mapping[str, object]:
        return {
            'sentinel_name': self.servers.NAME,
            'sentinel_addresses': self.servers.sentinel_addresses,
        }

    @property
    def back_within(self) -> float:
        # Sentinels that were started have yet to agree.
        return super().back_within + self.ttl


class OneOfAllTest(Watched, contract.FunctionalTestCase):
    """One of them has a bad time, and nobody is to notice."""

    hold = 40
    hosts = HOSTS

    def begin(self) -> float:
        self.members_of(*self.hosts)
        for _ in range(2):
            self.observe(*self.hosts)
        return time.monotonic()

    def after(self, fault: float, seconds: float) -> None:
        """Check that all are confirmed within so many seconds.

        They count from the moment in which the Sentinels agree: a failover
        that they give up is tried again only after 2 failover-timeout.
        """
        self.servers.master()
        took = self.wait_all_up(time.monotonic(), seconds)
        self.measured('confirmed', took)
        time.sleep(1.5 * self.ttl)
        self.assert_never_down(fault)
        self.assert_calls_bounded(fault)

    def test_a_killed_master_makes_nobody_down(self) -> None:
        fault = self.begin()
        killed = self.servers.master()
        killed.kill()
        time.sleep(1)
        promoted = self.servers.master()
        self.assertIsNot(killed, promoted)
        self.after(fault, 2 * self.ttl)
        # It believes that it is the master for a while.
        killed.start()
        time.sleep(2 * self.ttl)
        self.after(fault, self.ttl)

    def test_a_master_restarted_at_once_makes_nobody_down(self) -> None:
        fault = self.begin()
        master = self.servers.master()
        master.kill()
        master.start()
        self.after(fault, 2 * self.ttl)

    @base.only_long
    def test_a_frozen_master_makes_nobody_down(self) -> None:
        fault = self.begin()
        frozen = self.servers.master()
        frozen.freeze()
        time.sleep(3 * self.ttl)
        self.after(fault, self.ttl)
        frozen.thaw()
        time.sleep(2 * self.ttl)
        self.after(fault, self.ttl)

    def test_a_failover_on_demand_makes_nobody_down(self) -> None:
        fault = self.begin()
        before = self.servers.master()
        self.servers.sentinels[0].command(
            'SENTINEL', 'FAILOVER', self.servers.NAME
        )
        process.wait_until(lambda: self.servers.master() is not before, 60)
        self.after(fault, self.ttl)

    @base.only_long
    def test_a_killed_replica_makes_nobody_down(self) -> None:
        fault = self.begin()
        self.servers.replica().kill()
        time.sleep(2 * self.ttl)
        self.after(fault, self.ttl)

    @base.only_long
    def test_a_frozen_sentinel_makes_nobody_down(self) -> None:
        fault = self.begin()
        self.servers.sentinels[0].freeze()
        time.sleep(2 * self.ttl)
        self.after(fault, self.ttl)

    def test_a_killed_member_is_down_in_time(self) -> None:
        members = self.members_of(*HOSTS)
        watcher = self.observe(*HOSTS)
        # Two are enough, and one that is mute is waited for, not for long.
        self.servers.sentinels[0].freeze()
        killed = self.kill(members[0])
        down = watcher.wait('down', 3 * self.ttl, HOSTS[0]) - killed
        self.measured('kill to down', down)
        self.assertLess(down, self.dead_within)

    @base.only_long
    def test_killed_sentinels_make_nobody_down(self) -> None:
        fault = self.begin()
        for each in self.servers.sentinels:
            each.kill()
        time.sleep(3 * self.ttl)
        self.after(fault, self.ttl)
        # Whoever comes now cannot know which server it is.
        late = self.make_member('late')
        late.start()
        time.sleep(self.ttl)
        self.restore_backend()
        self.wait_up('late')
        self.assert_never_down(fault)


@base.only_long
class OfTwoTest(OneOfAllTest):
    """Two members are no mass, whose loss would be strange by itself."""

    hosts = HOSTS[:2]


@base.only_long
class OldMasterTest(Watched, contract.FunctionalTestCase):
    """A server that the Sentinels have replaced, and that does not know it."""

    hold = 15

    def test_who_still_reads_there_is_blind(self) -> None:
        self.members_of('host1', 'host2')
        self.assertTrue(self.is_up('host1'))
        self.assertTrue(self.is_up('host2'))
        old = self.servers.master()
        reader = self.api.driver._reading.get().backend.connection
        with reader.use(requests.Deadline(5.0)) as connected:
            pool = connected.coordinator._client.connection_pool
        # As if it could reach neither the Sentinels nor the other server.
        pool.sentinel_manager.discover_master = lambda name: (
            '127.0.0.1',
            old.port,
        )
        self._replace(old)
        fault = time.monotonic()
        while time.monotonic() < fault + self.hold - 1:
            self.assertTrue(self.is_up('host1'))
            self.assertTrue(self.is_up('host2'))
            time.sleep(0.1)
        self.assertRegex(
            self.log.output, 'most Sentinels|no answer yet: confirm'
        )

    def _replace(self, old: redis.Redis) -> None:
        """Have another master, and let the old one believe in itself."""
        old.freeze()
        time.sleep(1)
        self.assertIsNot(old, self.servers.master())
        # Members have gone there.
        time.sleep(self.back_within)
        # Nobody tells it that it is none any more.
        for each in self.servers.sentinels:
            each.freeze()
        old.thaw()
        self.assertEqual('master', old.role())


@base.only_long
class LongOutageTest(
    Watched, fault_contract.OutageFaults, contract.FunctionalTestCase
):
    pass
