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


from nova_servicegroup.drivers import _memcached
from nova_servicegroup.drivers import _witness
from nova_servicegroup.tests import base

TTL = 60.0
HOLD = 90.0
SETTLE = 20.0
MARKER = b'marker'


class WitnessTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.witness = _witness.Witness('mc1', 'compute', TTL, HOLD, SETTLE)

    def answer(self, *members: str, **how: object) -> _memcached.Answer:
        answer = _memcached.Answer(dict.fromkeys(members, b''), MARKER)
        return answer._replace(**how)

    def take(self, *members: str, **how: object) -> bool:
        return self.witness.take(self.answer(*members, **how), self.clock())

    def vouched(self, answers: bool = True) -> set[str]:
        return set(self.witness.vouched(self.clock(), answers))


class MemoryTest(WitnessTest):
    def test_a_server_with_a_marker_knows_the_group(self) -> None:
        self.assertTrue(self.take('a', 'b'))
        self.assertTrue(self.take('a'))
        self.assertEqual(set(), self.vouched())

    def test_one_that_was_emptied_vouches_for_all_that_it_knew(self) -> None:
        self.take('a', 'b')
        self.assertFalse(self.take(marker=None))
        self.assertEqual({'a', 'b'}, self.vouched())
        self.assertFalse(self.take('a', marker=b'new', young=True))
        self.assertTrue(self.take('a', marker=b'new', young=True))
        self.assertEqual({'b'}, self.vouched())
        self.clock.advance(HOLD + 1)
        self.take('a', marker=b'new')
        self.assertEqual(set(), self.vouched())

    def test_a_new_observer_does_not_rely_on_a_young_server(self) -> None:
        self.assertFalse(self.take('a', young=True))
        self.assertFalse(self.witness.met)

    def test_but_on_what_it_has_seen_there(self) -> None:
        self.take('a', young=True)
        self.assertTrue(self.take(young=True))
        self.assertFalse(self.witness.met)
        self.take()
        self.assertTrue(self.witness.met)

    def test_nor_one_that_has_not_asked_for_long(self) -> None:
        self.take('a')
        self.clock.advance(TTL + 1)
        self.take('a', young=True)
        self.assertFalse(self.witness.met)

    def test_nor_one_that_meets_an_empty_server(self) -> None:
        self.assertFalse(self.take(marker=None))


class SilenceTest(WitnessTest):
    def test_a_silent_server_vouches_until_its_keys_expire(self) -> None:
        self.take('a')
        self.clock.advance(TTL)
        self.assertEqual({'a'}, self.vouched(answers=False))
        self.clock.advance(1)
        self.assertEqual(set(), self.vouched(answers=False))


class EvictionTest(WitnessTest):
    def test_a_server_that_evicts_vouches_for_whom_it_misses(self) -> None:
        self.take('a', 'b')
        self.assertTrue(self.take('a', evictions=3))
        self.assertEqual({'b'}, self.vouched())
        self.assertTrue(self.take(evictions=3))
        self.assertEqual({'b'}, self.vouched())

    def test_it_is_told_once(self) -> None:
        self.take('a')
        for evictions in range(1, 5):
            self.take(evictions=evictions)
        (line,) = self.log_lines('WARNING')
        self.assertIn('mc1 evicts items', line)

    def test_what_was_evicted_before_the_first_look_is_not_told(self) -> None:
        self.take('a', evictions=3)
        self.assertEqual([], self.log_lines('WARNING'))

    def test_a_new_observer_waits_until_all_have_reported(self) -> None:
        self.take('a', evictions=3)
        self.clock.advance(SETTLE)
        self.take('a', evictions=3)
        self.assertFalse(self.witness.met)
        self.clock.advance(1)
        self.take('a', evictions=3)
        self.assertTrue(self.witness.met)


class StrangerTest(WitnessTest):
    """Of one that was never asked about, and is not there."""

    def knows(self, **how: object) -> bool:
        answer = self.answer(**how)
        return self.witness.knows_strangers(answer, self.clock())

    def test_absence_is_evidence_if_all_is_well(self) -> None:
        self.take('a')
        self.assertTrue(self.knows())

    def test_not_if_the_server_was_emptied(self) -> None:
        self.assertFalse(self.knows())
        self.take('a')
        self.assertFalse(self.knows(marker=None))
        self.assertFalse(self.knows(marker=b'new'))
        self.assertFalse(self.knows(young=True))

    def test_not_if_the_server_has_evicted(self) -> None:
        self.take('a')
        self.assertFalse(self.knows(evictions=1))
        self.take('a', evictions=1)
        self.assertFalse(self.knows(evictions=1))
        self.clock.advance(SETTLE + 1)
        self.take('a', evictions=1)
        self.assertTrue(self.knows(evictions=1))
