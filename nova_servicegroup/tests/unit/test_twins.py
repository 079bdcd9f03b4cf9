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


import time

from nova_servicegroup.drivers import _names
from nova_servicegroup.drivers import _twins
from nova_servicegroup.drivers import _zookeeper
from nova_servicegroup.tests import base

PATIENCE = 15


class TwinsTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.roster = _zookeeper.Roster('compute')
        self.twins = _twins.Twins(
            'compute', self.roster, PATIENCE, clock=self.clock
        )
        self.one, self.two = sorted(_names.member_id('a') for _ in range(2))

    def take(self, *ids: bytes) -> None:
        self.roster.take(frozenset(ids))

    def tell(self, **machines: str) -> None:
        for number, machine in machines.items():
            self.twins.tell(
                getattr(self, number), {'machine': machine, 'pid': 1}
            )

    def test_a_restart_is_not_doubted(self) -> None:
        self.take(self.one, self.two)
        self.assertEqual([], self.twins.doubtful())
        self.clock.advance(PATIENCE - 1)
        self.assertEqual([], self.twins.doubtful())
        self.take(self.two)
        self.clock.advance(PATIENCE)
        self.assertEqual([], self.twins.doubtful())

    def test_a_double_that_stays_is_asked_once_for_each_member(self) -> None:
        self.take(self.one, self.two)
        self.twins.doubtful()
        self.clock.advance(PATIENCE)
        self.assertEqual([self.one, self.two], self.twins.doubtful())
        self.tell(one='x')
        self.assertEqual([self.two], self.twins.doubtful())
        self.tell(two='x')
        self.assertEqual([], self.twins.doubtful())
        self.assertEqual([], self.log_lines('WARNING'))

    def test_two_machines_make_one_warning(self) -> None:
        self.take(self.one, self.two)
        self.twins.doubtful()
        self.clock.advance(PATIENCE)
        self.tell(one='x', two='y')
        self.tell(two='y')
        lines = self.log_lines('WARNING')
        self.assertEqual(1, len(lines))
        self.assertIn('several machines: x, y', lines[0])

    def test_what_was_learnt_too_soon_is_told_when_it_stays(self) -> None:
        self.take(self.one, self.two)
        self.assertEqual([self.one, self.two], self.twins.unknown())
        self.tell(one='x', two='y')
        self.assertEqual([], self.log_lines('WARNING'))
        self.clock.advance(PATIENCE)
        self.assertEqual([], self.twins.doubtful())
        self.assertEqual(1, len(self.log_lines('WARNING')))

    def test_garbage_is_no_machine(self) -> None:
        self.take(self.one, self.two)
        self.twins.doubtful()
        self.clock.advance(PATIENCE)
        for number, found in ((self.one, b'\xff'), (self.two, None)):
            self.twins.tell(number, found)
        self.assertEqual([], self.twins.doubtful())
        self.assertEqual([], self.log_lines('WARNING'))

    def test_origins_are_shown(self) -> None:
        self.take(self.one, self.two)
        self.twins.unknown()
        self.tell(one='x')
        first, second = self.twins.incarnations('a')
        self.assertEqual(
            (self.one.decode(), 'x', 1), (first.name, first.machine, first.pid)
        )
        self.assertEqual(
            (self.two.decode(), None, None),
            (second.name, second.machine, second.pid),
        )
        self.assertLess(abs(time.time() - second.since), 60)
        self.assertEqual((), self.twins.incarnations('b'))

    def test_everybody_can_be_asked_for(self) -> None:
        other = _names.member_id('b')
        self.take(self.one, other)
        self.assertEqual([], self.twins.unknown())
        self.assertEqual([self.one, other], self.twins.unknown(True))
        self.assertEqual([self.one], self.twins.unknown({'a'}))
        self.tell(one='x')
        self.assertEqual([other], self.twins.unknown(True))

    def test_what_was_said_is_forgotten_with_the_member(self) -> None:
        self.take(self.one)
        self.tell(one='x')
        self.take()
        self.twins.unknown()
        self.take(self.one)
        self.assertEqual([self.one], self.twins.unknown(True))
