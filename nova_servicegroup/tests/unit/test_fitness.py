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

"""Who is of no use, and is believed."""

from typing import Any

from nova_servicegroup import condition
from nova_servicegroup import evidence
from nova_servicegroup import fitness
from nova_servicegroup.tests import base

HOSTS = frozenset('abcdefgh')
STOPS = condition.Condition(condition.DRAINING, condition.STOPPING, 1.0)
#: Seconds after which it is known whether a fault is shared.
LATER = 50.0
#: Seconds for which others may say the same.
WAITS = 5.0


def fails(check: str) -> condition.Condition:
    return condition.Condition(condition.DEGRADED, check, 1.0)


class SharedTest(base.TestCase):
    """Which checks fail by no fault of who fails them."""

    def shared(self, failing: int, members: int) -> set[str]:
        said = [fails('rpc')] * failing + [fails('virt'), STOPS]
        return set(evidence.shared(said, members))

    def test_more_than_half_and_at_least_three(self) -> None:
        self.assertEqual({'rpc'}, self.shared(3, 5))
        self.assertEqual({'rpc'}, self.shared(5, 9))
        self.assertEqual(set(), self.shared(3, 6))
        self.assertEqual(set(), self.shared(2, 2))

    def test_a_stop_is_no_check(self) -> None:
        self.assertEqual(set(), set(evidence.shared([STOPS] * 9, 9)))


class FitnessTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.fitness = fitness.Fitness()
        self.held: set[str] = set()
        # What was there at first is not new.
        self.take()

    def take(
        self,
        rpc: str = '',
        after: float = 1.0,
        present: frozenset[str] = HOSTS,
        **said: condition.Condition,
    ) -> fitness.Changes:
        """Take a reading in which some hosts fail the check rpc."""
        unfit = dict.fromkeys(rpc, fails('rpc')) | said
        reading = evidence.Reading(present, unfit=unfit)
        now = self.clock.advance(after)
        return self.fitness.take(reading, self.held.__contains__, now)

    def found(self, rpc: str = '', **how: Any) -> fitness.Changes:
        """Take such readings until what they say is heeded."""
        self.take(rpc, **how)
        return self.take(rpc, **{**how, 'after': WAITS})

    def unfit(self) -> str:
        return ''.join(sorted(self.fitness.unfit))

    def test_one_that_fails_is_of_no_use_if_no_others_do(self) -> None:
        """They have some seconds, in which they may say the same."""
        self.assertEqual(fitness.Changes(), self.take('a'))
        changes = self.take('a', after=WAITS)
        self.assertEqual({'a': fails('rpc')}, changes.unfit)
        self.assertEqual('a', self.unfit())
        self.assertEqual(fitness.Changes(), self.take('a'))

    def test_nobody_is_at_first_where_all_fail(self) -> None:
        self.assertEqual(fitness.Changes(), self.take('a'))
        self.assertEqual(fitness.Changes(), self.take('ab', after=WAITS / 2))
        self.assertEqual({'rpc'}, self.take('abcde', after=WAITS / 2).shared)
        self.assertEqual('', self.unfit())

    def test_who_has_not_looked_for_long_heeds_it_at_once(self) -> None:
        """It may have been there since."""
        self.take('a', after=WAITS)
        self.assertEqual('a', self.unfit())

    def test_a_stop_is_heeded_at_once(self) -> None:
        self.assertEqual({'a': STOPS}, self.take(a=STOPS).unfit)

    def test_another_check_that_fails_is_no_return(self) -> None:
        self.found('a')
        changes = self.take(a=fails('storage'))
        self.assertEqual({'a': fails('storage')}, changes.unfit)

    def test_and_of_use_again_at_once(self) -> None:
        self.found('a')
        self.assertEqual(fitness.Changes(fit={'a'}), self.take())
        self.assertEqual('', self.unfit())
        self.assertEqual(fitness.Changes(), self.take())

    def test_hosts_are_canonical(self) -> None:
        self.found('a')
        self.assertTrue(self.fitness.has('A'))
        self.assertFalse(self.fitness.has('b'))

    def test_another_reason_is_told(self) -> None:
        self.found('a')
        self.assertEqual({'a': STOPS}, self.take(a=STOPS).unfit)
        # A clock that goes wrong is no other reason.
        later = STOPS._replace(since=2.0)
        self.assertEqual(fitness.Changes(), self.take(a=later))

    def test_more_than_half_is_a_shared_fault(self) -> None:
        changes = self.take('abcde')
        self.assertEqual(fitness.Changes(shared={'rpc'}), changes)
        self.assertEqual('', self.unfit())
        # However long it lasts, and it is told once.
        for _ in range(100):
            self.assertEqual(
                fitness.Changes(), self.take('abcde', after=LATER)
            )

    def test_who_fails_another_check_is_of_no_use_meanwhile(self) -> None:
        self.found('abcde', f=fails('storage'), g=STOPS)
        self.assertEqual('fg', self.unfit())

    def test_no_one_is_passed_over_who_notices_the_end_late(self) -> None:
        self.take('abcde', after=LATER)
        self.assertEqual(fitness.Changes(), self.take('ab', after=30.0))
        self.assertEqual(fitness.Changes(), self.take('a', after=10.0))
        self.assertEqual('', self.unfit())

    def test_not_even_where_it_is_read_seldom(self) -> None:
        self.take('abcde')
        self.assertEqual(fitness.Changes(), self.take('ab', after=600.0))
        self.assertEqual('', self.unfit())

    def test_who_fails_it_for_long_after_that_is_of_no_use(self) -> None:
        self.take('abcde')
        self.take('a', after=1.0)
        self.assertEqual('', self.unfit())
        self.assertEqual(fitness.Changes(), self.take('a', LATER))
        self.assertEqual({'a': fails('rpc')}, self.take('a', LATER).unfit)

    def test_three_of_many_that_begin_together_may_be_the_first(self) -> None:
        self.take('a')
        self.take('ab', after=10.0)
        self.assertEqual('ab', self.unfit())
        self.assertEqual({'rpc'}, self.take('abc', after=10.0).shared)
        self.assertEqual('', self.unfit())

    def test_those_count_that_do_not_fail_it_any_more(self) -> None:
        self.take('abc')
        self.take('c', after=10.0)
        self.assertEqual(fitness.Changes(), self.take('cd', after=10.0))
        self.take('cd', after=20.0)
        self.assertEqual('', self.unfit())

    def test_who_has_failed_it_for_long_is_none_of_them(self) -> None:
        self.found('h')
        self.take('h', after=40.0)
        changes = self.take('abch', after=30.0)
        self.assertEqual(fitness.Changes(shared={'rpc'}), changes)
        self.assertEqual('h', self.unfit())

    def test_nor_is_who_fails_it_while_three_come_and_go(self) -> None:
        self.found('h')
        self.take('h', after=40.0)
        for _ in range(20):
            self.take('abch', after=30.0)
            self.assertEqual('h', self.unfit())
            self.take('h', after=30.0)
            self.assertEqual('h', self.unfit())

    def test_it_is_told_once_that_a_check_is_ignored(self) -> None:
        told = [self.take('abc', after=30.0).shared for _ in range(5)]
        self.assertEqual([{'rpc'}, set(), set(), set(), set()], told)
        self.assertEqual(set(), self.fitness.ignored)

    def test_who_has_not_looked_for_long_knows_no_beginning(self) -> None:
        """They may have begun at any time since."""
        self.take('abc', after=600.0)
        self.assertEqual('abc', self.unfit())

    def test_if_they_are_not_they_are_of_no_use(self) -> None:
        self.take('abc')
        for _ in range(3):
            self.take('abc', after=30.0)
            self.assertEqual('', self.unfit())
        self.take('abc', after=LATER)
        self.assertEqual('abc', self.unfit())

    def test_nor_are_three_that_fail_one_after_the_other(self) -> None:
        for hosts in ('a', 'ab', 'abc'):
            self.take(hosts, after=LATER)
            self.assertEqual(hosts, self.unfit())

    def test_three_that_were_there_at_the_first_look(self) -> None:
        self.fitness = fitness.Fitness()
        self.take('abc')
        self.assertEqual('abc', self.unfit())

    def test_who_is_held_says_what_it_said(self) -> None:
        self.found('a')
        self.held = {'a'}
        changes = self.take(present=HOSTS - {'a'})
        self.assertEqual(fitness.Changes(), changes)
        self.assertEqual('a', self.unfit())

    def test_who_is_gone_says_nothing(self) -> None:
        self.take('a')
        self.assertEqual(fitness.Changes(), self.take(present=HOSTS - {'a'}))
        self.assertEqual('', self.unfit())
