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

from nova_servicegroup import condition
from nova_servicegroup import domains
from nova_servicegroup import evidence
from nova_servicegroup import membership
from nova_servicegroup.tests import base

HOLD = 60.0
SETTLE = 20.0
WIPED: dict[str, Any] = {'doubt': 'wiped', 'complete': False}


class MembershipTest(base.TestCase):
    """One observer, which asks as often as a test needs."""

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

    def fail_read(self) -> evidence.Changes:
        return self.members.fail(self.clock())

    def up(self, *hosts: str) -> list[str]:
        """Return the hosts that are up, as a question after a reading does."""
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
        """Confirm a reading each second."""
        changes = []
        for _ in range(seconds):
            self.clock.advance(1)
            changes.append(self.confirm(*hosts, **how))
        return changes

    def poll_blind(self, seconds: int) -> list[evidence.Changes]:
        """Fail to read each second."""
        changes = []
        for _ in range(seconds):
            self.clock.advance(1)
            changes.append(self.fail_read())
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

    def test_an_unknown_host_found_absent_is_up_when_it_joins(self) -> None:
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

    def test_expiry_is_reported_once(self) -> None:
        self.confirm('a')
        expired = [c.expired for c in self.poll_blind(70) if c.expired]
        self.assertEqual([{'a'}], expired)

    def test_the_expired_are_up_again_when_confirmed(self) -> None:
        self.confirm('a')
        self.poll_blind(70)
        self.assertEqual({'a'}, self.confirm('a').up)
        self.assertEqual(['a'], self.up('a'))

    def test_a_member_back_at_the_end_of_its_hold_was_never_down(self) -> None:
        self.confirm('a')
        self.fail_read()
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

    def test_missing_members_have_time_to_rejoin(self) -> None:
        self.confirm('a', 'b')
        self.poll_blind(59)
        self.poll(18, 'a')
        self.assertEqual(['b'], self.up('b'))
        self.poll(4, 'a')
        self.assertEqual([], self.up('b'))

    def test_missing_members_are_held_no_longer_than_hold_time(self) -> None:
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

    def test_a_short_failure_is_no_outage(self) -> None:
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

    def test_a_member_dying_among_outages_is_down_after_hold_time(
        self,
    ) -> None:
        self.confirm('a', 'b')
        for _ in range(3):
            self.poll_blind(6)
            self.poll(14, 'a')
        self.poll_blind(6)
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_a_member_dying_among_outages_after_rests_is_down(self) -> None:
        """There is no read for some seconds before each outage."""
        self.confirm('a', 'b')
        for _ in range(30):
            self.clock.advance(8)
            self.fail_read()
            self.up('a', 'b')
            self.clock.advance(8)
            self.confirm('a')
            self.up('a', 'b')
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_outages_do_not_keep_an_unknown_host_up_for_ever(self) -> None:
        """It was dead before the start, and questions about it never end."""
        for _ in range(30):
            self.clock.advance(8)
            self.fail_read()
            self.up('a', 'x')
            self.clock.advance(8)
            self.confirm('a')
            self.up('a', 'x')
        self.assertEqual(['a'], self.up('a', 'x'))

    def test_a_dead_host_stays_dead_in_an_outage_after_a_rest(self) -> None:
        self.confirm('a', 'b', 'c')
        self.poll(1, 'a', 'b')
        self.clock.advance(600)
        self.fail_read()
        self.assertEqual(['a', 'b'], self.up('a', 'b', 'c'))


class IdleTest(MembershipTest):
    """There was no question for long."""

    def test_two_failures_with_a_long_rest_between(self) -> None:
        self.confirm('a')
        self.clock.advance(30)
        self.fail_read()
        self.clock.advance(180)
        self.fail_read()
        self.assertEqual(['a'], self.up('a'))

    def test_rests_do_not_keep_a_member_up_for_ever(self) -> None:
        self.confirm('a')
        for _ in range(4):
            self.clock.advance(30)
            self.fail_read()
        self.assertEqual(['a'], self.up('a'))
        self.clock.advance(40)
        self.fail_read()
        self.assertEqual([], self.up('a'))

    def test_an_unknown_host_is_presumed_up_after_a_rest(self) -> None:
        self.confirm('a')
        self.clock.advance(100)
        self.fail_read()
        self.assertEqual(['x'], self.up('x'))
        self.poll_blind(61)
        self.assertEqual([], self.up('x'))

    def test_an_unknown_host_is_down_without_a_rest(self) -> None:
        self.confirm('a')
        self.clock.advance(1)
        self.fail_read()
        self.assertEqual([], self.up('x'))

    def test_a_host_found_dead_is_down_after_a_rest(self) -> None:
        self.confirm('a')
        self.assertEqual([], self.up('x'))
        self.clock.advance(100)
        self.fail_read()
        self.assertEqual([], self.up('x'))

    def test_the_hold_of_a_held_host_starts_anew_after_a_rest(self) -> None:
        self.confirm('a', 'b', 'c', 'd')
        self.poll(1, 'a')
        self.clock.advance(100)
        self.fail_read()
        self.assertEqual(['b'], self.up('b'))

    def test_a_read_that_hangs_makes_no_live_host_down(self) -> None:
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
        self.fail_read()
        self.assertEqual(['a'], self.up('a'))
        self.poll_blind(61)
        self.assertEqual([], self.up('a'))

    def test_the_first_reading_ends_the_presumption(self) -> None:
        self.confirm('a')
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_after_an_outage_it_ends_when_all_had_time_to_rejoin(self) -> None:
        self.poll_blind(30)
        self.confirm('a')
        self.assertEqual(['a', 'b'], self.up('a', 'b'))
        self.poll(21, 'a')
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_an_emptied_backend_is_no_evidence_for_hold_time(self) -> None:
        self.confirm(**WIPED)
        self.assertEqual(['a'], self.up('a'))
        self.poll(59, **WIPED)
        self.assertEqual(['a'], self.up('a'))
        self.poll(2, **WIPED)
        self.assertEqual([], self.up('a'))


class DoubtTest(MembershipTest):
    """The backend may have lost members."""

    def test_members_missing_from_an_emptied_backend_are_held(self) -> None:
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

    def test_unknown_hosts_may_rejoin_after_a_complete_reading(self) -> None:
        self.confirm('a')
        self.confirm(**WIPED)
        self.poll(1, 'a')
        self.assertEqual(['a', 'x'], self.up('a', 'x'))
        self.poll(21, 'a')
        self.assertEqual(['a'], self.up('a', 'x'))

    def test_a_member_lost_after_that_is_down(self) -> None:
        self.confirm(**WIPED)
        self.poll(1, 'a')
        self.assertEqual({'a'}, self.poll(1)[0].down)

    def test_only_doubted_hosts_are_held(self) -> None:
        self.confirm('a', 'b', 'c', 'd')
        changes = self.confirm('a', 'b', doubt='mute', doubted={'c': 40.0})
        self.assertEqual({'c': 'mute'}, changes.held)
        self.assertEqual({'d'}, changes.down)
        self.poll(40, 'a', 'b')
        self.assertEqual(['c'], self.up('c', 'd'))
        self.poll(1, 'a', 'b')
        self.assertEqual([], self.up('c', 'd'))

    def test_a_doubted_unknown_host_is_held(self) -> None:
        self.confirm('a', doubt='late', doubted={'b': 40.0})
        self.assertEqual(['b'], self.up('b', 'c'))

    def test_a_doubt_does_not_revive_a_dead_host(self) -> None:
        self.confirm('a', 'b', 'c')
        self.confirm('a', 'b')
        self.confirm('a', doubt='late', doubted={'b': 40.0, 'c': 40.0})
        self.assertEqual(['b'], self.up('b', 'c'))

    def test_a_dead_host_that_has_renewed_since_is_held(self) -> None:
        self.confirm('a', 'b', 'c')
        self.confirm('a', 'b')
        late = {'doubt': 'late', 'doubted': {'b': 40.0, 'c': 40.0}}
        changes = self.confirm('a', renewed={'c'}, **late)
        self.assertEqual({'b': 'late', 'c': 'late'}, changes.held)
        self.assertEqual(['b', 'c'], self.up('b', 'c'))
        self.poll(41, 'a')
        self.assertEqual([], self.up('b', 'c'))

    def test_a_dead_host_that_is_late_without_doubt_stays_down(self) -> None:
        self.confirm('a', 'b', 'c')
        self.confirm('a', 'b')
        self.confirm('a', 'b', renewed={'c'})
        self.assertEqual([], self.up('c'))

    def test_it_is_held_once_though_the_doubt_goes_on(self) -> None:
        self.confirm('a', 'b')
        self.poll(61, 'a', doubt='evicts', doubted={'b': 60.0})
        self.assertEqual(['b'], self.up('b'))
        self.poll(1, 'a', doubt='evicts', doubted={'b': 60.0})
        self.assertEqual([], self.up('b'))

    def test_the_hold_of_a_held_host_does_not_start_anew(self) -> None:
        self.confirm(*'abcd')
        self.poll(30, 'a')
        self.assertEqual(['b'], self.up('b'))
        self.poll(31, **WIPED)
        self.assertEqual(['a', 'b'], self.up('a', 'b'))
        self.poll(1, **WIPED)
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_a_doubt_at_the_end_of_an_outage_adds_no_time(self) -> None:
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

    def test_losses_long_apart_are_no_mass_loss(self) -> None:
        self.confirm(*'abcdef')
        self.poll(30, 'a', 'b', 'c', 'd')
        self.assertEqual({'c', 'd'}, self.poll(1, 'a', 'b')[0].down)

    def test_members_that_came_back_do_not_count(self) -> None:
        self.confirm(*'abcdef')
        self.poll(1, 'a', 'b', 'c', 'd')
        self.poll(1, *'abcdef')
        self.assertEqual({'e', 'f'}, self.poll(1, *'abcd')[0].down)

    def test_held_members_come_back_without_a_change(self) -> None:
        self.confirm(*'abcd')
        self.confirm('a')
        changes = self.poll(1, *'abcd')[0]
        self.assertEqual(evidence.Changes(), changes)
        self.assertFalse(self.members.is_held('b'))


class DomainTest(MembershipTest):
    """More than half of a domain is lost together, but not of the group."""

    RACK = dict.fromkeys('abcd', 'rack1')
    OTHER = dict.fromkeys('efghij', 'rack2')
    #: The hosts of both; one more, x, has none.
    ALL = 'abcdefghij'

    def begin(self, hold_time: float = HOLD) -> None:
        super().begin(hold_time)
        self.see(self.ALL + 'x')

    def see(self, hosts: str, **how: Any) -> evidence.Changes:
        """Confirm a reading a second later."""
        self.clock.advance(1)
        domains = {**self.RACK, **self.OTHER}
        found = {host: domains[host] for host in hosts if host in domains}
        return self.confirm(*hosts, domains=found, **how)

    def test_it_is_held_as_a_whole(self) -> None:
        changes = self.see('defghijx')
        self.assertEqual(
            dict.fromkeys('abc', domains.reason('rack1')), changes.held
        )
        self.assertEqual(set(), changes.down)
        self.assertEqual(list(self.ALL), self.up(*self.ALL))

    def test_the_others_are_judged_as_ever(self) -> None:
        self.assertEqual({'x'}, self.see('defghij').down)
        self.assertEqual(list(self.ALL), self.up(*self.ALL, 'x'))

    def test_it_is_down_after_the_hold_time(self) -> None:
        self.see('defghijx')
        for _ in range(60):
            self.assertEqual(set(), self.see('defghijx').expired)
        self.assertEqual(set('abc'), self.see('defghijx').expired)

    def test_half_of_it_is_down_when_no_more_is_lost(self) -> None:
        changes = self.see('abcdhijx')
        self.assertEqual(dict.fromkeys('efg', domains.AWAITED), changes.held)
        for _ in range(11):
            self.assertEqual(evidence.Changes(), self.see('abcdhijx'))
        changes = self.see('abcdhijx')
        self.assertEqual((set('efg'), set()), (changes.down, changes.expired))
        self.assertEqual(list('abcdhij'), self.up(*self.ALL))

    def test_a_loss_spread_over_readings_is_one(self) -> None:
        self.assertEqual(set(), self.see('cdefghijx').down)
        for _ in range(10):
            self.assertEqual(evidence.Changes(), self.see('cdefghijx'))
        changes = self.see('defghijx')
        self.assertEqual(
            dict.fromkeys('abc', domains.reason('rack1')), changes.held
        )
        for _ in range(60):
            self.see('defghijx')
            self.assertEqual(list(self.ALL), self.up(*self.ALL))
        self.assertEqual(set('abc'), self.see('defghijx').expired)

    def test_losses_long_apart_are_several(self) -> None:
        for lost in range(1, 4):
            for _ in range(25):
                self.see(self.ALL[lost:] + 'x')
            self.assertEqual(list(self.ALL[lost:]), self.up(*self.ALL))

    def test_one_that_is_awaited_may_return(self) -> None:
        self.see('bcdefghijx')
        self.assertEqual(evidence.Changes(), self.see(self.ALL + 'x'))
        self.assertEqual(list(self.ALL), self.up(*self.ALL))

    def test_one_that_is_awaited_is_down_without_a_reading(self) -> None:
        self.see('bcdefghijx')
        self.clock.advance(11)
        self.assertEqual(['a'], self.up('a'))
        self.clock.advance(1)
        self.assertEqual([], self.up('a'))

    def test_after_a_long_time_without_readings_none_is_awaited(self) -> None:
        self.clock.advance(SETTLE)
        self.assertEqual({'a'}, self.see('bcdefghijx').down)

    def test_a_process_that_asks_seldom_holds_it_as_a_whole(self) -> None:
        self.clock.advance(12)
        self.assertEqual(set(), self.see('bcdefghijx').down)
        self.assertEqual(set(), self.see('defghijx').down)
        self.assertEqual(list(self.ALL), self.up(*self.ALL))

    def test_one_that_is_most_of_the_group_is_held_as_a_whole(self) -> None:
        self.members = membership.Membership(self.clock(), HOLD, SETTLE)
        self.confirm(*'abcdxy', domains=self.RACK)
        self.clock.advance(1)
        self.confirm(*'bcdxy', domains=self.RACK)
        self.clock.advance(1)
        changes = self.confirm(*'dx', domains={'d': 'rack1'})
        why = domains.reason('rack1')
        held = {'y': evidence.MANY_LOST, **dict.fromkeys('abc', why)}
        self.assertEqual(held, changes.held)

    def test_awaited_hosts_are_held_when_more_of_the_group_are_lost(
        self,
    ) -> None:
        self.see('bcdefghijx')
        changes = self.see('bx')
        self.assertNotIn('a', changes.down)
        self.poll(20, 'b', 'x')
        self.assertEqual(['a'], self.up('a'))

    def test_one_that_joins_without_a_domain_has_none(self) -> None:
        self.see('bcdefghijx')
        known = {**self.RACK, **self.OTHER}
        del known['a']
        self.confirm(*'bcdefghijx', domains=known)
        self.clock.advance(30)
        self.confirm(*self.ALL, 'x', domains=known)
        self.assertIsNone(self.members.domains.of('a'))

    def test_one_that_stops_is_not_awaited(self) -> None:
        stops = condition.Condition(condition.DRAINING, 'stopping', 0.0)
        self.see(self.ALL + 'x', unfit={'a': stops})
        changes = self.see('cdefghijx')
        self.assertEqual(({'a'}, {'b'}), (changes.down, set(changes.held)))

    def test_one_that_was_ended_is_not_awaited(self) -> None:
        changes = self.see('cdefghijx', ended={'a'})
        self.assertEqual(({'a'}, {'b'}), (changes.down, set(changes.held)))

    def test_those_that_were_ended_count(self) -> None:
        self.see('bcdefghijx', ended={'a'})
        changes = self.see('defghijx')
        self.assertEqual(
            dict.fromkeys('bc', domains.reason('rack1')), changes.held
        )
        self.assertEqual(list(self.ALL[1:]), self.up(*self.ALL))

    def test_they_are_down_though_the_domain_is_lost(self) -> None:
        changes = self.see('defghijx', ended=set('ab'))
        self.assertEqual(set('ab'), changes.down)
        self.assertEqual({'c': domains.reason('rack1')}, changes.held)

    def test_they_are_down_whenever_they_were_ended(self) -> None:
        self.see('bcdefghijx', ended={'a'})
        self.see('cdefghijx', ended={'b'})
        self.see('defghijx', ended={'c'})
        self.assertEqual(list('defghij'), self.up(*self.ALL))

    def test_those_that_have_left_do_not_count(self) -> None:
        changes = self.see('defghijx', left={'a'})
        self.assertEqual({'a'}, changes.down)
        self.assertEqual(dict.fromkeys('bc', domains.AWAITED), changes.held)

    def test_two_hosts_are_no_domain(self) -> None:
        for _ in range(30):
            self.see('abefghijx')
        self.assertEqual({'a', 'b'}, self.see('efghijx').down)

    def test_hosts_without_one_are_judged_as_ever(self) -> None:
        self.confirm(*'abcdefghij')
        self.assertEqual({'a', 'b', 'c'}, self.confirm(*'defghij').down)

    def test_a_host_that_moves_counts_where_it_is(self) -> None:
        moved = {**self.RACK, **self.OTHER, 'a': 'rack2'}
        self.confirm(*self.ALL, 'x', domains=moved)
        del moved['b'], moved['c']
        changes = self.confirm(*'adefghijx', domains=dict(moved))
        self.assertEqual(dict.fromkeys('bc', domains.AWAITED), changes.held)

    def test_the_domain_of_a_missing_host_is_known(self) -> None:
        self.see('bcdefghijx')
        self.assertEqual('rack1', self.members.domains.of('a'))
        self.assertEqual('rack2', self.members.domains.of('j'))
        self.assertIsNone(self.members.domains.of('y'))


class LeftTest(MembershipTest):
    """Members that announce that they leave: no doubt is about them."""

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

    def test_members_lost_without_leaving_are_held(self) -> None:
        self.confirm(*'abcdefgh')
        self.clock.advance(1)
        changes = self.confirm('h', left={'a', 'b'})
        self.assertEqual({'a', 'b'}, changes.down)
        self.assertEqual(set('cdefg'), changes.held.keys())

    def test_a_held_member_may_leave(self) -> None:
        self.confirm('a', 'b', 'c', 'd')
        self.clock.advance(1)
        self.confirm('d')
        self.assertEqual(['a', 'b', 'c'], self.up('a', 'b', 'c'))
        self.clock.advance(1)
        self.assertEqual({'a'}, self.confirm('d', left={'a'}).down)
        self.assertEqual(['b', 'c'], self.up('a', 'b', 'c'))

    def test_a_member_that_left_is_down_in_spite_of_doubt(self) -> None:
        self.confirm('a', 'b')
        self.clock.advance(1)
        changes = self.confirm('b', left={'a'}, **WIPED)
        self.assertEqual({'a'}, changes.down)

    def test_a_member_that_left_comes_back(self) -> None:
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

    def test_no_member_is_down_when_contact_is_recovered(self) -> None:
        self.confirm(*'abcd')
        self.poll_blind(30)
        down = self.asked_meanwhile(lambda: self.confirm('a', 'b'), *'abcd')
        self.assertEqual(set(), down)
