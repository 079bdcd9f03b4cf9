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


"""How old heartbeats are, and what is concluded from it."""

from nova_servicegroup.drivers.db import ages
from nova_servicegroup import evidence
from nova_servicegroup import services
from nova_servicegroup.tests import base

#: The database's clock and the observer's own begin with these.
WALL, NOW = 1_800_000_000.0, 1000.0
HOUR = 3600.0
#: The steps of a clock that NTP has not yet set right.
STEPS = (130, 200, 310)


class RulesTest(base.TestCase):
    def test_more_than_two_intervals_are_late(self) -> None:
        rules = ages.Rules(10.0, 60.0, 90.0)
        # And two seconds, as the table is not exact.
        self.assertEqual(22.0, rules.late)
        self.assertEqual(150.0, rules.longest)
        self.assertEqual(50.0, rules.settle_time)

    def test_late_comes_before_too_late(self) -> None:
        self.assertEqual(10.0, ages.Rules(15.0, 20.0, 20.0).late)

    def test_it_settles_within_the_hold_time(self) -> None:
        self.assertEqual(20.0, ages.Rules(15.0, 20.0, 20.0).settle_time)


class HeartbeatsTest(base.TestCase):
    """Heartbeats by host, and two clocks that pass."""

    def setUp(self) -> None:
        super().setUp()
        self.wall, self.now = WALL, NOW
        self.beats: dict[str, float | None] = {}

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.now += seconds

    def beat(self, *hosts: str, age: float = 0.0) -> None:
        """Have hosts written whose heartbeats came so long ago."""
        self.beats |= dict.fromkeys(hosts, self.wall - age)

    def read(self) -> services.Heartbeats:
        return services.Heartbeats(
            self.wall,
            [(f'id-{host}', host, beat) for host, beat in self.beats.items()],
        )


class AgesTest(HeartbeatsTest):
    def setUp(self) -> None:
        super().setUp()
        self.ages = ages.Ages()

    def look(self, after: float = 0.0) -> dict[str, float]:
        self.pass_time(after)
        return self.ages.update(self.read(), self.now)

    def test_they_are_as_old_as_their_time_says(self) -> None:
        self.beat('a', age=5)
        self.beat('b', age=300)
        self.assertEqual({'a': 5.0, 'b': 300.0}, self.look())
        self.assertEqual({'a': 15.0, 'b': 310.0}, self.look(10))
        self.pass_time(10)
        self.beat('a', age=2)
        self.assertEqual({'a': 2.0, 'b': 320.0}, self.look())

    def test_a_record_without_a_time_has_no_age(self) -> None:
        self.beats['a'] = None
        self.assertEqual({}, self.look())

    def test_who_has_no_record_any_more_has_none(self) -> None:
        self.beat('a', 'b')
        self.look()
        del self.beats['a']
        self.assertEqual(['b'], list(self.look(1)))

    def test_names_that_differ_in_case_are_one_and_the_youngest_counts(
        self,
    ) -> None:
        self.beat('CTL1', age=5)
        self.beat('ctl1', age=50)
        self.assertEqual({'ctl1': 5.0}, self.look())
        self.pass_time(10)
        self.beat('ctl1', age=3)
        self.assertEqual({'ctl1': 3.0}, self.look())

    def test_nor_does_one_of_them_make_the_other_look_young(self) -> None:
        self.beat('CTL1', age=5)
        self.beat('ctl1', age=50)
        for seconds in range(5, 300, 10):
            self.assertEqual({'ctl1': float(seconds)}, self.look())
            self.pass_time(10)

    def test_one_that_has_left_has_none(self) -> None:
        self.beat('a', 'b')
        self.look()
        self.beats['a'] = services.LEFT
        self.assertEqual({'b': 1.0}, self.look(1))
        self.assertEqual({'a'}, self.ages.left)
        self.beat('a')
        self.assertEqual({'a': 0.0, 'b': 1.0}, self.look())
        self.assertEqual(set(), self.ages.left)

    def test_unless_another_record_of_it_shows_one(self) -> None:
        self.beats['CTL1'] = services.LEFT
        self.beat('ctl1', age=5)
        self.assertEqual({'ctl1': 5.0}, self.look())
        self.assertEqual(set(), self.ages.left)

    def test_one_from_the_future_counts_from_its_arrival(self) -> None:
        self.beat('a', age=-HOUR)
        self.assertEqual({'a': 0.0}, self.look())
        for seconds in (60.0, 1000.0, HOUR, 2 * HOUR):
            passed = seconds - (self.now - NOW)
            self.assertEqual({'a': seconds}, self.look(passed))

    def test_one_that_came_since_the_last_look_is_no_older_than_that(
        self,
    ) -> None:
        """A writer's clock that is behind does not age its heartbeats."""
        self.beat('a', age=5)
        self.look()
        self.pass_time(10)
        self.beat('a', age=300)
        self.assertEqual({'a': 10.0}, self.look())

    def test_nor_is_the_first_one_of_a_record(self) -> None:
        self.beats = {'a': None}
        self.look()
        self.pass_time(10)
        self.beat('a', 'b', age=300)
        self.assertEqual({'a': 10.0, 'b': 10.0}, self.look())

    def test_a_database_clock_that_is_set_back_makes_none_younger(
        self,
    ) -> None:
        for step in STEPS:
            self.ages = ages.Ages()
            self.beat('a', age=5)
            self.beat('b', age=100)
            self.look()
            self.wall -= step
            self.assertEqual({'a': 15.0, 'b': 110.0}, self.look(10), step)
            self.pass_time(10)
            self.beat('a', age=1)
            self.assertEqual({'a': 1.0, 'b': 120.0}, self.look(), step)

    def test_one_that_is_set_forward_makes_none_older(self) -> None:
        self.beat('a', age=5)
        self.look()
        self.wall += HOUR
        self.assertEqual({'a': 15.0}, self.look(10))
        # Written before the step, read after it.
        self.beat('a', age=HOUR)
        self.assertEqual({'a': 10.0}, self.look(10))


class JudgeTest(HeartbeatsTest):
    """An interval of 10 s; down after 60 s, and held for as long again."""

    def setUp(self) -> None:
        super().setUp()
        self.judge = ages.Judge(ages.Rules(10.0, 60.0, 60.0))

    def look(self, after: float = 0.0) -> evidence.Reading:
        self.pass_time(after)
        return self.judge.update(self.read(), self.now)

    def test_who_is_in_time_is_present(self) -> None:
        self.beat('a', age=60)
        self.beat('b', age=61)
        self.beat('c', age=HOUR)
        self.assertEqual(evidence.Reading({'a'}), self.look())

    def test_where_most_are_late_nobodys_lateness_is_evidence(self) -> None:
        for host, age in (('a', 61), ('b', 75), ('c', 119), ('d', 121)):
            self.beat(host, age=age)
        self.beat('e', age=5)
        self.assertEqual(
            evidence.Reading(
                {'e'}, ages.LATE, {'a': 59.0, 'b': 45.0, 'c': 1.0}
            ),
            self.look(),
        )

    def test_who_is_dead_for_long_is_not_counted(self) -> None:
        self.beat(*(f'dead{number}' for number in range(50)), age=121)
        self.beat('a', 'b', 'c', age=5)
        self.beat('d', age=70)
        self.assertIsNone(self.look().doubt)

    def test_two_are_not_most(self) -> None:
        self.beat('a', 'b', age=70)
        self.assertEqual(evidence.Reading(set()), self.look())

    def test_nor_is_half(self) -> None:
        self.beat('a', 'b', 'c', age=70)
        self.beat('d', 'e', 'f', age=5)
        self.assertIsNone(self.look().doubt)

    def test_it_is_noticed_before_one_is_too_late(self) -> None:
        self.beat('a', 'b', 'c', age=45)
        self.assertEqual(evidence.Reading({'a', 'b', 'c'}), self.look())
        # Most have come through since, but not all had time to.
        self.pass_time(20)
        self.beat('a', 'b')
        self.assertEqual({'c': 55.0}, self.look().doubted)
        # They have as long as most were late.
        self.pass_time(25.1)
        self.beat('a', 'b')
        self.assertEqual(evidence.Reading({'a', 'b'}), self.look())

    def test_one_from_the_future_changes_nothing_for_the_others(
        self,
    ) -> None:
        self.beat('a', 'b', 'c', age=5)
        self.beat('d', age=70)
        self.beat('odd', age=-HOUR)
        present = {'a', 'b', 'c', 'odd'}
        self.assertEqual(evidence.Reading(present), self.look())
        self.pass_time(61)
        self.beat('a', 'b', 'c', age=5)
        self.assertEqual(evidence.Reading({'a', 'b', 'c'}), self.look())

    def test_a_clock_that_is_set_back_makes_nobody_late(self) -> None:
        for step in STEPS:
            self.judge = ages.Judge(self.judge.rules)
            self.beat('a', 'b', 'c', age=5)
            self.beat('dead', age=70)
            self.look()
            self.wall -= step
            for _ in range(60):
                self.beat('a', 'b', 'c')
                reading = self.look(after=10)
                self.assertEqual(
                    evidence.Reading({'a', 'b', 'c'}), reading, step
                )

    def test_it_keeps_the_ages(self) -> None:
        self.beat('a', age=7)
        self.look()
        self.assertEqual({'a': 7.0}, self.judge.ages.by_host)
