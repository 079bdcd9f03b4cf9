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

import sys
import types
from typing import Any

from nova_servicegroup import evidence
from nova_servicegroup import membership
from nova_servicegroup.tests import base

HOLD = 60.0
SETTLE = 20.0
WIPED: dict[str, Any] = {'doubt': 'wiped', 'complete': False}


class MembershipTest(base.TestCase):
    """One observer, which asks as often as a test says."""

    def setUp(self) -> None:
        super().setUp()
        self.begin()

    def begin(self, hold_time: float = HOLD) -> None:
        self.members = membership.Membership(
            self.clock(), hold_time, settle_time=SETTLE, idle_time=5.0
        )

    def confirm(self, *hosts: str, **how: Any) -> evidence.Changes:
        reading = evidence.Reading(set(hosts), **how)
        return self.members.confirm(reading, self.clock())

    def lose(self) -> evidence.Changes:
        return self.members.lose(self.clock())

    def up(self, *hosts: str) -> list[str]:
        """Return who is up, as somebody hears who asks after a reading."""
        now = self.clock()
        up = [host for host in hosts if self.members.judge(host, now, False)]
        self.members.expire(now)
        for host in hosts:
            known = self.members.recall(host, now)
            self.assertIn(known, (None, host in up), host)
        return up

    def poll(
        self, seconds: int, *hosts: str, **how: Any
    ) -> list[evidence.Changes]:
        """Let contact be healthy for so long."""
        changes = []
        for _ in range(seconds):
            self.clock.advance(1)
            changes.append(self.confirm(*hosts, **how))
        return changes

    def poll_blind(self, seconds: int) -> list[evidence.Changes]:
        """Let every read fail for so long."""
        changes = []
        for _ in range(seconds):
            self.clock.advance(1)
            changes.append(self.lose())
        return changes


class ConfirmedTest(MembershipTest):
    def test_presence_means_up_and_absence_down_at_once(self) -> None:
        changes = self.confirm('a', 'b', 'c')
        self.assertEqual({'a', 'b', 'c'}, changes.up)
        self.clock.advance(1)
        self.assertEqual({'b'}, self.confirm('a', 'c').down)
        self.assertEqual(['a', 'c'], self.up('a', 'b', 'c', 'x'))

    def test_a_member_that_comes_back_is_up(self) -> None:
        self.confirm('a', 'b', 'c')
        self.confirm('a', 'c')
        self.assertEqual({'b'}, self.confirm('a', 'b', 'c').up)
        self.assertEqual(['b'], self.up('b'))

    def test_a_stranger_that_was_found_absent_is_up_when_it_joins(
        self,
    ) -> None:
        self.confirm('a')
        self.assertEqual([], self.up('b'))
        self.confirm('a', 'b')
        self.assertEqual(['b'], self.up('b'))

    def test_an_unchanged_membership_changes_nothing(self) -> None:
        self.confirm('a')
        self.assertEqual(evidence.Changes(), self.confirm('a'))

    def test_proof_is_the_last_membership_with_the_member(self) -> None:
        self.confirm('a', 'b', 'c')
        seen = self.clock()
        self.clock.advance(7)
        self.confirm('a', 'c')
        self.assertEqual(seen, self.members.proof('b'))
        self.assertEqual(self.clock(), self.members.proof('a'))
        self.assertIsNone(self.members.proof('x'))

    def test_the_dead_are_forgotten_after_a_day(self) -> None:
        for number in range(200):
            self.confirm('a', f'host{number}')
            self.up(f'stranger{number}')
            self.clock.advance(3600)
        self.confirm('a')
        self.assertLess(len(self.members.missing), 60)
        self.assertEqual([], self.up('host0', 'host199', 'stranger0'))


class BlindTest(MembershipTest):
    def test_members_are_up_until_the_hold_time_after_contact(self) -> None:
        self.confirm('a', 'b')
        self.poll_blind(60)
        self.assertEqual(['a', 'b'], self.up('a', 'b'))
        changes = self.poll_blind(2)[-1]
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

    def test_the_expired_are_up_again_when_confirmed(self) -> None:
        self.confirm('a')
        self.poll_blind(70)
        self.assertEqual({'a'}, self.confirm('a').up)
        self.assertEqual(['a'], self.up('a'))

    def test_who_is_there_again_when_its_time_is_over_was_never_down(
        self,
    ) -> None:
        self.confirm('a')
        self.lose()
        self.clock.advance(70)
        self.assertEqual(evidence.Changes(), self.confirm('a'))

    def test_missing_after_an_outage_are_held_until_the_hold_time(
        self,
    ) -> None:
        self.confirm('a', 'b')
        self.poll_blind(30)
        changes = self.poll(1, 'a')[0]
        self.assertEqual({'b': evidence.UNSETTLED}, changes.held)
        self.poll(29, 'a')
        self.assertEqual(['b'], self.up('b'))
        self.poll(3, 'a')
        self.assertEqual([], self.up('b'))

    def test_they_have_the_time_to_join_again(self) -> None:
        self.confirm('a', 'b')
        self.poll_blind(59)
        self.poll(18, 'a')
        self.assertEqual(['b'], self.up('b'))
        self.poll(4, 'a')
        self.assertEqual([], self.up('b'))

    def test_but_not_longer_than_the_hold_time(self) -> None:
        self.begin(hold_time=5.0)
        self.confirm('a', 'b')
        self.poll_blind(4)
        self.poll(7, 'a')
        self.assertEqual([], self.up('b'))

    def test_dropped_while_settling_are_held(self) -> None:
        self.confirm('a', 'b')
        self.poll_blind(30)
        self.poll(10, 'a', 'b')
        self.assertEqual({'b'}, set(self.poll(1, 'a')[0].held))

    def test_dropped_after_settling_are_down(self) -> None:
        self.confirm('a', 'b')
        self.poll_blind(30)
        self.poll(22, 'a', 'b')
        self.assertEqual({'b'}, self.poll(1, 'a')[0].down)

    def test_a_hiccup_is_no_outage(self) -> None:
        self.confirm('a', 'b')
        self.poll_blind(3)
        self.assertEqual({'b'}, self.poll(1, 'a')[0].down)

    def test_the_dead_stay_dead_whatever_the_backend_does(self) -> None:
        """Outages of six seconds, every twenty."""
        self.confirm('a', 'b')
        self.poll(1, 'a')
        for _ in range(100):
            self.poll_blind(6)
            self.assertEqual(['a'], self.up('a', 'b'))
            self.poll(14, 'a')
            self.assertEqual(['a'], self.up('a', 'b'))

    def test_who_dies_among_outages_is_down_after_the_hold_time(self) -> None:
        self.confirm('a', 'b')
        for _ in range(3):
            self.poll_blind(6)
            self.poll(14, 'a')
        self.poll_blind(6)
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_so_it_is_where_each_outage_follows_a_rest(self) -> None:
        """Nobody looks for some seconds before each of them."""
        self.confirm('a', 'b')
        for _ in range(30):
            self.clock.advance(8)
            self.lose()
            self.up('a', 'b')
            self.clock.advance(8)
            self.confirm('a')
            self.up('a', 'b')
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_outages_do_not_keep_one_up_for_ever_that_nobody_ever_saw(
        self,
    ) -> None:
        """It was dead before the start, and is asked about all the time."""
        for _ in range(30):
            self.clock.advance(8)
            self.lose()
            self.up('a', 'x')
            self.clock.advance(8)
            self.confirm('a')
            self.up('a', 'x')
        self.assertEqual(['a'], self.up('a', 'x'))

    def test_a_dead_host_stays_dead_in_an_outage_after_a_rest(self) -> None:
        self.confirm('a', 'b', 'c')
        self.poll(1, 'a', 'b')
        self.clock.advance(600)
        self.lose()
        self.assertEqual(['a', 'b'], self.up('a', 'b', 'c'))


class IdleTest(MembershipTest):
    """Nobody has looked for long."""

    def test_two_failures_with_a_long_rest_between(self) -> None:
        self.confirm('a')
        self.clock.advance(30)
        self.lose()
        self.clock.advance(180)
        self.lose()
        self.assertEqual(['a'], self.up('a'))

    def test_but_not_for_ever(self) -> None:
        self.confirm('a')
        for _ in range(4):
            self.clock.advance(30)
            self.lose()
        self.assertEqual(['a'], self.up('a'))
        self.clock.advance(40)
        self.lose()
        self.assertEqual([], self.up('a'))

    def test_whoever_may_have_come_meanwhile_is_presumed_up(self) -> None:
        self.confirm('a')
        self.clock.advance(100)
        self.lose()
        self.assertEqual(['x'], self.up('x'))
        self.poll_blind(61)
        self.assertEqual([], self.up('x'))

    def test_not_if_somebody_has_just_looked(self) -> None:
        self.confirm('a')
        self.clock.advance(1)
        self.lose()
        self.assertEqual([], self.up('x'))

    def test_nor_who_was_found_dead(self) -> None:
        self.confirm('a')
        self.assertEqual([], self.up('x'))
        self.clock.advance(100)
        self.lose()
        self.assertEqual([], self.up('x'))

    def test_who_is_held_is_held_anew(self) -> None:
        self.confirm('a', 'b', 'c', 'd')
        self.poll(1, 'a')
        self.clock.advance(100)
        self.lose()
        self.assertEqual(['b'], self.up('b'))

    def test_a_read_that_hangs_makes_nobody_down_that_lived(self) -> None:
        self.confirm('a', 'b', 'c')
        self.poll(1, 'a', 'b')
        self.clock.advance(100)
        up = [
            host
            for host in 'acx'
            if self.members.judge(host, self.clock(), stale=True)
        ]
        self.assertEqual(['a', 'x'], up)
        self.confirm('a', 'b')
        self.assertEqual(['a'], self.up('a', 'c', 'x'))


class StartTest(MembershipTest):
    def test_blind_from_the_start_presumes_up_until_the_hold_time(
        self,
    ) -> None:
        self.lose()
        self.assertEqual(['a'], self.up('a'))
        self.poll_blind(61)
        self.assertEqual([], self.up('a'))

    def test_the_first_reading_ends_the_presumption(self) -> None:
        self.confirm('a')
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_after_an_outage_once_all_had_time_to_join_again(self) -> None:
        self.poll_blind(30)
        self.confirm('a')
        self.assertEqual(['a', 'b'], self.up('a', 'b'))
        self.poll(21, 'a')
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_an_emptied_backend_says_nothing_for_the_hold_time(self) -> None:
        self.confirm(**WIPED)
        self.assertEqual(['a'], self.up('a'))
        self.poll(59, **WIPED)
        self.assertEqual(['a'], self.up('a'))
        self.poll(2, **WIPED)
        self.assertEqual([], self.up('a'))


class DoubtTest(MembershipTest):
    """The backend may have lost members."""

    def test_those_that_an_emptied_backend_misses_are_held(self) -> None:
        self.confirm('a')
        self.assertEqual({'a': 'wiped'}, self.confirm(**WIPED).held)
        self.assertEqual('wiped', self.members.reason('a'))
        self.poll(60, **WIPED)
        self.assertEqual(['a'], self.up('a'))
        self.assertEqual({'a'}, self.poll(1, **WIPED)[0].expired)

    def test_an_emptied_group_that_is_asked_seldom(self) -> None:
        for pause in (7, 30, 90):
            self.begin()
            self.confirm('a')
            for _ in range(200 // pause + 2):
                self.clock.advance(pause)
                self.confirm(**WIPED)
                self.up('a', 'b')
            self.assertEqual([], self.up('a', 'b'), pause)

    def test_strangers_may_join_again_when_it_is_known_again(self) -> None:
        self.confirm('a')
        self.confirm(**WIPED)
        self.poll(1, 'a')
        self.assertEqual(['a', 'x'], self.up('a', 'x'))
        self.poll(21, 'a')
        self.assertEqual(['a'], self.up('a', 'x'))

    def test_who_leaves_after_that_is_down(self) -> None:
        self.confirm(**WIPED)
        self.poll(1, 'a')
        self.assertEqual({'a'}, self.poll(1)[0].down)

    def test_only_those_that_the_doubt_is_about(self) -> None:
        self.confirm('a', 'b', 'c', 'd')
        changes = self.confirm('a', 'b', doubt='mute', doubted={'c': 40.0})
        self.assertEqual({'c': 'mute'}, changes.held)
        self.assertEqual({'d'}, changes.down)
        self.poll(40, 'a', 'b')
        self.assertEqual(['c'], self.up('c', 'd'))
        self.poll(1, 'a', 'b')
        self.assertEqual([], self.up('c', 'd'))

    def test_a_doubt_about_a_stranger_holds_it(self) -> None:
        self.confirm('a', doubt='late', doubted={'b': 40.0})
        self.assertEqual(['b'], self.up('b', 'c'))

    def test_no_doubt_brings_the_dead_back(self) -> None:
        self.confirm('a', 'b', 'c')
        self.confirm('a', 'b')
        self.confirm('a', doubt='late', doubted={'b': 40.0, 'c': 40.0})
        self.assertEqual(['b'], self.up('b', 'c'))

    def test_it_is_held_once_though_the_doubt_goes_on(self) -> None:
        self.confirm('a', 'b')
        self.poll(61, 'a', doubt='evicts', doubted={'b': 60.0})
        self.assertEqual(['b'], self.up('b'))
        self.poll(1, 'a', doubt='evicts', doubted={'b': 60.0})
        self.assertEqual([], self.up('b'))

    def test_nobody_is_held_anew_who_is_held(self) -> None:
        self.confirm(*'abcd')
        self.poll(30, 'a')
        self.assertEqual(['b'], self.up('b'))
        self.poll(31, **WIPED)
        self.assertEqual(['a', 'b'], self.up('a', 'b'))
        self.poll(1, **WIPED)
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_a_doubt_at_the_end_of_an_outage_is_older_than_that(self) -> None:
        self.confirm('a', 'b')
        self.poll_blind(50)
        self.poll(1, 'a', doubt='emptied', doubted={'b': 60.0})
        self.poll(19, 'a')
        self.assertEqual(['b'], self.up('b'))
        self.poll(3, 'a')
        self.assertEqual([], self.up('b'))


class MassLossTest(MembershipTest):
    """More than half of a group is lost together."""

    def test_more_than_half_at_once_are_held(self) -> None:
        self.confirm('a', 'b', 'c', 'd', 'e')
        changes = self.confirm('a', 'b')
        self.assertEqual(
            dict.fromkeys('cde', evidence.MANY_LOST), changes.held
        )
        self.assertEqual(set('abcde'), set(self.up(*'abcde')))

    def test_half_are_down(self) -> None:
        self.confirm(*'abcdef')
        self.assertEqual({'d', 'e', 'f'}, self.confirm('a', 'b', 'c').down)

    def test_two_of_two_are_no_mass_loss(self) -> None:
        self.confirm('a', 'b')
        self.assertEqual({'a', 'b'}, self.confirm().down)

    def test_the_held_are_down_after_the_hold_time(self) -> None:
        self.confirm(*'abcde')
        self.poll(61, 'a')
        self.assertEqual(set('abcde'), set(self.up(*'abcde')))
        self.assertEqual({'b', 'c', 'd', 'e'}, self.poll(1, 'a')[0].expired)
        self.assertEqual(['a'], self.up(*'abcde'))

    def test_a_loss_spread_over_refreshes_is_one_loss(self) -> None:
        self.confirm(*'abcdefg')
        self.assertEqual({'g', 'f'}, self.poll(1, *'abcde')[0].down)
        changes = self.poll(1, *'abc')[0]
        self.assertEqual({'d', 'e'}, set(changes.held))
        # Those that were found dead before stay so.
        self.assertEqual(set('abcde'), set(self.up(*'abcdefg')))

    def test_losses_long_apart_are_not(self) -> None:
        self.confirm(*'abcdef')
        self.poll(30, 'a', 'b', 'c', 'd')
        self.assertEqual({'c', 'd'}, self.poll(1, 'a', 'b')[0].down)

    def test_those_that_came_back_do_not_count(self) -> None:
        self.confirm(*'abcdef')
        self.poll(1, 'a', 'b', 'c', 'd')
        self.poll(1, *'abcdef')
        self.assertEqual({'e', 'f'}, self.poll(1, *'abcd')[0].down)

    def test_the_held_come_back_without_a_word(self) -> None:
        self.confirm(*'abcd')
        self.confirm('a')
        changes = self.poll(1, *'abcd')[0]
        self.assertEqual(evidence.Changes(), changes)
        self.assertFalse(self.members.is_held('b'))


class LeftTest(MembershipTest):
    """Members that have said so, which no doubt is about."""

    def test_all_may_leave_at_once(self) -> None:
        self.confirm('a', 'b', 'c', 'd')
        self.clock.advance(1)
        changes = self.confirm('d', left={'a', 'b', 'c'})
        self.assertEqual({'a', 'b', 'c'}, changes.down)
        self.assertEqual(['d'], self.up('a', 'b', 'c', 'd'))

    def test_those_that_have_left_make_no_mass_loss(self) -> None:
        self.confirm('a', 'b', 'c', 'd')
        self.clock.advance(1)
        self.confirm('d', 'c', left={'a', 'b'})
        self.clock.advance(1)
        self.assertEqual({'c'}, self.confirm('d', left={'a', 'b'}).down)

    def test_whoever_is_lost_without_a_word_is_held(self) -> None:
        self.confirm(*'abcdefgh')
        self.clock.advance(1)
        changes = self.confirm('h', left={'a', 'b'})
        self.assertEqual({'a', 'b'}, changes.down)
        self.assertEqual(set('cdefg'), changes.held.keys())

    def test_one_that_is_held_leaves(self) -> None:
        self.confirm('a', 'b', 'c', 'd')
        self.clock.advance(1)
        self.confirm('d')
        self.assertEqual(['a', 'b', 'c'], self.up('a', 'b', 'c'))
        self.clock.advance(1)
        self.assertEqual({'a'}, self.confirm('d', left={'a'}).down)
        self.assertEqual(['b', 'c'], self.up('a', 'b', 'c'))

    def test_it_is_down_though_all_are_doubted(self) -> None:
        self.confirm('a', 'b')
        self.clock.advance(1)
        changes = self.confirm('b', left={'a'}, **WIPED)
        self.assertEqual({'a'}, changes.down)

    def test_it_comes_back(self) -> None:
        self.confirm('a', 'b')
        self.clock.advance(1)
        self.confirm('b', left={'a'})
        self.clock.advance(1)
        self.assertEqual({'a'}, self.confirm('a', 'b').up)
        self.assertEqual(['a'], self.up('a'))


class ConcurrencyTest(MembershipTest):
    """Another thread asks at any moment while a reading is taken."""

    def asked_meanwhile(self, call: Any, *hosts: str) -> set[str]:
        """Return the hosts that are down at any line that call runs."""
        down: set[str] = set()

        def trace(frame: types.FrameType, event: str, arg: Any) -> Any:
            if frame.f_code.co_filename != membership.__file__:
                return None
            sys.settrace(None)
            now = self.clock()
            down.update(
                host
                for host in hosts
                if self.members.recall(host, now) is False
                or not self.members.is_up(host, now)
            )
            sys.settrace(trace)
            return trace

        sys.settrace(trace)
        try:
            call()
        finally:
            sys.settrace(None)
        return down

    def test_the_first_members_are_never_down(self) -> None:
        down = self.asked_meanwhile(lambda: self.confirm('a', 'b'), 'a', 'b')
        self.assertEqual(set(), down)

    def test_those_that_are_held_are_never_down(self) -> None:
        self.confirm(*'abcd')
        down = self.asked_meanwhile(lambda: self.confirm('a'), *'abcd')
        self.assertEqual(set(), down)

    def test_those_that_come_back_are_never_down(self) -> None:
        self.confirm(*'abcd')
        self.confirm('a')
        down = self.asked_meanwhile(lambda: self.confirm(*'abcd'), *'abcd')
        self.assertEqual(set(), down)

    def test_nobody_is_down_when_contact_is_back(self) -> None:
        self.confirm(*'abcd')
        self.poll_blind(30)
        down = self.asked_meanwhile(lambda: self.confirm('a', 'b'), *'abcd')
        self.assertEqual(set(), down)
