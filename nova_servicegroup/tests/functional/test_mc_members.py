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


"""Members that die, freeze, restart and leave; memcached is well."""

import os
import pathlib
import signal
import time
from typing import Any

from nova_servicegroup import condition
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup import reporter
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import ending_contract
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import mc_faults


class DeathTest(
    mc_faults.Faults, fault_contract.DeathFaults, contract.FunctionalTestCase
):
    times = 30 if base.LONG else 10


class RestartTest(
    mc_faults.Faults,
    fault_contract.RestartFaults,
    contract.FunctionalTestCase,
):
    # A restart on a busy machine takes seconds.
    down_time = 12 if base.LONG else 6


class HostTest(mc_faults.Faults, contract.FunctionalTestCase):
    """Several processes of one host."""

    def test_a_worker_that_leaves_makes_nobody_down(self) -> None:
        both = self.running(workers=2)
        faults.wait_until(lambda: len(both.workers()) == 2, contract.START)
        self.observe('host1')
        time.sleep(2 * self.report_interval)
        # It would start a new one in its place.
        os.kill(both.pid, signal.SIGSTOP)
        fault = time.monotonic()
        os.kill(both.workers()[0], signal.SIGTERM)
        time.sleep(2 * self.expiry)
        self.assert_never_down(fault)
        self.wait_all_up(fault, 2 * self.expiry)

    def test_a_dead_compute_leaves_the_conductor_up(self) -> None:
        compute = self.running('host1', group='compute')
        self.running('host1', group='conductor')
        watcher = self.observe('host1')
        other = self.observe('host1', group='conductor')
        killed = self.kill(compute)
        down = watcher.wait('down', self.dead_within + contract.START)
        self.assert_within(down - killed, self.dead_within)
        time.sleep(self.expiry)
        self.assertEqual([], other.downs(killed))
        self.assertEqual('up', other.state('host1'))
        self.assertEqual('down', watcher.state('host1'))


class BeatTest(mc_faults.Faults, contract.FunctionalTestCase):
    """What beats do on a server; five of six only prolong the member."""

    def setUp(self) -> None:
        super().setUp()
        self.service, self.reporter = self.join()
        self.client = self.server.client()
        faults.wait_until(self.has_joined, contract.START)
        # The first finds no marker, so the second looks, too.
        self.beat(1)

    def join(self) -> tuple[base.FakeService, reporter.Reporter]:
        """Have one more worker of the host beat when it is told."""
        service, worker = base.FakeService(60), self.make_api()
        worker.join('host1', contract.GROUP, service)
        return service, worker.driver.reporters()['host1', contract.GROUP]

    def beat(self, times: int) -> None:
        for _ in range(times):
            self.reporter.run()

    def has_joined(self) -> bool:
        """Beat until the connection is there; return whether it is."""
        if self.is_there():
            return True
        self.beat(1)
        return False

    def is_there(self) -> bool:
        return self.client.get(self.key('host1')) is not None

    def test_five_of_six_are_one_command(self) -> None:
        names = ('cmd_get', 'cmd_set', 'cmd_touch')
        before = [self.server.stat(name) for name in names]
        self.beat(12)
        after = [self.server.stat(name) for name in names]
        # Of three keys, of which two are the marker's.
        self.assertEqual(
            [2 * 3, 2, 10],
            [new - old for new, old in zip(after, before, strict=True)],
        )

    def test_a_lost_member_is_back_with_the_next(self) -> None:
        for _ in range(7):
            self.client.delete(self.key('host1'), noreply=False)
            self.beat(1)
            self.assertTrue(self.is_there())

    def test_a_lost_marker_is_back_with_the_sixth(self) -> None:
        for beats in range(6):
            self.beat(beats)
            self.client.delete(self.keys.marker, noreply=False)
            self.beat(6)
            self.assertIsNotNone(self.client.get(self.keys.marker))

    def test_a_worker_that_has_just_joined_stays(self) -> None:
        for beats in range(7):
            self.beat(beats)
            other, its_reporter = self.join()
            self.beat(beats)
            self.service.stop()
            self.assertTrue(self.is_there())
            self.service, self.reporter = other, its_reporter
        # At the first look it sees what the other has left, at the next not.
        self.beat(12)
        self.service.stop()
        self.assertFalse(self.is_there())

    def test_one_that_ends_at_once_leaves_it_to_the_other(self) -> None:
        for beats in range(7):
            self.beat(beats)
            other, _ = self.join()
            other.stop()
            self.assertTrue(self.is_there(), beats)

    def test_one_that_leaves_takes_its_mark_along(self) -> None:
        """The other, which is fit, would go on prolonging it."""
        draining = condition.Condition(
            condition.DRAINING, condition.STOPPING, 1.0
        )
        for beats in range(7):
            self.beat(beats)
            service, worker = base.FakeService(60), self.make_api()
            worker.join('host1', contract.GROUP, service)
            worker.driver.mark('host1', contract.GROUP, draining)
            value = self.client.get(self.key('host1'))
            self.assertTrue(keyspace.has_mark(value), beats)
            service.stop()
            value = self.client.get(self.key('host1'))
            self.assertIsNotNone(value, beats)
            self.assertFalse(keyspace.has_mark(value), beats)

    def test_who_only_asks_writes_nothing(self) -> None:
        before = self.server.stat('cmd_set')
        self.assertTrue(self.is_up())
        self.assertEqual(before, self.server.stat('cmd_set'))


class EndTest(
    mc_faults.Faults, ending_contract.EndRaces, contract.FunctionalTestCase
):
    """Memberships that are ended for the dead."""

    def freeze_backend(self) -> None:
        for each in self.servers:
            each.freeze()

    def abandon(self, driver: Any) -> None:
        """See EndFaults. To leave would touch the key of the next life."""
        for registration in driver._registrations.get().values():
            for server in registration._servers:
                server.close()


class ForkTest(
    mc_faults.Faults, fault_contract.ForkFaults, contract.FunctionalTestCase
):
    def test_a_forked_child_has_connections_of_its_own(self) -> None:
        super().test_a_forked_child_has_connections_of_its_own()
        self.assertNotIn('lost contact', self.log.output)

    def is_apart(self) -> bool:
        """Tell whether two members and a reader each have a connection."""
        own = _sockets(os.getpid()) - _sockets(os.getppid())
        return len(own) >= 3


class NameTest(mc_faults.Faults, contract.FunctionalTestCase):
    """Names of hosts that are no keys of memcached's."""

    def test_any_name_of_a_host(self) -> None:
        names = ['a b', 'a\tb', 'hö/st', '%2F', 'ü' * 150, 'y' * 300]
        # They differ only where a key would be cut off.
        duplicates = ['x' * 299 + 'a', 'x' * 299 + 'b']
        members = self.members_of(*names, *duplicates)
        watcher = self.observe(*names, *duplicates)
        hosts = [each.host for each in self.api.get_all(contract.GROUP)]
        self.assertEqual(sorted(names + duplicates), sorted(hosts))
        killed = self.kill(members[-1])
        down = watcher.wait('down', contract.START, duplicates[-1]) - killed
        self.assert_within(down, self.dead_within)
        time.sleep(self.expiry)
        self.assert_never_down(killed, *names, duplicates[0])

    def test_a_stranger_knows_all_that_are_listed(self) -> None:
        names = ['a b', 'ü' * 150, 'y' * 300]
        self.members_of(*names)
        stranger = self.make_api()
        hosts = [each.host for each in stranger.get_all(contract.GROUP)]
        self.assertEqual(sorted(names), sorted(hosts))


def _sockets(pid: int) -> set[str]:
    """Return the sockets that a process has open, its parent's included."""
    files = pathlib.Path(f'/proc/{pid}/fd').iterdir()
    names = {os.readlink(each) for each in files if each.is_symlink()}
    return {name for name in names if name.startswith('socket:')}
