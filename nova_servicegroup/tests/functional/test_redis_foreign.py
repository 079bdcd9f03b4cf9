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


"""What others write where the group is."""

import time

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import redis_faults
from nova_servicegroup.tests.unit import test_decoding

FOREIGN = (
    'hörst'.encode(),
    b'h%zz@token',
    b'no-token',
    b'@',
    b'\xff\x00',
    b'\x1b[2J\n@token',
    b'x' * 20_000,
)


class ForeignTest(redis_faults.Faults, contract.FunctionalTestCase):
    def plant(self, *names: bytes) -> None:
        """Have members of those names, who live for ever."""
        client = self.client()
        for name in names:
            client.hset(self.group, name, b'\xff\x00{garbage')
            client.set(f'{self.unique}_beats:'.encode() + name, b'')

    def test_foreign_members_are_ignored_with_one_warning(self) -> None:
        self.running('host1')
        watcher = self.observe('host1')
        fault = time.monotonic()
        self.plant(*FOREIGN, b'host2@token')
        self.wait_up('host2')
        self.assertEqual(['host1', 'host2'], self.proven())
        # It is still read: who comes and goes is seen.
        self.client().delete(f'{self.unique}_beats:host2@token')
        self.wait_down('host2', 1)
        self.running('host3').kill()
        self.wait_down('host3', self.dead_within)
        time.sleep(1)
        self.assert_never_down(fault)
        (line,) = watcher.warnings('are no members')
        self.assertTrue(line.isprintable())

    def test_keys_of_another_type_blind_nobody(self) -> None:
        self.running('host1')
        watcher = self.observe('host1')
        fault, client = time.monotonic(), self.client()
        young = f'{self.unique}_young:{contract.GROUP}'
        client.delete(young, self.group)
        client.hset(young, 'a', 'b')
        client.set(self.group, 'x')
        time.sleep(2 * self.ttl)
        self.wait_up('host1')
        self.assert_never_down(fault)
        self.assertEqual('up', watcher.state('host1'))

    def test_garbage_in_a_double_breaks_no_reader(self) -> None:
        client = self.hollow('host1', 'host1')
        values = [test_decoding.nested(200), *test_decoding.raising()]
        for number, each in enumerate(values):
            name = f'host1@token{number}'
            client.hset(self.group, name, each)
            client.set(f'{self.unique}_beats:{name}', b'')
        watcher = self.observe('host1')
        time.sleep(3 * self.ttl)
        self.assertEqual('up', watcher.state('host1'))
        found = self.api.view('compute', True)
        self.assertEqual(2 + len(values), len(found.members[0].incarnations))
        self.assertNotIn('Traceback', watcher.log.read_text())

    def test_garbage_in_its_own_place_does_a_member_no_harm(self) -> None:
        self.running('host1')
        self.observe('host1')
        client = self.client()
        (name,) = self.ids(client, 'host1')
        said = client.hget(self.group, name)
        fault = time.monotonic()
        for each in (test_decoding.nested(200), b'\xc1'):
            client.hset(self.group, name, each)
            time.sleep(self.beat + 1)
            self.assertEqual(said, client.hget(self.group, name))
        self.assert_never_down(fault)

    def test_who_is_removed_is_back_with_the_next_beat(self) -> None:
        self.running('host1')
        self.observe('host1')
        client = self.client()
        (name,) = self.ids(client, 'host1')
        for remove in (
            lambda: client.hdel(self.group, name),
            lambda: client.delete(self.key(name)),
            lambda: (
                client.delete(self.key(name)),
                client.lpush(self.key(name), b'1'),
            ),
        ):
            remove()
            self.wait_down('host1', 1)
            self.wait_up('host1')
            self.assertEqual([name], self.ids(client, 'host1'))

    def test_a_reader_of_tooz_removes_the_late_who_come_back(self) -> None:
        """Others may read the group as tooz does."""
        frozen = self.running('host1')
        watcher = self.observe('host1')
        frozen.freeze()
        watcher.wait('down', self.dead_within + contract.START)
        client = self.client()
        (name,) = self.ids(client, 'host1')
        client.hdel(self.group, name)
        frozen.thaw()
        thawed = time.monotonic()
        back = watcher.wait('up', contract.START) - thawed
        self.assertLess(back, self.back_within)

    def test_a_group_of_another_type_is_no_evidence(self) -> None:
        self.running('host1')
        self.running('host2')
        self.observe('host1', 'host2')
        client = self.client()
        fault = time.monotonic()
        client.rename(self.group, 'elsewhere')
        client.set(self.group, b'mine')
        time.sleep(2 * self.ttl)
        self.assert_never_down(fault)
        client.delete(self.group)
        self.wait_all_up(time.monotonic(), self.back_within)
        self.assert_never_down(fault)

    def test_far_too_many_are_no_members(self) -> None:
        self.running('host1')
        self.observe('host1')
        client = self.client()
        fault = time.monotonic()
        pipe = client.pipeline(transaction=False)
        for number in range(201):
            fields = {f'{number}-{each}': b'' for each in range(1000)}
            pipe.hset(self.group, mapping=fields)
        pipe.execute()
        time.sleep(2 * self.ttl)
        self.assert_never_down(fault)
        error = self.make_api().view(contract.GROUP).error
        self.assertIn('another client writes to the group', str(error))

    def test_names_are_told_apart_by_their_ids(self) -> None:
        self.plant(naming.member_id('HOST9'))
        self.wait_up('HOST9')
        self.assertTrue(self.is_up('host9'))
