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


from nova_servicegroup.drivers.db import fleet
from nova_servicegroup.tests import base

DOWN = 60.0
HOLD = 60.0
INTERVAL = 10.0


class FleetTest(base.TestCase):
    """Hosts that beat every ten seconds, and an observer that looks at all."""

    error = 0.0

    def setUp(self) -> None:
        super().setUp()
        self.time = 1e9
        self.begin()

    def begin(self) -> None:
        """Let all be well, and nobody have looked before."""
        self.fleet = fleet.Fleet(INTERVAL, DOWN, HOLD)
        self.beats: dict[str, float] = {}
        self.alive = ['a', 'b', 'c', 'd']
        self.first = self.clock()
        self.pass_time(1)

    def pass_time(self, seconds: int, look: bool = True) -> None:
        """Let time pass; a host beats in a second of its own."""
        for _ in range(seconds):
            self.time += 1
            self.clock.advance(1)
            for number, host in enumerate('abcd'):
                due = (self.clock() - self.first) % INTERVAL == number
                if host in self.alive and (due or host not in self.beats):
                    self.beats[host] = self.time
            if look:
                self.look()

    def look(self) -> None:
        for host, beat in self.beats.items():
            self.fleet.take(host, beat, self.wall, self.clock())

    @property
    def wall(self) -> float:
        return self.time + self.error

    def age(self, host: str = 'a') -> float:
        return self.fleet.age(host, self.beats[host], self.wall, self.clock())


class HealthTest(FleetTest):
    def test_a_heartbeat_is_as_old_as_it_is(self) -> None:
        for _ in range(30):
            self.pass_time(1)
            self.assertAlmostEqual(
                self.time - self.beats['a'], self.age(), delta=1
            )

    def test_a_single_dead_host_ages_as_it_does(self) -> None:
        self.pass_time(30)
        self.alive.remove('a')
        for _ in range(100):
            self.pass_time(1)
            self.assertAlmostEqual(
                self.time - self.beats['a'], self.age(), delta=1
            )

    def test_hosts_that_beat_together_and_a_bit_late_change_nothing(
        self,
    ) -> None:
        self.fleet = fleet.Fleet(INTERVAL, DOWN, HOLD)
        beat = self.time
        for second in range(200):
            self.time += 1
            self.clock.advance(1)
            if second % (INTERVAL + 2) == 0:
                beat = self.time
            for host in 'bcd':
                self.fleet.take(host, beat, self.wall, self.clock())
            dead = self.time - second
            self.fleet.take('a', dead, self.wall, self.clock())
            age = self.fleet.age('a', dead, self.wall, self.clock())
            self.assertAlmostEqual(second, age, delta=1)

    def test_so_it_does_for_an_observer_that_has_just_started(self) -> None:
        self.pass_time(30)
        self.alive.remove('a')
        for _ in range(100):
            self.pass_time(1)
            self.fleet = fleet.Fleet(INTERVAL, DOWN, HOLD)
            self.look()
            self.assertAlmostEqual(
                self.time - self.beats['a'], self.age(), delta=0.1
            )

    def test_two_hosts_are_no_fleet(self) -> None:
        few = fleet.Fleet(INTERVAL, DOWN, HOLD)
        for host in ('a', 'b'):
            few.take(host, self.time, self.time, self.clock())
        self.assertEqual(
            float('inf'), few.age('a', self.time, self.time, self.clock())
        )

    def test_a_heartbeat_from_the_future_is_young(self) -> None:
        self.assertEqual(
            0.0, self.fleet.age('a', self.time, self.wall, self.clock())
        )

    def test_who_looks_at_one_host_only_sees_no_stall(self) -> None:
        for host in 'abcd':
            self.begin()
            # It may have been the last to beat.
            self.pass_time(30 + 'abcd'.index(host))
            self.alive.remove(host)
            died = self.beats[host]
            self.pass_time(int(DOWN) + 5, look=False)
            self.fleet.take(host, died, self.wall, self.clock())
            self.assertAlmostEqual(self.time - died, self.age(host), delta=1)

    def test_it_must_look_while_nobody_looks_at_the_others(self) -> None:
        self.pass_time(30)
        self.alive.remove('a')
        died = self.beats['a']
        self.pass_time(int(DOWN) + 5)
        self.assertFalse(self.must_look())
        self.pass_time(int(INTERVAL) + 2, look=False)
        self.fleet.take('a', died, self.wall, self.clock())
        self.assertTrue(self.must_look())
        self.assertFalse(self.must_look())
        self.look()
        self.pass_time(1)
        self.assertFalse(self.must_look())

    def test_not_for_who_is_down_already(self) -> None:
        self.pass_time(30)
        self.alive.remove('a')
        self.pass_time(int(DOWN) + 5)
        self.assertGreater(self.age(), DOWN)
        self.pass_time(int(INTERVAL) + 2, look=False)
        self.assertFalse(self.must_look())

    def test_nor_for_who_has_been_dead_for_long(self) -> None:
        self.alive.remove('a')
        self.pass_time(int(DOWN + HOLD) + 30)
        self.pass_time(int(DOWN), look=False)
        self.fleet.take('a', self.beats['a'], self.wall, self.clock())
        self.assertFalse(self.must_look())

    def must_look(self) -> bool:
        """Tell whether to look at the others before host a is down."""
        return self.fleet.must_look('a', self.beats['a'], self.clock())


class StallTest(FleetTest):
    """No heartbeat at all arrives any more."""

    def setUp(self) -> None:
        super().setUp()
        self.pass_time(30)
        self.alive = []
        self.stalled_at = max(self.beats.values())

    def test_it_is_not_counted_for_the_hold_time(self) -> None:
        self.pass_time(79)
        self.assertLessEqual(self.age(), DOWN)
        self.alive = ['a', 'b', 'c', 'd']
        self.pass_time(20)
        self.assertLessEqual(self.age(), INTERVAL)

    def test_those_that_come_back_last_are_not_late(self) -> None:
        self.pass_time(79)
        for host in 'dcba':
            self.alive.append(host)
            self.pass_time(12)
            for each in 'abcd':
                self.assertLessEqual(self.age(each), DOWN)

    def test_when_all_are_through_a_death_is_found_as_ever(self) -> None:
        soon = 2 * INTERVAL
        self.fleet = fleet.Fleet(INTERVAL, soon, HOLD)
        self.pass_time(40)
        self.alive = ['a', 'b', 'c', 'd']
        self.pass_time(int(INTERVAL))
        self.alive.remove('a')
        self.pass_time(int(soon) + 1)
        self.assertGreater(self.age(), soon)

    def test_but_for_no_longer_than_they_need(self) -> None:
        self.pass_time(79)
        self.alive = ['b', 'c', 'd']
        died = max(self.beats.values())
        while self.age() <= DOWN:
            self.pass_time(1)
        self.assertLessEqual(self.time - died, DOWN + HOLD)

    def test_but_no_longer(self) -> None:
        while self.age() <= DOWN:
            self.pass_time(1)
        passed = self.time - self.stalled_at
        self.assertLessEqual(passed, DOWN + HOLD + 1)
        self.assertGreater(passed, DOWN + HOLD - INTERVAL - 1)

    def test_who_dies_meanwhile_is_down_when_the_others_are_back(self) -> None:
        self.pass_time(50)
        self.alive = ['b', 'c', 'd']
        self.pass_time(50 + int(INTERVAL) + 1)
        self.assertGreater(self.age(), DOWN)

    def test_an_observer_that_starts_then_gives_them_the_time_too(
        self,
    ) -> None:
        self.pass_time(60)
        self.fleet = fleet.Fleet(INTERVAL, DOWN, HOLD)
        for _ in range(40):
            self.look()
            self.assertLessEqual(self.age(), DOWN)
            self.pass_time(1)
        self.pass_time(30)
        self.assertGreater(self.age(), DOWN)

    def test_long_dead_is_found_soon_by_an_observer_that_starts(self) -> None:
        self.pass_time(3600, look=False)
        self.fleet = fleet.Fleet(INTERVAL, DOWN, HOLD)
        self.pass_time(int(2 * INTERVAL) + 2)
        self.assertGreater(self.age(), DOWN)

    def test_one_that_looks_seldom_finds_it_at_its_next_look(self) -> None:
        self.pass_time(300, look=False)
        self.look()
        self.assertGreater(self.age(), DOWN)


class OverloadTest(base.TestCase):
    """Of the heartbeats of twenty hosts only every eighth arrives."""

    hosts = [f'host{number}' for number in range(20)]

    def setUp(self) -> None:
        super().setUp()
        self.fleet = fleet.Fleet(INTERVAL, DOWN, HOLD)
        self.time = 1e9
        self.beats = dict.fromkeys(self.hosts, self.time)
        self.alive = set(self.hosts)

    def pass_time(self, seconds: int, lost: int = 0) -> None:
        """Let time pass; of a host so many heartbeats in a row are lost."""
        for _ in range(seconds):
            self.time += 1
            self.clock.advance(1)
            for number, host in enumerate(self.hosts):
                turn, rest = divmod(self.time + number, INTERVAL)
                arrives = (turn + number) % (lost + 1) == 0
                if not rest and arrives and host in self.alive:
                    self.beats[host] = self.time
            for host, beat in self.beats.items():
                self.fleet.take(host, beat, self.time, self.clock())

    def late(self, allowed: float = DOWN) -> set[str]:
        """Return those that count as late."""
        return {
            host
            for host, beat in self.beats.items()
            if self.fleet.age(host, beat, self.time, self.clock()) > allowed
        }

    def test_nobody_is_down_where_most_are_late(self) -> None:
        self.pass_time(30)
        oldest = 0.0
        for _ in range(300):
            self.pass_time(1, 7)
            oldest = max(oldest, self.time - min(self.beats.values()))
            self.assertEqual(set(), self.late())
        self.assertGreater(oldest, DOWN + INTERVAL)

    def test_who_dies_meanwhile_is_down_after_the_hold_time(self) -> None:
        self.pass_time(30)
        self.alive.remove('host7')
        self.pass_time(int(DOWN + HOLD + INTERVAL) + 1, 7)
        self.assertEqual({'host7'}, self.late())

    def test_who_was_found_down_stays_so_when_the_others_get_late(
        self,
    ) -> None:
        self.pass_time(30)
        self.alive.remove('host7')
        self.pass_time(int(DOWN + INTERVAL) + 1)
        self.assertEqual({'host7'}, self.late())
        for _ in range(60):
            self.pass_time(1, 7)
            self.assertEqual({'host7'}, self.late())
        self.alive.add('host7')
        self.pass_time(int(8 * INTERVAL), 7)
        self.assertEqual(set(), self.late())

    def test_an_old_record_counts_against_no_later_heartbeat(self) -> None:
        self.pass_time(30)
        old = self.beats['host7']
        self.pass_time(int(DOWN + INTERVAL))
        self.fleet.age('host7', old, self.time, self.clock())
        while self.time - self.beats['host7'] <= DOWN:
            self.pass_time(1, 7)
        self.assertEqual(set(), self.late())

    def test_who_was_never_seen_alive_gets_the_time_too(self) -> None:
        self.pass_time(30)
        self.beats['host7'] = self.time - DOWN - 1
        self.alive.remove('host7')
        self.pass_time(1)
        self.assertEqual({'host7'}, self.late())
        self.pass_time(30, 7)
        self.assertEqual(set(), self.late())

    def test_half_of_a_fleet_that_dies_is_found_as_one_is(self) -> None:
        self.pass_time(30)
        dead = set(self.hosts[:10])
        self.alive -= dead
        self.pass_time(int(DOWN + INTERVAL) + 1)
        self.assertEqual(dead, self.late())

    def test_more_than_half_is_held(self) -> None:
        self.pass_time(30)
        dead = set(self.hosts[:11])
        self.alive -= dead
        self.pass_time(int(DOWN + INTERVAL) + 1)
        self.assertEqual(set(), self.late())
        self.pass_time(int(HOLD) + 1)
        self.assertEqual(dead, self.late())

    def test_those_that_are_dead_for_long_do_not_count(self) -> None:
        self.pass_time(30)
        self.alive -= set(self.hosts[:11])
        self.pass_time(600)
        self.alive.remove('host19')
        self.pass_time(int(DOWN + INTERVAL) + 1)
        self.assertEqual({*self.hosts[:11], 'host19'}, self.late())


class WrongClockTest(FleetTest):
    """The observer's clock is five minutes fast; it must not matter."""

    error = 300.0

    def test_nobody_is_late(self) -> None:
        for _ in range(60):
            self.pass_time(1)
            self.assertLessEqual(self.age(), INTERVAL)

    def test_nor_for_one_that_looks_seldom(self) -> None:
        self.pass_time(30)
        for _ in range(5):
            self.pass_time(300, look=False)
            self.look()
            self.assertLessEqual(self.age(), 2 * INTERVAL)

    def test_a_dead_host_is_found(self) -> None:
        self.pass_time(30)
        self.alive.remove('a')
        self.pass_time(71)
        self.assertGreater(self.age(), DOWN)


class SlowClockTest(WrongClockTest):
    """The same with one that is slow."""

    error = -300.0
