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


"""Transitions of the state machine of heartbeats."""

import dataclasses

from nova_servicegroup.drivers.db import rules
from nova_servicegroup.drivers.db import states
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

TIMING = rules.Timing(10.0, 60.0)


class StatesTest(base.TestCase):
    """A sequence of outcomes, ten seconds apart."""

    def setUp(self) -> None:
        super().setUp()
        self.state = states.first(TIMING, self.clock())

    def after(
        self, *kinds: states.Kind, chance: float = 0.0, took: float = 0.0
    ) -> states.State:
        for kind in kinds:
            begun, ended = self.clock(), self.clock.advance(took)
            outcome = states.Outcome(kind, begun, ended, chance)
            self.state = states.next(self.state, outcome)
            self.clock.now = begun + TIMING.interval
        return self.state

    def test_each_outcome_has_a_transition_from_each_way(self) -> None:
        for writer in states.Writer:
            for kind in states.Kind:
                state = dataclasses.replace(self.state, writer=writer)
                outcome = states.Outcome(kind, 1000.0, 1001.0)
                self.assertIn(
                    states.next(state, outcome).writer, states.Writer
                )

    def test_a_transition_does_not_change_its_state(self) -> None:
        first = dataclasses.replace(self.state)
        for kind in states.Kind:
            states.next(self.state, states.Outcome(kind, 1000.0, 1001.0))
        self.assertEqual(first, self.state)

    def test_an_answer_leads_to_the_collector_from_everywhere(self) -> None:
        for kind in states.Kind:
            self.after(kind)
            self.assertEqual(
                states.Writer.COLLECTOR, self.after(states.Kind.WRITTEN).writer
            )

    def test_a_refusal_leads_to_nova_from_everywhere(self) -> None:
        for kind in states.Kind:
            self.after(kind)
            self.assertEqual(
                states.Writer.NOVA, self.after(states.Kind.REFUSED).writer
            )

    def test_each_error_has_a_kind(self) -> None:
        for error, kind in (
            (exceptions.BackendTimeout('a', 'b'), states.Kind.LATE),
            (exceptions.BackendUnreachable('a', 'b'), states.Kind.UNREACHABLE),
            (exceptions.BackendError('a', 'b'), states.Kind.REFUSED),
            (KeyError('now'), states.Kind.REFUSED),
            (TypeError(), states.Kind.REFUSED),
        ):
            self.assertEqual(kind, states.kind_of(error))

    def test_late_ones_are_left_out_until_another_is_too_late(self) -> None:
        self.after(states.Kind.WRITTEN)
        found = [self.after(states.Kind.LATE).writer for _ in range(4)]
        self.assertEqual(
            [states.Writer.LATE_COLLECTOR] * 3 + [states.Writer.NOVA], found
        )

    def test_collectors_that_are_behind_have_more_time(self) -> None:
        self.after(states.Kind.BEHIND)
        found = [self.after(states.Kind.LATE).writer for _ in range(10)]
        self.assertEqual(
            [states.Writer.LATE_COLLECTOR] * 9 + [states.Writer.NOVA], found
        )

    def test_nova_writes_after_the_queue_was_unreachable_for_long(
        self,
    ) -> None:
        self.after(states.Kind.WRITTEN)
        found = [self.after(states.Kind.UNREACHABLE).writer for _ in range(30)]
        self.assertEqual(
            [states.Writer.NONE] * 29 + [states.Writer.NOVA], found
        )

    def test_the_wait_after_refusals_grows_to_a_limit(self) -> None:
        pauses = [
            self.after(states.Kind.REFUSED).ask_at - (self.clock() - 10.0)
            for _ in range(2000)
        ]
        self.assertEqual([0.5, 1.0, 2.0], pauses[:3])
        self.assertEqual(300.0, pauses[-1])

    def test_the_wait_after_failed_writes_of_nova_grows_to_a_limit(
        self,
    ) -> None:
        pauses = [
            self.after(states.Kind.UNSAVED, chance=1.0).save_at
            - (self.clock() - 10.0)
            for _ in range(2000)
        ]
        self.assertEqual([60.0, 120.0, 240.0, 450.0], pauses[:4])
        self.assertEqual(450.0, pauses[-1])

    def test_nova_is_slow_if_it_takes_a_tenth_of_an_interval(self) -> None:
        for took, slow in ((0.9, False), (1.0, False), (1.1, True)):
            begun = self.clock()
            state = self.after(states.Kind.SAVED, took=took)
            self.assertEqual(slow, state.save_at > begun, took)

    def test_a_slow_nova_writes_in_time(self) -> None:
        for interval, down_time in ((10, 60), (2, 10), (2, 12), (30, 120)):
            given = rules.Timing(interval, down_time)
            state = states.first(given, 0.0)
            for number in range(20):
                took = 0.2 * interval
                outcome = states.Outcome(
                    states.Kind.SAVED, 0.0, took, number / 20
                )
                state = states.next(state, outcome)
                next_beat = state.save_at + interval
                written = next_beat + given.save_timeout + took
                self.assertLess(written, down_time, given)
                self.assertGreaterEqual(state.save_at, given.latest / 2)

    def test_collectors_that_write_nothing_rest_for_long(self) -> None:
        state = self.after(states.Kind.WRITTEN, states.Kind.UNWRITTEN)
        self.assertEqual(states.Writer.NOVA, state.writer)
        self.assertEqual(290.0, state.ask_at - self.clock())

    def test_after_any_outcomes_a_heartbeat_is_written_in_time(self) -> None:
        """Unless the queue is away, Nova's turn comes, however it began."""
        for kind in states.Kind:
            self.after(kind, kind)
            for last in (states.Kind.LATE, states.Kind.REFUSED):
                found = {self.after(last).writer for _ in range(60)}
                self.assertIn(states.Writer.NOVA, found, (kind, last))

    def test_a_heartbeat_is_put_off_if_half_of_the_down_time_is_left(
        self,
    ) -> None:
        self.assertEqual(10.0, rules.Timing(10.0, 40.0).put_off)
        self.assertEqual(0.0, rules.Timing(10.0, 39.0).put_off)

    def test_some_heartbeats_after_an_answer_ask_for_none(self) -> None:
        self.after(states.Kind.WRITTEN, chance=1.0)
        found = []
        for _ in range(10):
            found.append(self.state.is_silent(self.clock()))
            self.after(states.Kind.SENT if found[-1] else states.Kind.WRITTEN)
        one = [True, True, False]
        self.assertEqual([*one, *one, *one, True], found)

    def test_heartbeats_ask_after_anything_but_a_good_answer(self) -> None:
        for kind in set(states.Kind) - {states.Kind.WRITTEN, states.Kind.SENT}:
            self.after(states.Kind.WRITTEN, states.Kind.WRITTEN)
            self.assertTrue(self.state.is_silent(self.clock()))
            state = self.after(kind, chance=1.0)
            self.assertFalse(state.is_silent(self.clock()), kind)

    def test_a_heartbeat_without_an_answer_changes_little(self) -> None:
        before = self.after(states.Kind.WRITTEN, states.Kind.WRITTEN)
        after = self.after(states.Kind.SENT)
        reached = dataclasses.replace(before, reached_at=after.reached_at)
        self.assertEqual(reached, after)

    def test_a_heartbeat_that_cannot_be_sent_is_retried(self) -> None:
        self.after(states.Kind.WRITTEN, states.Kind.WRITTEN)
        state = self.after(states.Kind.UNREACHABLE)
        self.assertFalse(state.is_resting(self.clock()))
        self.assertEqual(states.Writer.NONE, state.writer)

    def test_services_that_start_together_ask_at_different_times(self) -> None:
        counts = [0] * 3
        for number in range(90):
            self.state = states.first(TIMING, self.clock())
            self.after(states.Kind.WRITTEN, chance=(number + 0.5) / 90)
            silent = 0
            while self.state.is_silent(self.clock()):
                silent += 1
                self.after(states.Kind.SENT)
            counts[silent] += 1
        self.assertEqual([30, 30, 30], counts)

    def test_services_ask_at_different_times_after_an_outage(self) -> None:
        self.after(states.Kind.WRITTEN, states.Kind.WRITTEN, states.Kind.LATE)
        self.after(states.Kind.WRITTEN, chance=0.0)
        self.assertFalse(self.state.is_silent(self.clock()))

    def test_the_time_for_late_answers_is_the_same_after_a_silence(
        self,
    ) -> None:
        self.after(states.Kind.WRITTEN, states.Kind.WRITTEN, took=6.0)
        while self.state.is_silent(self.clock()):
            self.after(states.Kind.SENT)
        found = [self.after(states.Kind.LATE).writer for _ in range(3)]
        self.assertEqual(
            [
                states.Writer.LATE_COLLECTOR,
                states.Writer.LATE_COLLECTOR,
                states.Writer.NOVA,
            ],
            found,
        )

    def test_the_silence_follows_from_the_options(self) -> None:
        for interval, down_time, silence in (
            (10.0, 60.0, 30.0),
            # There is no time for a silence, or hardly any.
            (10.0, 39.0, 0.0),
            (20.0, 60.0, 0.0),
            (10.0, 40.0, 10.0),
            # It is never longer than a minute, or half of the down time.
            (5.0, 60.0, 30.0),
            (10.0, 600.0, 60.0),
            (1.0, 4.0, 1.0),
        ):
            found = rules.Timing(interval, down_time).silence
            self.assertEqual(silence, found, (interval, down_time))
