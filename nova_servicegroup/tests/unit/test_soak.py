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

"""A soak kills hosts only when they are up, and starts them again."""

import time

from benchmarks import soak
from benchmarks import victims
from nova_servicegroup.tests import base


class Fleet:
    """A fleet that notes what it is told."""

    shares = [['host1', 'host2'], ['host3']]

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def kill(self, number: int) -> float:
        self.told.append(('kill', number))
        return time.monotonic()

    def revive(self, number: int) -> None:
        self.told.append(('revive', number))


class VictimsTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.fleet = Fleet()
        self.victims = victims.Victims(self.fleet, 1)

    def test_one_is_killed_once_and_started_again_when_down(self) -> None:
        self.victims.kill('loss')
        self.victims.kill('CPU')
        self.assertEqual([('kill', 1)], self.fleet.told)
        self.assertEqual('loss', self.victims.killed['host3'][1])
        self.victims.fall('host3')
        self.victims.kill('CPU')
        self.assertEqual([('kill', 1), ('revive', 1)], self.fleet.told)
        self.victims.rise('host3')
        self.victims.kill('CPU')
        self.assertEqual(('kill', 1), self.fleet.told[-1])

    def test_others_are_left_alone(self) -> None:
        self.victims.fall('host1')
        self.victims.rise('host1')
        self.assertEqual([], self.fleet.told)

    def test_one_that_does_not_come_up_is_started_once_more(self) -> None:
        self.victims.kill('loss')
        self.victims.fall('host3')
        self.victims.retry()
        self.assertEqual(2, len(self.fleet.told))
        self.victims._started['host3'] -= victims.START + 1
        self.victims.retry()
        self.assertEqual(('revive', 1), self.fleet.told[-1])
        self.assertEqual(3, len(self.fleet.told))


class PlanTest(base.TestCase):
    def test_contestants_are_named_by_their_driver_or_in_full(self) -> None:
        five, ten = 'our zk, S = 5 s', 'our zk, S = 10 s'
        for wanted, expected in (('zk', {ten, five}), (five, {five})):
            turns = soak.Plan(names=[wanted]).turns()
            self.assertEqual(expected, {each.name for (each,) in turns})

    def test_without_a_name_all_of_ours_run(self) -> None:
        (together,) = soak.Plan(together=True).turns()
        self.assertEqual(6, len(together))
        self.assertFalse([each for each in together if each.stock])

    def test_each_stress_has_its_turn_in_a_short_run(self) -> None:
        self.assertEqual(10.0, soak.Plan(minutes=2.0).window)
        self.assertEqual(60.0, soak.Plan(minutes=600.0).window)

    def test_hosts_are_spread_and_victims_stand_alone(self) -> None:
        plan = soak.Plan(hosts=70, share=50)
        self.assertEqual([35, 35, 1, 1, 1], plan.shares)
