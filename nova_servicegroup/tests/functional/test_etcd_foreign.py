# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""What others do to the group: foreign keys, doubles; and what tooz does."""

import time

from nova_servicegroup.drivers.etcd import configuration
from nova_servicegroup.drivers.etcd import coordinator
from nova_servicegroup.drivers.etcd import members
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import etcd_faults
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.unit import test_decoding

FOREIGN = ('hörst', 'h%zz@token', 'no-token', '@', 'lock-0000000001', 'a/b')


class ForeignTest(etcd_faults.Faults, contract.FunctionalTestCase):
    def test_foreign_keys_are_ignored_with_one_warning(self) -> None:
        self.running('host1')
        watcher = self.observe('host1')
        fault, one = time.monotonic(), self.servers.one
        for name in FOREIGN:
            one.put(self.key + name.encode(), b'\xff\x00{garbage')
        one.put(self.key + b'\xff\x00\n\x1b[2J', b'')
        one.put(self.key + b'x' * 100_000, b'y' * 1_000_000)
        garbage = self.key + b'host2@token'
        one.put(garbage, b'\xff\x00{garbage')
        time.sleep(1)
        self.wait_up('host2')
        self.assertEqual(['host1', 'host2'], self.proven())
        # It is still read: who comes and goes is seen.
        one.delete(garbage)
        self.wait_down('host2', 1)
        self.running('host3').kill()
        self.wait_down('host3', self.dead_within)
        self.assert_never_down(fault)
        (line,) = watcher.warnings('are no members')
        self.assertTrue(any(name in line for name in FOREIGN), line)
        self.assertTrue(line.isprintable())

    def test_a_late_reader_takes_foreign_keys_too(self) -> None:
        self.hollow('host1')
        self.servers.one.put(self.key + 'hörst'.encode(), b'')
        self.assertTrue(self.is_up('host1'))
        self.wait_down('hörst', 2 * self.ttl)

    def test_garbage_in_a_double_breaks_no_reader(self) -> None:
        self.hollow('host1', 'host1')
        one = self.servers.one
        one.put(self.key + b'host1@token', b'\xff\x00{garbage')
        one.put(self.key + b'host1@crash', test_decoding.nested(200))
        one.put(self.key + b'host1@large', b'x' * 1_000_000)
        for number, each in enumerate(test_decoding.raising()):
            one.put(self.key + b'host1@raises%d' % number, each)
        count = 5 + len(test_decoding.raising())
        watcher = self.observe('host1')
        time.sleep(3 * self.ttl)
        self.assertEqual('up', watcher.state('host1'))
        found = self.api.view('compute', True)
        self.assertEqual(count, len(found.members[0].incarnations))
        self.assertNotIn('Traceback', watcher.log.read_text())

    def test_a_stranger_in_the_key_of_the_group_makes_nobody_down(
        self,
    ) -> None:
        self.members_of('host1', 'host2')
        self.observe('host1', 'host2')
        fault = time.monotonic()
        for value in (b'', b'\xff\x00', b'x' * 1_000_000):
            self.servers.one.put(self.key, value)
            time.sleep(1)
        self.assert_never_down(fault)
        self.wait_all_up(fault, 10)

    def test_a_reader_removes_nobody(self) -> None:
        """Its process may end, and be killed, as often as it likes."""
        self.hollow('host1', 'host2')
        before = self.members_now()
        for _ in range(3):
            watcher = self.observe('host1', 'host2')
            watcher.kill()
        time.sleep(2 * self.ttl)
        self.assertEqual(before, self.members_now())


class ToozTest(etcd_faults.Faults, contract.FunctionalTestCase):
    """What is used of tooz without being promised, and what it lacks."""

    def setUp(self) -> None:
        super().setUp()
        self.settings = configuration.Settings(self.api.driver.conf)
        self.made = coordinator.Coordinator(self.settings, b'a@1')
        self.made.start()
        self.addCleanup(self.made.stop)

    def test_its_heartbeat_makes_a_lease_anew_and_not_the_key(self) -> None:
        self.made.renew(b'compute', {}).get()
        (before,) = self.members_now()
        lease = self.made._tooz._membership_lease
        self.servers.one.ask('lease/revoke', {'ID': lease.id})
        self.made._gateway.deadline = None
        self.made._tooz.heartbeat()
        self.assertNotEqual(lease.id, self.made._tooz._membership_lease.id)
        self.assertEqual([], self.members_now())
        self.made.renew(b'compute', {}).get()
        (after,) = self.members_now()
        # With another id, so that readers see that it was gone.
        self.assertNotEqual(before, after)

    def test_it_has_its_groups_and_members_where_we_have_them(self) -> None:
        self.made.renew(b'compute', {}).get()
        tooz = self.made._tooz
        self.made._gateway.deadline = None
        group = f'{self.unique}:compute'.encode()
        self.assertIn(group, tooz.get_groups().get())
        self.assertEqual({b'a@1'}, tooz.get_members(group).get())

    def test_what_has_come_is_told_with_the_count_of_all(self) -> None:
        """As reading only what has come needs it of etcd."""
        self.hollow('host1', 'host2')
        group = members.Group(self.key)
        self.made._gateway.deadline = None
        client = self.made._tooz.client
        self.assertEqual(2, len(group.read(client).ids))
        self.hollow('host3')
        answers = []
        inner = client.transaction
        client.transaction = lambda txn: (
            answers.append(inner(txn)) or answers[-1]
        )
        self.assertEqual(3, len(group.read(client).ids))
        found = answers[-1]['responses'][0]['response_range']
        self.assertEqual(('4', 1), (found['count'], len(found['kvs'])))


class DoubleTest(
    etcd_faults.Faults,
    fault_contract.DoubleFaults,
    contract.FunctionalTestCase,
):
    """etcd tells them apart."""


class LogTest(etcd_faults.Faults, contract.FunctionalTestCase):
    def test_good_options_are_not_talked_about(self) -> None:
        running = self.running('host1')
        time.sleep(1)
        self.assertNotIn('WARNING nova_servicegroup', running.log.read_text())
