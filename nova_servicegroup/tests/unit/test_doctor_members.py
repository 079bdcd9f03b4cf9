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


"""Tests of the checks of members, their hosts, heartbeats and clocks."""

import datetime

from nova_servicegroup.doctor import clock
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import fleet
from nova_servicegroup.doctor import heartbeats
from nova_servicegroup.doctor import members
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base
from nova_servicegroup.watch import inventory

OK, WARNING, ERROR = finding.Level
NOW = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
UNREACHABLE = exceptions.BackendError('table', 'refused')


def ago(seconds):
    return NOW - datetime.timedelta(seconds=seconds)


def entry(host, state='up', record=None, incarnations=(), member=True):
    up = state in (views.UP, views.HELD)
    seen = views.Member(
        host,
        'compute',
        up,
        state == views.HELD,
        incarnations=tuple(incarnations),
    )
    record = {} if record is None else record
    return inventory.Entry(
        host, 'compute', state, seen if member else None, record
    )


def process(machine=None, reads=None, age=1000):
    since = (NOW - datetime.timedelta(seconds=age)).timestamp()
    return views.Incarnation('x', since, machine, 1, reads)


def make_inventory(*entries, error=None, unregistered=None):
    return inventory.Inventory(
        {each.host: each for each in entries},
        views.View((), 0.0, error),
        unregistered,
    )


class JudgeTestCase(base.TestCase):
    def judge(self, *entries, driver='zk', **how):
        seen = make_inventory(*entries, **how)
        judge = fleet.Judge(driver, driver == 'db', self.make_conf(), NOW)
        return [
            *members.judge_inventory('compute', seen, judge),
            *judge.judge('compute', seen),
        ]

    def assert_finds(self, level, part, *entries, **how):
        found = [e for e in self.judge(*entries, **how) if e.level > OK]
        self.assertEqual([level], [each.level for each in found], found)
        self.assertIn(part, found[0].what)


class MembersTest(JudgeTestCase):
    def test_all_are_up(self):
        (found,) = self.judge(entry('a'), entry('b'))
        self.assertEqual((OK, 'compute: 2 up.'), (found.level, found.what))

    def test_an_empty_group_is_not_mentioned(self):
        self.assertEqual([], self.judge())

    def test_registered_and_absent(self):
        absent = entry('a', 'down', member=False)
        self.assert_finds(WARNING, 'but not alive: a', absent)
        # The db driver has all registered services.
        self.assert_finds(
            WARNING, 'but not alive: a', entry('a', 'down'), driver='db'
        )

    def test_services_that_need_not_be_alive(self):
        for each in (
            entry('a', 'down', {'disabled': True}, member=False),
            entry('a', inventory.FORCED_DOWN, {}, member=False),
        ):
            self.assertEqual({OK}, {e.level for e in self.judge(each)})

    def test_held(self):
        self.assert_finds(WARNING, '1 held up: a', entry('a', 'held'))

    def test_alive_and_not_registered(self):
        unknown = inventory.Entry('a', 'compute', 'up', entry('a').member)
        self.assert_finds(WARNING, 'not registered with Nova: a', unknown)
        self.assertEqual(1, len(self.judge(unknown, unregistered=UNREACHABLE)))

    def test_groups_that_cannot_be_read(self):
        inventories = {
            'compute': make_inventory(error=UNREACHABLE),
            'conductor': make_inventory(),
        }
        (found,) = members.judge_reading(inventories)
        self.assertEqual(ERROR, found.level)
        self.assertIn('compute cannot be read: table: refused', found.what)
        readable = {'compute': make_inventory()}
        self.assertEqual([], list(members.judge_reading(readable)))

    def test_the_services_table(self):
        unreadable = {'compute': make_inventory(unregistered=UNREACHABLE)}
        for configured, driver, level in (
            (False, 'zk', OK),
            (True, 'zk', WARNING),
            (True, 'db', ERROR),
        ):
            (found,) = members.judge_registration(
                unreadable, configured, driver == 'db'
            )
            self.assertEqual(level, found.level)
        readable = {'compute': make_inventory()}
        found = members.judge_registration(readable, True, True)
        self.assertEqual([], list(found))


class FleetTest(JudgeTestCase):
    def test_two_machines_with_one_name(self):
        old, new = process('rack1'), process('rack2', age=61)
        self.assert_finds(
            ERROR,
            'machines: rack1, rack2',
            entry('a', incarnations=[old, new]),
        )
        moved = process('rack2', age=59)
        self.assert_finds(
            WARNING, 'several', entry('a', incarnations=[old, moved])
        )

    def test_workers_of_one_machine(self):
        workers = [process('rack1'), process('rack1'), process()]
        self.assertEqual(1, len(self.judge(entry('a', incarnations=workers))))

    def test_mixed_drivers(self):
        fleet_of = [
            entry('a', incarnations=[process(reads='db')]),
            entry('b', incarnations=[process(reads='zk')]),
            entry('c', incarnations=[process()]),
        ]
        self.assert_finds(WARNING, '1 reading from db', *fleet_of)

    def test_a_host_that_reports_to_the_database_only(self):
        for beat in (
            ago(59),
            ago(59).replace(tzinfo=None),
            ago(59).isoformat(),
        ):
            missed = entry('a', 'down', {'last_seen_up': beat}, member=False)
            self.assert_finds(ERROR, 'reporting to the database', missed)

    def test_a_host_that_has_stopped_reporting_to_the_database(self):
        dead = entry('a', 'down', {'last_seen_up': ago(61)}, member=False)
        self.assert_finds(WARNING, 'but not alive: a', dead)

    def test_a_host_that_reports_to_both(self):
        both = entry('a', 'up', {'last_seen_up': ago(1)})
        self.assertEqual(1, len(self.judge(both)))

    def test_the_database_itself(self):
        down = entry('a', 'down', {'last_seen_up': ago(1)})
        self.assert_finds(WARNING, 'but not alive: a', down, driver='db')


class HeartbeatsTest(base.TestCase):
    def judge(self, *ages):
        return list(heartbeats.judge('compute', ages, 10, 60))

    def test_in_time(self):
        (found,) = self.judge(*[5.0] * 99, 40.0)
        self.assertEqual(OK, found.level)
        self.assertIn('99 of 100', found.what)
        self.assertIn('within 5 s, all within 40 s', found.what)

    def test_some_are_late(self):
        (found,) = self.judge(*[5.0] * 90, *[21.0] * 10)
        self.assertEqual(WARNING, found.level)

    def test_most_are_late(self):
        self.assertEqual(ERROR, self.judge(5.0, 21.0, 30.0)[0].level)

    def test_no_heartbeats(self):
        self.assertEqual([], self.judge())

    def test_only_members_that_are_up_count(self):
        seen = [
            views.Member('a', 'compute', True, proof_age=9.0),
            views.Member('b', 'compute', True, proof_age=3.0),
            views.Member('c', 'compute', False, proof_age=900.0),
            views.Member('d', 'compute', True),
        ]
        self.assertEqual([3.0, 9.0], heartbeats.ages(seen))


class ClockTest(base.TestCase):
    def judge(self, ahead, error=0.0):
        return clock.judge('the database', (ahead, error), 60)

    def test_levels(self):
        for ahead, error, level in (
            (0.0, 0.0, OK),
            (-0.9, 0.0, OK),
            (1.0, 0.0, WARNING),
            (-14.9, 0.0, WARNING),
            (15.0, 0.0, ERROR),
            (-15.0, 0.0, ERROR),
            # The answer took so long that the difference is uncertain.
            (5.0, 4.5, OK),
        ):
            self.assertEqual(level, self.judge(ahead, error).level, ahead)

    def test_words(self):
        self.assertIn('20.0 s ahead of that', self.judge(20.0).what)
        self.assertIn('20.0 s behind that', self.judge(-20.0).what)
