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
"""Hosts whose members run on several machines."""

import time

from nova_servicegroup.drivers.common import duplicates
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import roster
from nova_servicegroup.tests import base

PATIENCE = 15


class DuplicatesTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.roster = roster.Roster('compute')
        self.duplicates = duplicates.Duplicates(
            'compute', self.roster, PATIENCE, clock=self.clock
        )
        self.one, self.two = sorted(naming.member_id('a') for _ in range(2))

    def update(self, *ids: bytes) -> None:
        self.roster.update(frozenset(ids))

    def add_origins(self, **machines: str) -> None:
        for number, machine in machines.items():
            self.duplicates.add_origin(
                getattr(self, number), {'machine': machine, 'pid': 1}
            )

    def test_a_restart_is_not_doubted(self) -> None:
        self.update(self.one, self.two)
        self.assertEqual([], self.duplicates.doubtful())
        self.clock.advance(PATIENCE - 1)
        self.assertEqual([], self.duplicates.doubtful())
        self.update(self.two)
        self.clock.advance(PATIENCE)
        self.assertEqual([], self.duplicates.doubtful())

    def test_each_member_of_a_duplicate_that_stays_is_asked_once(self) -> None:
        self.update(self.one, self.two)
        self.duplicates.doubtful()
        self.clock.advance(PATIENCE)
        self.assertEqual([self.one, self.two], self.duplicates.doubtful())
        self.add_origins(one='x')
        self.assertEqual([self.two], self.duplicates.doubtful())
        self.add_origins(two='x')
        self.assertEqual([], self.duplicates.doubtful())
        self.assertEqual([], self.log_lines('WARNING'))

    def test_two_machines_make_one_warning(self) -> None:
        self.update(self.one, self.two)
        self.duplicates.doubtful()
        self.clock.advance(PATIENCE)
        self.add_origins(one='x', two='y')
        self.add_origins(two='y')
        lines = self.log_lines('WARNING')
        self.assertEqual(1, len(lines))
        self.assertIn('several machines: x, y', lines[0])

    def test_duplicates_found_too_soon_are_logged_if_they_stay(self) -> None:
        self.update(self.one, self.two)
        self.assertEqual([self.one, self.two], self.duplicates.unknown())
        self.add_origins(one='x', two='y')
        self.assertEqual([], self.log_lines('WARNING'))
        self.clock.advance(PATIENCE)
        self.assertEqual([], self.duplicates.doubtful())
        self.assertEqual(1, len(self.log_lines('WARNING')))

    def test_thousands_of_duplicates_are_a_few_lines(self) -> None:
        pairs = [
            [naming.member_id(f'h{number}') for _ in range(2)]
            for number in range(1000)
        ]
        self.update(*(each for pair in pairs for each in pair))
        self.duplicates.doubtful()
        self.clock.advance(PATIENCE)
        for pair in pairs:
            for machine, each in zip('xy', pair, strict=True):
                self.duplicates.add_origin(each, {'machine': machine})
        lines = self.log_lines('WARNING')
        self.assertLessEqual(len(lines), 10)
        self.assertIn('There are others', lines[-1])

    def test_names_are_logged_in_one_line(self) -> None:
        pair = [naming.member_id('\x1b[2Jh\n') for _ in range(2)]
        self.update(*pair)
        self.duplicates.doubtful()
        self.clock.advance(PATIENCE)
        for machine, each in zip(['x\n', '\x1by'], pair, strict=True):
            self.duplicates.add_origin(each, {'machine': machine})
        lines = self.log.output.splitlines()
        self.assertEqual(1, len(lines))
        self.assertTrue(lines[0].isprintable())

    def test_an_invalid_origin_is_no_machine(self) -> None:
        self.update(self.one, self.two)
        self.duplicates.doubtful()
        self.clock.advance(PATIENCE)
        for number, found in ((self.one, b'\xff'), (self.two, None)):
            self.duplicates.add_origin(number, found)
        self.assertEqual([], self.duplicates.doubtful())
        self.assertEqual([], self.log_lines('WARNING'))

    def test_origins_are_shown(self) -> None:
        self.update(self.one, self.two)
        self.duplicates.unknown()
        self.add_origins(one='x')
        first, second = self.duplicates.incarnations('a')
        self.assertEqual(
            (self.one.decode(), 'x', 1), (first.name, first.machine, first.pid)
        )
        self.assertEqual(
            (self.two.decode(), None, None),
            (second.name, second.machine, second.pid),
        )
        self.assertLess(abs(time.time() - second.since), 60)
        self.assertEqual((), self.duplicates.incarnations('b'))

    def test_all_members_can_be_asked_for(self) -> None:
        other = naming.member_id('b')
        self.update(self.one, other)
        self.assertEqual([], self.duplicates.unknown())
        self.assertEqual([self.one, other], self.duplicates.unknown(True))
        self.assertEqual([self.one], self.duplicates.unknown({'a'}))
        self.assertEqual([self.one], self.duplicates.unknown({'A'}))
        self.add_origins(one='x')
        self.assertEqual([other], self.duplicates.unknown(True))

    def test_capabilities_are_forgotten_with_the_member(self) -> None:
        self.update(self.one)
        self.add_origins(one='x')
        self.update()
        self.duplicates.unknown()
        self.update(self.one)
        self.assertEqual([self.one], self.duplicates.unknown(True))
