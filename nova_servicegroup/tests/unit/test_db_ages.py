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


"""Ages of heartbeats, and the readings that they give."""

from nova_servicegroup.drivers.db import ages
from nova_servicegroup import evidence
from nova_servicegroup import services
from nova_servicegroup.tests import base

#: The times at which the database's and the observer's clock begin.
WALL, NOW = 1_800_000_000.0, 1000.0
HOUR = 3600.0
#: Steps of a clock that NTP corrects, in seconds.
STEPS = (130, 200, 310)


class LimitsTest(base.TestCase):
    def test_more_than_two_intervals_are_late(self) -> None:
        limits = ages.Limits(10.0, 60.0, 90.0)
        # Two intervals and two seconds: the table is not exact.
        self.assertEqual(22.0, limits.late)
        self.assertEqual(150.0, limits.longest)
        self.assertEqual(50.0, limits.settle_time)

    def test_late_is_at_most_half_of_the_down_time(self) -> None:
        self.assertEqual(10.0, ages.Limits(15.0, 20.0, 20.0).late)


class HeartbeatsTest(base.TestCase):
    """Heartbeats by host, and two clocks."""

    def setUp(self) -> None:
        super().setUp()
        self.wall, self.now = WALL, NOW
        self.beats: dict[str, float | None] = {}

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.now += seconds

    def beat(self, *hosts: str, age: float = 0.0) -> None:
        """Write heartbeats that came so many seconds ago."""
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

    def test_heartbeats_are_as_old_as_their_time_says(self) -> None:
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

    def test_a_host_without_a_record_has_no_age(self) -> None:
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

    def test_an_unchanged_heartbeat_of_two_records_gets_older(self) -> None:
        self.beat('CTL1', age=5)
        self.beat('ctl1', age=50)
        for seconds in range(5, 300, 10):
            self.assertEqual({'ctl1': float(seconds)}, self.look())
            self.pass_time(10)

    def test_a_host_that_has_left_has_no_age(self) -> None:
        self.beat('a', 'b')
        self.look()
        self.beats['a'] = services.LEFT
        self.assertEqual({'b': 1.0}, self.look(1))
        self.assertEqual({'a'}, self.ages.left)
        self.beat('a')
        self.assertEqual({'a': 0.0, 'b': 1.0}, self.look())
        self.assertEqual(set(), self.ages.left)

    def test_a_host_with_another_record_has_not_left(self) -> None:
        self.beats['CTL1'] = services.LEFT
        self.beat('ctl1', age=5)
        self.assertEqual({'ctl1': 5.0}, self.look())
        self.assertEqual(set(), self.ages.left)

    def test_a_heartbeat_from_the_future_counts_from_its_arrival(self) -> None:
        self.beat('a', age=-HOUR)
        self.assertEqual({'a': 0.0}, self.look())
        for seconds in (60.0, 1000.0, HOUR, 2 * HOUR):
            passed = seconds - (self.now - NOW)
            self.assertEqual({'a': seconds}, self.look(passed))

    def test_a_new_heartbeat_is_no_older_than_the_last_reading(self) -> None:
        """The slow clock of a writer does not age its heartbeats."""
        self.beat('a', age=5)
        self.look()
        self.pass_time(10)
        self.beat('a', age=300)
        self.assertEqual({'a': 10.0}, self.look())

    def test_the_first_heartbeat_is_no_older_than_the_last_reading(
        self,
    ) -> None:
        self.beats = {'a': None}
        self.look()
        self.pass_time(10)
        self.beat('a', 'b', age=300)
        self.assertEqual({'a': 10.0, 'b': 10.0}, self.look())

    def test_a_database_clock_set_back_makes_no_heartbeat_younger(
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

    def test_a_database_clock_set_forward_makes_none_older(self) -> None:
        self.beat('a', age=5)
        self.look()
        self.wall += HOUR
        self.assertEqual({'a': 15.0}, self.look(10))
        # Written before the step, read after it.
        self.beat('a', age=HOUR)
        self.assertEqual({'a': 10.0}, self.look(10))


class JudgeTest(HeartbeatsTest):
    """Readings with an interval of 10 s, down and hold times of 60 s."""

    def setUp(self) -> None:
        super().setUp()
        self.judge = ages.Judge(ages.Limits(10.0, 60.0, 60.0))

    def look(self, after: float = 0.0) -> evidence.Reading:
        self.pass_time(after)
        return self.judge.update(self.read(), self.now)

    def test_a_host_in_time_is_present(self) -> None:
        self.beat('a', age=60)
        self.beat('b', age=61)
        self.beat('c', age=HOUR)
        self.assertEqual(evidence.Reading({'a'}), self.look())

    def test_lateness_is_no_evidence_when_most_are_late(self) -> None:
        for host, age in (('a', 61), ('b', 75), ('c', 119), ('d', 121)):
            self.beat(host, age=age)
        self.beat('e', age=5)
        self.assertEqual(
            evidence.Reading(
                {'e'}, ages.LATE, {'a': 59.0, 'b': 45.0, 'c': 1.0}
            ),
            self.look(),
        )

    def test_hosts_that_are_dead_for_long_do_not_count(self) -> None:
        self.beat(*(f'dead{number}' for number in range(50)), age=121)
        self.beat('a', 'b', 'c', age=5)
        self.beat('d', age=70)
        self.assertIsNone(self.look().doubt)

    def test_two_late_hosts_are_not_most(self) -> None:
        self.beat('a', 'b', age=70)
        self.assertEqual(evidence.Reading(set()), self.look())

    def test_half_of_the_hosts_are_not_most(self) -> None:
        self.beat('a', 'b', 'c', age=70)
        self.beat('d', 'e', 'f', age=5)
        self.assertIsNone(self.look().doubt)

    def test_lateness_of_most_is_noticed_before_one_is_down(self) -> None:
        self.beat('a', 'b', 'c', age=45)
        self.assertEqual(evidence.Reading({'a', 'b', 'c'}), self.look())
        # Most have come again, but not all have had time to.
        self.pass_time(20)
        self.beat('a', 'b')
        self.assertEqual({'c': 55.0}, self.look().doubted)
        # The time to settle is that for which most may have been late.
        self.pass_time(49)
        self.beat('a', 'b')
        self.assertEqual({'c': 6.0}, self.look().doubted)
        self.pass_time(1.1)
        self.assertEqual(evidence.Reading({'a', 'b'}), self.look())

    def test_most_may_have_been_late_until_just_now(self) -> None:
        """Where readings are far apart, as when nobody asks."""
        self.beat('a', 'b', 'c', 'd', age=30)
        self.look()
        self.pass_time(60)
        self.beat('a', 'b', 'c')
        self.assertEqual({'d': 30.0}, self.look().doubted)

    def test_services_connect_no_sooner_with_a_short_hold_time(self) -> None:
        self.judge = ages.Judge(ages.Limits(10.0, 60.0, 25.0))
        self.beat('a', 'b', 'c', 'd', age=50)
        self.look()
        self.pass_time(28)
        self.beat('a', 'b', 'c')
        self.assertEqual({'d': 7.0}, self.look().doubted)

    def test_a_heartbeat_from_the_future_changes_nothing_for_others(
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
            self.judge = ages.Judge(self.judge.limits)
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

    def test_a_late_host_that_has_renewed_since_the_last_reading(self) -> None:
        self.beat('a', 'b', 'c', 'd', age=5)
        self.look()
        self.pass_time(300)
        self.beat('a', 'b', 'c', age=70)
        reading = self.look()
        self.assertEqual({'a', 'b', 'c'}, reading.renewed)
        self.assertEqual({'a', 'b', 'c'}, reading.doubted.keys())
        self.assertEqual(set(), self.look(1).renewed)

    def test_hosts_that_are_late_each_time_have_not_renewed(self) -> None:
        """As with a clock that is behind: they would be up and down."""
        self.beat('a', 'b', 'c', age=5)
        self.look()
        renewed = []
        for _ in range(3):
            self.pass_time(300)
            self.beat('a', 'b', 'c', age=70)
            renewed.append(len(self.look().renewed))
        self.assertEqual([3, 0, 0], renewed)

    def test_a_late_host_that_had_left_has_renewed(self) -> None:
        self.beat('b', 'c', 'd', age=5)
        self.beats['a'] = services.LEFT
        self.look()
        self.pass_time(300)
        self.beat('a', 'b', 'c', 'd', age=70)
        self.assertIn('a', self.look().renewed)

    def test_an_older_heartbeat_is_no_renewal(self) -> None:
        """As after the database was restored from a backup."""
        self.beat('a', 'b', 'c', age=5)
        self.look()
        self.beat('a', 'b', 'c', age=70)
        self.assertEqual(set(), self.look(1).renewed)

    def test_an_older_heartbeat_brings_no_dead_host_back(self) -> None:
        """As after the database was restored from a backup."""
        self.beat('a', 'b', age=5)
        self.beat('dead', age=HOUR)
        self.look()
        self.beat('a', 'b', 'dead', age=2 * HOUR)
        self.assertEqual({'a', 'b'}, self.look(1).present)
        self.assertEqual({'a', 'b'}, self.look(1).present)
        self.beat('dead', age=HOUR)
        self.assertIn('dead', self.look(1).present)

    def test_one_does_that_is_older_by_a_clock_that_was_set_back(self) -> None:
        self.beat('a', 'b', age=5)
        self.beat('dead', age=130)
        self.look()
        self.wall -= 200
        self.beat('a', 'b', 'dead')
        self.assertEqual({'a', 'b', 'dead'}, self.look(1).present)

    def test_a_pause_of_the_reader_makes_nobody_dead(self) -> None:
        self.beat('a', age=5)
        self.look()
        self.pass_time(130)
        self.beat('a', age=140)
        self.look()
        self.pass_time(10)
        self.beat('a', age=140)
        self.assertEqual({'a'}, self.look().present)

    def test_the_ages_are_kept(self) -> None:
        self.beat('a', age=7)
        self.look()
        self.assertEqual({'a': 7.0}, self.judge.ages.by_host)
