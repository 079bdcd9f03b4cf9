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

"""Tests of the decision which members are unfit."""

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
    """Tests of the checks that fail because of a shared fault."""

    def shared(self, failing: int, members: int) -> set[str]:
        found = [fails('rpc')] * failing + [fails('virt'), STOPS]
        return set(evidence.shared(found, members))

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
        self.update()

    def update(
        self,
        rpc: str = '',
        after: float = 1.0,
        present: frozenset[str] = HOSTS,
        **conditions: condition.Condition,
    ) -> fitness.Changes:
        """Take a reading in which some hosts fail the check rpc."""
        unfit = dict.fromkeys(rpc, fails('rpc')) | conditions
        reading = evidence.Reading(present, unfit=unfit)
        now = self.clock.advance(after)
        return self.fitness.update(reading, self.held.__contains__, now)

    def found(self, rpc: str = '', **how: Any) -> fitness.Changes:
        """Take such readings until the conditions are believed."""
        self.update(rpc, **how)
        return self.update(rpc, **{**how, 'after': WAITS})

    def unfit(self) -> str:
        return ''.join(sorted(self.fitness.unfit))

    def test_a_failing_member_is_unfit_if_no_others_fail(self) -> None:
        """Others have some seconds to report the same."""
        self.assertEqual(fitness.Changes(), self.update('a'))
        changes = self.update('a', after=WAITS)
        self.assertEqual({'a': fails('rpc')}, changes.unfit)
        self.assertEqual('a', self.unfit())
        self.assertEqual(fitness.Changes(), self.update('a'))

    def test_no_member_is_unfit_at_first_if_all_fail(self) -> None:
        self.assertEqual(fitness.Changes(), self.update('a'))
        self.assertEqual(fitness.Changes(), self.update('ab', after=WAITS / 2))
        self.assertEqual({'rpc'}, self.update('abcde', after=WAITS / 2).shared)
        self.assertEqual('', self.unfit())

    def test_after_a_rest_a_condition_is_believed_at_once(self) -> None:
        """The condition may be as old as the last reading."""
        self.update('a', after=WAITS)
        self.assertEqual('a', self.unfit())

    def test_a_stop_is_believed_at_once(self) -> None:
        self.assertEqual({'a': STOPS}, self.update(a=STOPS).unfit)

    def test_a_member_that_fails_another_check_stays_unfit(self) -> None:
        self.found('a')
        changes = self.update(a=fails('storage'))
        self.assertEqual({'a': fails('storage')}, changes.unfit)

    def test_a_member_is_fit_again_at_once(self) -> None:
        self.found('a')
        self.assertEqual(fitness.Changes(fit={'a'}), self.update())
        self.assertEqual('', self.unfit())
        self.assertEqual(fitness.Changes(), self.update())

    def test_hosts_are_canonical(self) -> None:
        self.found('a')
        self.assertTrue(self.fitness.is_unfit('A'))
        self.assertFalse(self.fitness.is_unfit('b'))

    def test_another_reason_is_a_change(self) -> None:
        self.found('a')
        self.assertEqual({'a': STOPS}, self.update(a=STOPS).unfit)
        # A clock that goes wrong is no other reason.
        later = STOPS._replace(since=2.0)
        self.assertEqual(fitness.Changes(), self.update(a=later))

    def test_more_than_half_is_a_shared_fault(self) -> None:
        changes = self.update('abcde')
        self.assertEqual(fitness.Changes(shared={'rpc'}), changes)
        self.assertEqual('', self.unfit())
        # However long it lasts, and it is told once.
        for _ in range(100):
            self.assertEqual(
                fitness.Changes(), self.update('abcde', after=LATER)
            )

    def test_a_member_failing_another_check_is_unfit_meanwhile(self) -> None:
        self.found('abcde', f=fails('storage'), g=STOPS)
        self.assertEqual('fg', self.unfit())

    def test_a_member_that_notices_the_end_late_is_not_unfit(self) -> None:
        self.update('abcde', after=LATER)
        self.assertEqual(fitness.Changes(), self.update('ab', after=30.0))
        self.assertEqual(fitness.Changes(), self.update('a', after=10.0))
        self.assertEqual('', self.unfit())

    def test_nor_if_the_group_is_read_seldom(self) -> None:
        self.update('abcde')
        self.assertEqual(fitness.Changes(), self.update('ab', after=600.0))
        self.assertEqual('', self.unfit())

    def test_a_member_that_still_fails_after_that_is_unfit(self) -> None:
        self.update('abcde')
        self.update('a', after=1.0)
        self.assertEqual('', self.unfit())
        self.assertEqual(fitness.Changes(), self.update('a', LATER))
        self.assertEqual({'a': fails('rpc')}, self.update('a', LATER).unfit)

    def test_three_of_many_that_begin_together_may_be_the_first(self) -> None:
        self.update('a')
        self.update('ab', after=10.0)
        self.assertEqual('ab', self.unfit())
        self.assertEqual({'rpc'}, self.update('abc', after=10.0).shared)
        self.assertEqual('', self.unfit())

    def test_members_that_do_not_fail_any_more_count(self) -> None:
        self.update('abc')
        self.update('c', after=10.0)
        self.assertEqual(fitness.Changes(), self.update('cd', after=10.0))
        self.update('cd', after=20.0)
        self.assertEqual('', self.unfit())

    def test_a_member_that_has_failed_before_stays_unfit(self) -> None:
        self.found('h')
        self.update('h', after=40.0)
        changes = self.update('abch', after=30.0)
        self.assertEqual(fitness.Changes(shared={'rpc'}), changes)
        self.assertEqual('h', self.unfit())

    def test_it_stays_unfit_while_three_others_come_and_go(self) -> None:
        self.found('h')
        self.update('h', after=40.0)
        for _ in range(20):
            self.update('abch', after=30.0)
            self.assertEqual('h', self.unfit())
            self.update('h', after=30.0)
            self.assertEqual('h', self.unfit())

    def test_an_ignored_check_is_reported_once(self) -> None:
        told = [self.update('abc', after=30.0).shared for _ in range(5)]
        self.assertEqual([{'rpc'}, set(), set(), set(), set()], told)
        self.assertEqual(set(), self.fitness.ignored)

    def test_after_a_rest_no_common_beginning_is_known(self) -> None:
        """They may have begun at any time since."""
        self.update('abc', after=600.0)
        self.assertEqual('abc', self.unfit())

    def test_three_that_stay_alone_become_unfit(self) -> None:
        self.update('abc')
        for _ in range(3):
            self.update('abc', after=30.0)
            self.assertEqual('', self.unfit())
        self.update('abc', after=LATER)
        self.assertEqual('abc', self.unfit())

    def test_three_that_fail_one_after_the_other_are_unfit(self) -> None:
        for hosts in ('a', 'ab', 'abc'):
            self.update(hosts, after=LATER)
            self.assertEqual(hosts, self.unfit())

    def test_three_in_the_first_reading_are_unfit(self) -> None:
        self.fitness = fitness.Fitness()
        self.update('abc')
        self.assertEqual('abc', self.unfit())

    def test_a_held_member_keeps_its_condition(self) -> None:
        self.found('a')
        self.held = {'a'}
        changes = self.update(present=HOSTS - {'a'})
        self.assertEqual(fitness.Changes(), changes)
        self.assertEqual('a', self.unfit())

    def test_a_lost_member_has_no_condition(self) -> None:
        self.update('a')
        self.assertEqual(fitness.Changes(), self.update(present=HOSTS - {'a'}))
        self.assertEqual('', self.unfit())
