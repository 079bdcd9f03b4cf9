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


from typing import Any
from unittest import mock

from nova_servicegroup import api
from nova_servicegroup.doctor import examination
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import members
from nova_servicegroup.doctor import migration
from nova_servicegroup.drivers import base as drivers
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

CONF = """
[DEFAULT]
servicegroup_driver = {own}
[servicegroup]
also_report_to = {secondary}
"""


class Driver(drivers.Driver):
    """A driver whose members a test sets.

    :ivar seen: the state of a member and what its processes ask by
    """

    def __init__(self) -> None:
        super().__init__(None)
        self.seen: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {}
        self.error: exceptions.BackendError | None = None

    def tell(
        self, host: str, *reads: str, state: str = 'up', group: str = 'compute'
    ) -> None:
        """Make a host report, with a process for each driver it asks by."""
        self.seen[group, host] = state, reads

    def view(self, group: str, detailed: bool = False) -> views.View:
        members = tuple(
            views.Member(
                host,
                where,
                state != 'down',
                state == 'held',
                1.0,
                tuple(
                    views.Incarnation(str(number), reads=each or None)
                    for number, each in enumerate(reads)
                )
                if detailed
                else (),
            )
            for (where, host), (state, reads) in self.seen.items()
            if where == group
        )
        return views.View(members, 0.0, self.error)

    def is_up(self, service_ref: Any) -> bool:
        return False

    def join(self, member: str, group: str, service: Any) -> None:
        raise NotImplementedError

    def leave(self, member: str, group: str) -> None:
        raise NotImplementedError

    def updated_time(self, service_ref: Any) -> None:
        raise NotImplementedError


class MigrationTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.db, self.zk = Driver(), Driver()
        self.drivers = {'db': self.db, 'zk': self.zk}
        self.registered: list[tuple[str, str]] | None = None

    def check(
        self, own: str = 'db', secondary: str = 'zk', **how: Any
    ) -> list[finding.Finding]:
        conf = self.make_conf(CONF.format(own=own, secondary=secondary))
        how = {'databases': dict, **how}
        subject = finding.Subject(conf, None, self._api, **how)
        with mock.patch.object(members, 'pause') as self.pause:
            return examination.examine(subject, {'migration': migration.check})

    def _api(self, name: str) -> api.API:
        if name not in self.drivers:
            raise exceptions.DriverNotFound(name, self.drivers)
        made = self.api_of(self.drivers[name])
        made.give_table(base.Table(self._records))
        return made

    def _records(self, group: str) -> list[dict[str, Any]]:
        if self.registered is None:
            raise exceptions.BackendError('services table', 'away')
        return [
            {'host': host, 'topic': group, 'forced_down': False}
            for where, host in self.registered
            if where == group
        ]

    def both(self, host: str, reads: str, **how: Any) -> None:
        self.db.tell(host, **how)
        self.zk.tell(host, reads, **how)

    def assert_step(
        self, found: finding.Finding, level: str, *parts: str
    ) -> None:
        self.assertEqual(finding.Level[level], found.level, found)
        self.assertEqual('migration', found.check)
        for part in parts:
            self.assertIn(part, found.what)
        if level != 'OK':
            self.assertTrue(found.why)
            self.assertTrue(found.advice)

    def test_none_is_under_way(self) -> None:
        (found,) = self.check(secondary='')
        self.assert_step(found, 'OK', 'report to db alone')

    def test_a_direction_that_is_given(self) -> None:
        self.both('a', 'db')
        found = self.check(secondary='', towards=['zk', 'db', 'zk'])
        self.assertEqual(self.check(), found)

    def test_all_report_to_both(self) -> None:
        self.registered = [('compute', 'a'), ('conductor', 'b')]
        self.both('a', 'db')
        self.both('b', 'db', group='conductor')
        step, db, zk = self.check()
        self.assert_step(
            step, 'OK', '2 of 2', 'It is safe to switch readers to zk.'
        )
        self.assertNotIn('services table', step.what)
        self.assert_step(
            db,
            'OK',
            '2 of 2 services read from db: a, b (conductor)',
            'not safe to stop reporting to it',
        )
        self.assert_step(zk, 'OK', 'safe to stop reporting to it')
        self.assertIn('nova-api', zk.what)
        # Each driver is read twice: the first reading may not know all yet.
        self.assertEqual(2, self.pause.call_count)

    def test_some_do_not_report_to_both_yet(self) -> None:
        self.both('a', 'db')
        for number in range(25):
            self.db.tell(f'b{number:02}')
        step, _, _ = self.check()
        self.assert_step(
            step,
            'WARNING',
            '1 of 26',
            'not safe to switch readers to zk',
            'b00, b01',
            'b19 and 5 more',
        )
        self.assertNotIn('b20', step.what)
        self.assertIn('[servicegroup] also_report_to = zk', step.advice)

    def test_a_member_that_is_held_or_down_is_no_proof(self) -> None:
        for state in ('held', 'down'):
            self.db.tell('a')
            self.zk.tell('a', 'db', state=state)
            self.assert_step(self.check()[0], 'WARNING', '0 of 1', 'there: a')

    def test_a_service_that_is_down_does_not_count(self) -> None:
        self.both('a', 'db')
        self.registered = [('compute', 'a'), ('compute', 'dead')]
        self.db.tell('dead', state='down')
        self.assert_step(self.check()[0], 'OK', '1 of 1')

    def test_no_service_reports_at_all(self) -> None:
        self.assert_step(self.check()[0], 'WARNING', '0 of 0', 'all members')

    def test_a_service_unknown_to_nova_does_not_count(self) -> None:
        self.both('a', 'db')
        self.db.tell('foreign')
        self.registered = [('compute', 'a')]
        self.assert_step(self.check()[0], 'OK', '1 of 1')

    def test_without_the_services_table_all_members_count(self) -> None:
        self.both('a', 'db')
        self.assert_step(
            self.check()[0], 'OK', '1 of 1', 'services table: away'
        )

    def test_readers_were_switched_too_early(self) -> None:
        self.both('a', 'zk')
        self.db.tell('late')
        step, early, zk, db = self.check('zk', 'db')
        self.assert_step(step, 'OK', '1 of 1')
        self.assert_step(
            early, 'ERROR', '1 reporting to db', 'not to zk: late'
        )
        self.assert_step(zk, 'OK', '1 of 1 services read from zk: a')
        self.assert_step(db, 'WARNING', '1 do not report it: late')

    def test_some_still_ask_by_the_old_one(self) -> None:
        self.both('a', 'zk')
        self.both('b', 'db')
        self.zk.tell('c', 'zk', 'db')
        self.db.tell('c')
        _, _, db = self.check('zk', 'db')
        self.assert_step(
            db,
            'WARNING',
            '2 of 3 services read from db: b, c',
            'not safe to stop',
        )
        self.assertIn('servicegroup_driver = zk', db.advice)

    def test_a_service_that_does_not_say_may_ask_by_either(self) -> None:
        self.both('a', '')
        for found in self.check('zk', 'db')[1:]:
            self.assertIn('1 do not report it: a', found.what)
            self.assertIn('not safe', found.what)

    def test_no_service_asks_by_the_old_one_any_more(self) -> None:
        self.both('a', 'zk')
        step, zk, db = self.check('zk', 'db')
        self.assert_step(step, 'OK', 'safe to switch readers to db')
        self.assert_step(db, 'OK', 'It is safe to stop reporting to it')
        self.assert_step(zk, 'OK', 'It is not safe to stop')

    def test_a_driver_that_cannot_be_read(self) -> None:
        self.both('a', 'db')
        self.zk.error = exceptions.BackendError('h1:2181', 'away')
        (found,) = self.check()
        self.assert_step(found, 'ERROR', 'zk cannot be read', 'h1:2181: away')

    def test_without_a_database_db_is_not_compared(self) -> None:
        self.both('a', 'zk')
        (found,) = self.check(databases=None)
        self.assert_step(found, 'OK', '[database] connection is not set')
        self.drivers['mc'] = self.drivers.pop('db')
        self.assertEqual(3, len(self.check('mc', databases=None)))

    def test_no_service_reports_to_the_new_one(self) -> None:
        self.db.tell('a')
        step, _, zk = self.check()
        self.assert_step(step, 'WARNING', '0 of 1')
        self.assert_step(zk, 'OK', 'No service reports to zk.')

    def test_a_driver_that_is_not_there(self) -> None:
        (found,) = self.check(secondary='zoo')
        self.assert_step(found, 'ERROR', 'zoo cannot be read')
