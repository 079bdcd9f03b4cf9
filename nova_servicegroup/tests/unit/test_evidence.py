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

from typing import Any

from nova_servicegroup import evidence
from nova_servicegroup.tests import base

NOW = 1000.0
HOLD = 60.0


class ContactTest(base.TestCase):
    """Tests of an observer's contact with the backend."""

    def setUp(self) -> None:
        super().setUp()
        self.contact = evidence.Contact(NOW)

    def test_an_outage_is_as_long_as_nothing_was_confirmed(self) -> None:
        self.contact.confirm(NOW)
        self.assertEqual(0.0, self.contact.outage(NOW + 9))
        self.contact.lose(NOW + 9, NOW + 9 + HOLD)
        self.assertEqual(10.0, self.contact.outage(NOW + 10))

    def test_without_a_confirmation_it_began_with_the_first_failure(
        self,
    ) -> None:
        self.contact.lose(NOW + 9, NOW + 9 + HOLD)
        self.assertEqual(1.0, self.contact.outage(NOW + 10))

    def test_a_reading_ends_it(self) -> None:
        self.contact.lose(NOW, NOW + HOLD)
        self.contact.confirm(NOW + 1)
        self.assertIsNone(self.contact.blind_since)
        self.assertGreater(self.contact.present_until, NOW + 999 * HOLD)
        self.assertEqual(NOW + 1, self.contact.asked)
        self.assertEqual(0.0, self.contact.outage(NOW + 2))

    def test_restarts_are_counted_until_a_reading_ends_the_blindness(
        self,
    ) -> None:
        for number in range(3):
            self.contact.lose(NOW + number, NOW + number + HOLD)
            self.assertEqual(number, self.contact.restarts)
            self.assertEqual(NOW + number, self.contact.blind_since)
        self.contact.confirm(NOW + 3)
        self.assertEqual(0, self.contact.restarts)
        self.contact.lose(NOW + 4, NOW + 4 + HOLD)
        self.assertEqual(0, self.contact.restarts)

    def test_it_is_settled_unless_it_is_settling_or_doubtful(self) -> None:
        self.assertTrue(self.contact.is_settled(NOW))
        self.contact.settling_until = NOW
        self.assertFalse(self.contact.is_settled(NOW))
        self.assertTrue(self.contact.is_settled(NOW + 1))
        self.contact.doubtful_until = NOW + 1
        self.assertFalse(self.contact.is_settled(NOW + 1))

    def test_a_live_host_may_be_unknown_until_it_is_settled(self) -> None:
        self.contact.held_until = NOW + 10
        self.assertLess(self.contact.unsettled_until(NOW), NOW)
        self.contact.doubtful_until = NOW + 20
        for now in (NOW, NOW + 20):
            self.assertEqual(NOW + 10, self.contact.unsettled_until(now))
        self.assertLess(self.contact.unsettled_until(NOW + 21), NOW)


class DoubtTest(base.TestCase):
    """Tests of why absence is no evidence for any host."""

    def setUp(self) -> None:
        super().setUp()
        self.contact = evidence.Contact(NOW, confirmed=NOW)

    def doubt(
        self, *present: str, lost: int = 1, **how: Any
    ) -> tuple[str, float] | None:
        reading = evidence.Reading(set(present), **how)
        return evidence.doubt(reading, self.contact, lost, NOW, HOLD)

    def test_there_is_none_while_all_is_well(self) -> None:
        self.assertIsNone(self.doubt('a'))

    def test_of_the_reading_itself(self) -> None:
        self.assertEqual(('wiped', NOW + HOLD), self.doubt(doubt='wiped'))

    def test_one_about_some_hosts_is_none_about_the_others(self) -> None:
        for doubted in ({}, {'b': 5.0}):
            found = self.doubt('a', doubt='mute', doubted=doubted)
            self.assertIsNone(found)

    def test_most_are_lost_and_three_at_least(self) -> None:
        many = (evidence.MANY_LOST, NOW + HOLD)
        self.assertEqual(many, self.doubt(lost=3))
        self.assertEqual(many, self.doubt('a', 'b', lost=3))
        self.assertIsNone(self.doubt(lost=2))
        self.assertIsNone(self.doubt('a', 'b', 'c', lost=3))

    def test_an_outage_was_over_a_moment_ago(self) -> None:
        self.contact.settling_until, self.contact.held_until = NOW, NOW + 7
        unsettled = (evidence.UNSETTLED, NOW + 7)
        self.assertEqual(unsettled, self.doubt('a'))
        # Which is not the reason for what happens later.
        self.assertEqual('wiped', self.doubt(doubt='wiped')[0])
        self.contact.settling_until = NOW - 1
        self.assertIsNone(self.doubt('a'))

    def test_what_is_lost_in_an_outage_is_held_from_its_beginning(
        self,
    ) -> None:
        """Whatever else the reading that ends it says."""
        self.contact.lose(NOW - 50, NOW - 50 + HOLD)
        self.contact.settling_until = self.contact.held_until = NOW + 20
        unsettled = (evidence.UNSETTLED, NOW + 20)
        self.assertEqual(unsettled, self.doubt(doubt='wiped'))
        self.assertEqual(unsettled, self.doubt(lost=9))
        self.assertEqual(NOW + 20, self.contact.outage_until(NOW))
