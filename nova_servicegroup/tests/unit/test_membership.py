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


from collections.abc import Callable
import sys
import types
from typing import Any

from nova_servicegroup import membership
from nova_servicegroup.tests import base

HOLD = 60.0
SETTLE = 20.0


class MembershipTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.members = membership.Membership(
            self.clock(), HOLD, settle_time=SETTLE, idle_time=5.0
        )

    def confirm(self, *hosts: str, **how: Any) -> membership.Changes:
        reading = membership.Reading(set(hosts), **how)
        return self.members.confirm(reading, self.clock())

    def lose(self) -> membership.Changes:
        return self.members.lose(self.clock())

    def up(self, *hosts: str) -> list[str]:
        return [h for h in hosts if self.members.is_up(h, self.clock())]

    def poll(
        self, seconds: int, *hosts: str, **how: Any
    ) -> list[membership.Changes]:
        """Let contact be healthy for so long."""
        changes = []
        for _ in range(seconds):
            self.clock.advance(1)
            changes.append(self.confirm(*hosts, **how))
        return changes

    def poll_blind(self, seconds: int) -> list[membership.Changes]:
        changes = []
        for _ in range(seconds):
            self.clock.advance(1)
            changes.append(self.lose())
        return changes


class ConfirmedTest(MembershipTest):
    def test_presence_means_up_and_absence_down_at_once(self) -> None:
        changes = self.confirm('a', 'b')
        self.assertEqual({'a', 'b'}, changes.up)
        self.assertEqual(['a', 'b'], self.up('a', 'b', 'stranger'))
        self.clock.advance(1)
        changes = self.confirm('a')
        self.assertEqual({'b'}, changes.down)
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_a_member_that_comes_back_is_up(self) -> None:
        self.confirm('a', 'b')
        self.confirm('a')
        self.assertEqual({'b'}, self.confirm('a', 'b').up)
        self.assertEqual(['b'], self.up('b'))

    def test_an_unchanged_membership_changes_nothing(self) -> None:
        self.confirm('a')
        self.assertEqual(membership.Changes(), self.confirm('a'))

    def test_proof_is_the_last_membership_with_the_member(self) -> None:
        self.confirm('a', 'b')
        seen = self.clock()
        self.clock.advance(1)
        self.confirm('a')
        self.assertEqual(self.clock(), self.members.proof('a'))
        self.assertEqual(seen, self.members.proof('b'))
        self.assertIsNone(self.members.proof('stranger'))
        self.clock.advance(1)
        self.confirm(emptied=True)
        self.assertEqual(seen + 1, self.members.proof('a'))

    def test_two_of_two_are_no_mass_loss(self) -> None:
        self.confirm('a', 'b')
        self.assertEqual({'a', 'b'}, self.confirm().down)


class VouchTest(MembershipTest):
    """Somebody says that a member may be alive, though it is not there."""

    def test_it_is_held_for_as_long_as_somebody_vouches(self) -> None:
        self.confirm('a', 'b')
        self.clock.advance(1)
        changes = self.confirm('a', vouched={'b'})
        self.assertEqual(({'b'}, set()), (changes.held, changes.down))
        self.poll(30, 'a', vouched={'b'})
        self.assertEqual(['a', 'b'], self.up('a', 'b'))
        self.assertEqual({'b'}, self.confirm('a').down)
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_but_not_longer_than_the_hold_time(self) -> None:
        self.confirm('a', 'b')
        changes = self.poll(61, 'a', vouched={'b'})
        self.assertEqual({'b'}, changes[-1].expired)
        self.assertEqual(['a'], self.up('a', 'b'))
        self.assertEqual(membership.Changes(), self.confirm('a'))

    def test_who_comes_back_is_no_longer_held(self) -> None:
        self.confirm('a', 'b')
        self.confirm('a', vouched={'b'})
        self.confirm('a', 'b')
        self.assertFalse(self.members.is_held('b'))
        self.assertEqual({'b'}, self.confirm('a').down)

    def test_nobody_can_vouch_for_who_was_down(self) -> None:
        self.confirm('a')
        self.confirm('a', vouched={'b'})
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_a_mass_loss_is_held_though_nobody_vouches_any_more(self) -> None:
        self.confirm('a', 'b', 'c', 'd')
        self.confirm('a', vouched={'b', 'c', 'd'})
        self.assertEqual(set(), self.confirm('a').down)


class BlindTest(MembershipTest):
    def test_members_are_held_until_the_hold_time_after_proof(self) -> None:
        self.confirm('a', 'b')
        self.poll_blind(60)
        self.assertEqual(['a', 'b'], self.up('a', 'b'))
        changes = self.poll_blind(1)[0]
        self.assertEqual({'a', 'b'}, changes.expired)
        self.assertEqual([], self.up('a', 'b'))

    def test_the_expired_keep_their_proof(self) -> None:
        self.confirm('a')
        seen = self.clock()
        self.poll_blind(70)
        self.assertEqual(seen, self.members.proof('a'))

    def test_expiry_is_told_once(self) -> None:
        self.confirm('a')
        expired = [c.expired for c in self.poll_blind(70) if c.expired]
        self.assertEqual([{'a'}], expired)

    def test_a_member_that_was_down_stays_down(self) -> None:
        self.confirm('a', 'b')
        self.confirm('a')
        self.lose()
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_the_expired_are_up_again_when_confirmed(self) -> None:
        self.confirm('a')
        self.poll_blind(70)
        self.assertEqual({'a'}, self.confirm('a').up)
        self.assertEqual(['a'], self.up('a'))

    def test_missing_after_an_outage_are_held_until_hold_time(self) -> None:
        self.confirm('a', 'b', 'c')
        self.poll_blind(30)
        changes = self.confirm('a', 'b')
        self.assertEqual({'c'}, changes.held)
        self.poll(30, 'a', 'b')
        self.assertEqual(['c'], self.up('c'))
        self.poll(1, 'a', 'b')
        self.assertEqual(['a', 'b'], self.up('a', 'b', 'c'))

    def test_dropped_while_settling_are_held(self) -> None:
        self.confirm('a', 'b', 'c')
        self.poll_blind(10)
        self.confirm('a', 'b', 'c')
        self.poll(19, 'a', 'b', 'c')
        self.assertEqual({'c'}, self.confirm('a', 'b').held)

    def test_dropped_after_settling_are_down(self) -> None:
        self.confirm('a', 'b', 'c')
        self.poll_blind(10)
        self.confirm('a', 'b', 'c')
        self.poll(21, 'a', 'b', 'c')
        self.assertEqual({'c'}, self.confirm('a', 'b').down)

    def test_a_hiccup_is_no_outage(self) -> None:
        self.confirm('a', 'b', 'c')
        self.poll_blind(3)
        self.confirm('a', 'b', 'c')
        self.clock.advance(1)
        self.assertEqual({'c'}, self.confirm('a', 'b').down)

    def test_an_idle_observer_does_not_blame_the_members(self) -> None:
        self.confirm('a')
        self.clock.advance(3600)
        self.lose()
        self.assertEqual(['a'], self.up('a'))
        self.poll_blind(59)
        self.assertEqual(['a'], self.up('a'))
        self.poll_blind(2)
        self.assertEqual([], self.up('a'))

    def test_an_idle_observer_presumes_whoever_was_missing(self) -> None:
        self.confirm('a', 'b')
        self.confirm('a')
        self.clock.advance(6)
        self.lose()
        self.assertEqual(['a', 'b'], self.up('a', 'b'))
        self.poll_blind(61)
        self.assertEqual([], self.up('a', 'b'))
        self.confirm('a')
        self.poll(21, 'a')
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_idle_then_blind_then_missing_is_held(self) -> None:
        self.confirm('a', 'b')
        self.clock.advance(3600)
        self.lose()
        self.clock.advance(10)
        self.assertEqual({'b'}, self.confirm('a').held)
        self.assertEqual(['a', 'b'], self.up('a', 'b'))

    def test_blind_then_idle_then_missing_is_held(self) -> None:
        """Nobody looked when they were there again."""
        self.confirm('a', 'b')
        self.poll_blind(1)
        self.clock.advance(100)
        changes = self.confirm('b', emptied=True)
        self.assertEqual(({'a'}, set()), (changes.held, changes.expired))
        self.clock.advance(SETTLE)
        self.assertEqual(['a'], self.up('a'))
        self.clock.advance(1)
        self.assertEqual([], self.up('a'))


class StartTest(MembershipTest):
    def test_blind_from_the_start_presumes_up_until_hold_time(self) -> None:
        self.lose()
        self.clock.advance(60)
        self.assertEqual(['a'], self.up('a'))
        self.clock.advance(1)
        self.assertEqual([], self.up('a'))

    def test_the_first_confirmation_ends_the_presumption(self) -> None:
        self.confirm('a')
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_unless_it_ends_an_outage(self) -> None:
        self.lose()
        self.clock.advance(10)
        self.confirm('a')
        self.poll(19, 'a')
        self.assertEqual(['a', 'b'], self.up('a', 'b'))
        self.poll(2, 'a')
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_an_emptied_backend_confirms_nothing(self) -> None:
        for _ in range(60):
            self.confirm(emptied=True)
            self.assertEqual(['a'], self.up('a'))
            self.clock.advance(1)
        self.clock.advance(1)
        self.confirm(emptied=True)
        self.assertEqual([], self.up('a'))

    def test_what_is_there_all_the_same_is_proven(self) -> None:
        self.confirm('a', emptied=True)
        self.assertEqual(self.clock(), self.members.proof('a'))

    def test_an_incomplete_membership_is_no_evidence_on_strangers(
        self,
    ) -> None:
        self.confirm('a', 'b', incomplete=True)
        self.assertEqual({'b'}, self.confirm('a', incomplete=True).down)
        self.assertEqual(['a', 'c'], self.up('a', 'b', 'c'))
        self.confirm('a', 'b', incomplete=True)
        self.assertEqual(['a', 'b', 'c'], self.up('a', 'b', 'c'))
        self.confirm('a')
        self.assertEqual(['a'], self.up('a', 'c'))

    def test_emptied_while_nobody_asked_is_as_a_start(self) -> None:
        self.confirm('a')
        self.clock.advance(600)
        self.confirm(emptied=True)
        self.assertEqual(['a', 'b'], self.up('a', 'b'))
        self.poll(60, emptied=True)
        self.clock.advance(1)
        self.assertEqual([], self.up('a', 'b'))

    def test_presume_holds_one_host_until_there_is_evidence(self) -> None:
        self.confirm('a')
        self.members.presume('b', self.clock())
        self.assertEqual(['b'], self.up('b', 'c'))
        self.confirm('a', emptied=True)
        self.assertEqual(['b'], self.up('b', 'c'))
        self.assertEqual({'b'}, self.confirm('a').down)
        self.assertEqual([], self.up('b', 'c'))

    def test_or_for_the_hold_time(self) -> None:
        self.confirm('a')
        self.members.presume('b', self.clock())
        self.poll(60, 'a', emptied=True)
        self.assertEqual(['b'], self.up('b'))
        self.poll(1, 'a', emptied=True)
        self.assertEqual([], self.up('b'))

    def test_admit_takes_one_host_more(self) -> None:
        self.confirm('a')
        self.members.admit('b')
        self.assertEqual(['a', 'b'], self.up('a', 'b'))


class MassLossTest(MembershipTest):
    hosts = tuple('abcdefghij')

    def test_more_than_half_at_once_are_held(self) -> None:
        self.confirm(*self.hosts)
        changes = self.confirm(*'abcd')
        self.assertEqual(set('efghij'), changes.held)
        self.assertEqual(frozenset(), changes.down)
        self.assertEqual(list(self.hosts), self.up(*self.hosts))

    def test_half_are_down(self) -> None:
        self.confirm(*self.hosts)
        self.assertEqual(set('fghij'), self.confirm(*'abcde').down)

    def test_the_held_are_down_at_last(self) -> None:
        self.confirm(*self.hosts)
        self.clock.advance(1)
        self.confirm()
        self.poll(59, *())
        self.assertEqual(list(self.hosts), self.up(*self.hosts))
        self.poll(1, *())
        self.assertEqual([], self.up(*self.hosts))

    def test_they_are_down_the_sooner_the_later_the_backend_tells(
        self,
    ) -> None:
        self.members = membership.Membership(
            self.clock(), HOLD, settle_time=SETTLE, lag=15, idle_time=5.0
        )
        self.confirm(*self.hosts)
        self.poll(44)
        self.assertEqual(list(self.hosts), self.up(*self.hosts))
        self.poll(2)
        self.assertEqual([], self.up(*self.hosts))

    def test_a_loss_spread_over_refreshes_is_one_loss(self) -> None:
        self.confirm(*self.hosts)
        for left in ('abcdefgh', 'abcdef', 'abcd'):
            self.clock.advance(1)
            changes = self.confirm(*left)
        self.assertEqual(set('efghij'), changes.held)
        self.assertEqual(list(self.hosts), self.up(*self.hosts))

    def test_losses_long_apart_are_not(self) -> None:
        self.confirm(*self.hosts)
        for left in ('abcdefgh', 'abcdef', 'abcd'):
            self.poll(21, *sorted(self.members.present))
            self.assertEqual(2, len(self.confirm(*left).down))

    def test_those_that_came_back_do_not_count(self) -> None:
        self.confirm(*self.hosts)
        self.confirm(*'abcdefgh')
        self.confirm(*self.hosts)
        self.confirm(*'abcdefij')
        self.confirm(*self.hosts)
        self.assertEqual(set('cd'), self.confirm(*'abefghij').down)

    def test_emptied_holds_even_a_single_member(self) -> None:
        self.confirm('a')
        self.assertEqual({'a'}, self.confirm(emptied=True).held)
        self.assertEqual(['a'], self.up('a'))

    def test_the_held_come_back_without_a_word(self) -> None:
        self.confirm('a')
        self.confirm(emptied=True)
        self.assertEqual(membership.Changes(), self.confirm('a'))
        self.assertFalse(self.members.is_held('a'))


class ConcurrencyTest(MembershipTest):
    """What other threads see while a membership is being confirmed."""

    def up_throughout(self, call: Callable[[], object], *hosts: str) -> bool:
        """Ask after each line of the module that call runs."""
        answers: list[bool] = []

        def trace(frame: types.FrameType, event: str, arg: object) -> Any:
            if frame.f_code.co_filename != membership.__file__:
                return None
            if frame.f_code.co_name != 'is_up':
                answers.append(self.up(*hosts) == list(hosts))
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            call()
        finally:
            sys.settrace(before)
        self.assertGreater(len(answers), 10)
        return all(answers)

    def test_the_first_members_are_never_down(self) -> None:
        self.assertTrue(self.up_throughout(lambda: self.confirm('a'), 'a'))

    def test_those_that_are_held_are_never_down(self) -> None:
        self.confirm('a', 'b', 'c', 'd')
        lose_most = self.up_throughout(
            lambda: self.confirm('a'), 'a', 'b', 'c', 'd'
        )
        self.assertTrue(lose_most)

    def test_those_that_come_back_are_never_down(self) -> None:
        self.confirm('a', 'b', 'c', 'd')
        self.confirm('a')
        come_back = self.up_throughout(
            lambda: self.confirm('a', 'b', 'c', 'd'), 'a', 'b', 'c', 'd'
        )
        self.assertTrue(come_back)

    def test_nobody_is_down_when_contact_is_back(self) -> None:
        self.confirm('a', 'b')
        self.clock.advance(40)
        self.lose()
        self.clock.advance(40)
        self.assertTrue(
            self.up_throughout(lambda: self.confirm('a'), 'a', 'b')
        )
