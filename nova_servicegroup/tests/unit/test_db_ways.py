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


"""The transitions of the ways of a heartbeat, without any clock."""

import dataclasses

from nova_servicegroup.drivers.db import rules
from nova_servicegroup.drivers.db import ways
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

RULES = rules.Rules(10.0, 60.0)


class WaysTest(base.TestCase):
    """Outcomes, one after the other, ten seconds apart."""

    def setUp(self) -> None:
        super().setUp()
        self.state = ways.first(RULES, self.clock())

    def after(
        self, *kinds: ways.Kind, chance: float = 0.0, took: float = 0.0
    ) -> ways.State:
        for kind in kinds:
            begun, ended = self.clock(), self.clock.advance(took)
            outcome = ways.Outcome(kind, begun, ended, chance)
            self.state = ways.next(self.state, outcome)
            self.clock.now = begun + RULES.interval
        return self.state

    def test_something_follows_from_each_outcome_in_each_way(self) -> None:
        for way in ways.Way:
            for kind in ways.Kind:
                state = dataclasses.replace(self.state, way=way)
                outcome = ways.Outcome(kind, 1000.0, 1001.0)
                self.assertIn(ways.next(state, outcome).way, ways.Way)

    def test_it_changes_nothing_but_what_it_returns(self) -> None:
        first = dataclasses.replace(self.state)
        for kind in ways.Kind:
            ways.next(self.state, ways.Outcome(kind, 1000.0, 1001.0))
        self.assertEqual(first, self.state)

    def test_an_answer_leads_to_the_collector_from_everywhere(self) -> None:
        for kind in ways.Kind:
            self.after(kind)
            self.assertEqual(
                ways.Way.COLLECTOR, self.after(ways.Kind.WRITTEN).way
            )

    def test_one_that_is_of_no_use_leads_to_nova_from_everywhere(self) -> None:
        for kind in ways.Kind:
            self.after(kind)
            self.assertEqual(ways.Way.NOVA, self.after(ways.Kind.REFUSED).way)

    def test_whatever_is_raised_leads_somewhere(self) -> None:
        for error, kind in (
            (exceptions.BackendTimeout('a', 'b'), ways.Kind.LATE),
            (exceptions.BackendUnreachable('a', 'b'), ways.Kind.UNREACHABLE),
            (exceptions.BackendError('a', 'b'), ways.Kind.REFUSED),
            (KeyError('now'), ways.Kind.REFUSED),
            (TypeError(), ways.Kind.REFUSED),
        ):
            self.assertEqual(kind, ways.kind_of(error))

    def test_late_ones_are_left_out_until_one_more_would_be_too_late(
        self,
    ) -> None:
        self.after(ways.Kind.WRITTEN)
        found = [self.after(ways.Kind.LATE).way for _ in range(4)]
        self.assertEqual([ways.Way.LATE] * 3 + [ways.Way.NOVA], found)

    def test_one_that_is_behind_has_more_time(self) -> None:
        self.after(ways.Kind.BEHIND)
        found = [self.after(ways.Kind.LATE).way for _ in range(10)]
        self.assertEqual([ways.Way.LATE] * 9 + [ways.Way.NOVA], found)

    def test_an_unreachable_queue_is_not_left_to_nova_for_long(self) -> None:
        self.after(ways.Kind.WRITTEN)
        found = [self.after(ways.Kind.UNREACHABLE).way for _ in range(30)]
        self.assertEqual([ways.Way.UNREACHABLE] * 29 + [ways.Way.NOVA], found)

    def test_the_pause_before_the_next_question_grows_to_its_end(self) -> None:
        pauses = [
            self.after(ways.Kind.REFUSED).ask_at - (self.clock() - 10.0)
            for _ in range(2000)
        ]
        self.assertEqual([0.5, 1.0, 2.0], pauses[:3])
        self.assertEqual(300.0, pauses[-1])

    def test_so_does_that_before_a_slow_nova_writes_again(self) -> None:
        pauses = [
            self.after(ways.Kind.UNSAVED, chance=1.0).save_at
            - (self.clock() - 10.0)
            for _ in range(2000)
        ]
        self.assertEqual([60.0, 120.0, 240.0, 450.0], pauses[:4])
        self.assertEqual(450.0, pauses[-1])

    def test_nova_is_slow_if_it_takes_a_tenth_of_an_interval(self) -> None:
        for took, slow in ((0.9, False), (1.0, False), (1.1, True)):
            begun = self.clock()
            state = self.after(ways.Kind.SAVED, took=took)
            self.assertEqual(slow, state.save_at > begun, took)

    def test_however_slow_nova_is_what_it_writes_is_written_in_time(
        self,
    ) -> None:
        for interval, down_time in ((10, 60), (2, 10), (2, 12), (30, 120)):
            given = rules.Rules(interval, down_time)
            state = ways.first(given, 0.0)
            for number in range(20):
                took = 0.2 * interval
                outcome = ways.Outcome(ways.Kind.SAVED, 0.0, took, number / 20)
                state = ways.next(state, outcome)
                next_beat = state.save_at + interval
                written = next_beat + given.wait + took
                self.assertLess(written, down_time, given)
                self.assertGreaterEqual(state.save_at, given.latest / 2)

    def test_one_that_writes_nothing_is_left_alone_for_long(self) -> None:
        state = self.after(ways.Kind.WRITTEN, ways.Kind.UNWRITTEN)
        self.assertEqual(ways.Way.NOVA, state.way)
        self.assertEqual(290.0, state.ask_at - self.clock())

    def test_after_any_outcomes_a_heartbeat_is_written_in_time(self) -> None:
        """Unless the queue is away, Nova's turn comes, however it began."""
        for kind in ways.Kind:
            self.after(kind, kind)
            for last in (ways.Kind.LATE, ways.Kind.REFUSED):
                found = {self.after(last).way for _ in range(60)}
                self.assertIn(ways.Way.NOVA, found, (kind, last))

    def test_who_may_leave_heartbeats_out(self) -> None:
        self.assertEqual(10.0, rules.Rules(10.0, 40.0).put_off)
        self.assertEqual(0.0, rules.Rules(10.0, 39.0).put_off)

    def test_what_was_answered_well_is_followed_by_some_without(self) -> None:
        self.after(ways.Kind.WRITTEN, chance=1.0)
        found = []
        for _ in range(10):
            found.append(self.state.is_silent(self.clock()))
            self.after(ways.Kind.SENT if found[-1] else ways.Kind.WRITTEN)
        one = [True, True, False]
        self.assertEqual([*one, *one, *one, True], found)

    def test_only_while_all_is_well(self) -> None:
        for kind in set(ways.Kind) - {ways.Kind.WRITTEN, ways.Kind.SENT}:
            self.after(ways.Kind.WRITTEN, ways.Kind.WRITTEN)
            self.assertTrue(self.state.is_silent(self.clock()))
            state = self.after(kind, chance=1.0)
            self.assertFalse(state.is_silent(self.clock()), kind)

    def test_one_that_nobody_asks_about_changes_little(self) -> None:
        before = self.after(ways.Kind.WRITTEN, ways.Kind.WRITTEN)
        after = self.after(ways.Kind.SENT)
        reached = dataclasses.replace(before, reached_at=after.reached_at)
        self.assertEqual(reached, after)

    def test_a_silent_one_that_cannot_be_sent_is_tried_again(self) -> None:
        self.after(ways.Kind.WRITTEN, ways.Kind.WRITTEN)
        state = self.after(ways.Kind.UNREACHABLE)
        self.assertFalse(state.is_resting(self.clock()))
        self.assertEqual(ways.Way.UNREACHABLE, state.way)

    def test_those_that_begin_together_ask_at_different_times(self) -> None:
        counts = [0] * 3
        for number in range(90):
            self.state = ways.first(RULES, self.clock())
            self.after(ways.Kind.WRITTEN, chance=(number + 0.5) / 90)
            silent = 0
            while self.state.is_silent(self.clock()):
                silent += 1
                self.after(ways.Kind.SENT)
            counts[silent] += 1
        self.assertEqual([30, 30, 30], counts)

    def test_so_they_do_after_an_outage(self) -> None:
        self.after(ways.Kind.WRITTEN, ways.Kind.WRITTEN, ways.Kind.LATE)
        self.after(ways.Kind.WRITTEN, chance=0.0)
        self.assertFalse(self.state.is_silent(self.clock()))

    def test_who_asks_after_the_silence_is_as_patient_as_ever(self) -> None:
        self.after(ways.Kind.WRITTEN, ways.Kind.WRITTEN, took=6.0)
        while self.state.is_silent(self.clock()):
            self.after(ways.Kind.SENT)
        found = [self.after(ways.Kind.LATE).way for _ in range(3)]
        self.assertEqual([ways.Way.LATE, ways.Way.LATE, ways.Way.NOVA], found)

    def test_how_long_nobody_asks(self) -> None:
        for interval, down_time, silence in (
            (10.0, 60.0, 30.0),
            # No time for that, or hardly any.
            (10.0, 39.0, 0.0),
            (20.0, 60.0, 0.0),
            (10.0, 40.0, 10.0),
            # And no longer than makes sense.
            (5.0, 60.0, 30.0),
            (10.0, 600.0, 60.0),
            (1.0, 4.0, 1.0),
        ):
            found = rules.Rules(interval, down_time).silence
            self.assertEqual(silence, found, (interval, down_time))
