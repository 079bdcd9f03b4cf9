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

import datetime
import importlib
import sys
from unittest import mock

from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import fixture
from nova_servicegroup.tests import base
from nova_servicegroup.watch import watcher


def record(host='a', group='compute', **fields):
    return {
        'host': host,
        'topic': group,
        'binary': f'nova-{group}',
        'updated_at': None,
        'forced_down': False,
        **fields,
    }


class ServiceGroupFixtureTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.group = self.useFixture(fixture.ServiceGroupFixture())
        self.api = self.group.api

    def states(self, group='compute'):
        return {each.host: each.state for each in self.api.get_all(group)}

    def is_up(self, host='a', group='compute', **fields):
        return self.api.service_is_up(record(host, group, **fields))

    def test_who_is_unknown_is_down(self):
        self.assertFalse(self.is_up())
        self.assertEqual({}, self.states())

    def test_who_is_of_no_use(self):
        self.group.set_degraded('a', reason='virt', since=1800000000.0)
        self.group.set_draining('b')
        self.assertEqual({'a': 'degraded', 'b': 'draining'}, self.states())
        self.assertEqual([True, True], [self.is_up(host) for host in 'ab'])
        a, b = self.api.get_all('compute')
        self.assertEqual(('degraded', 'virt', 1800000000.0), a.condition)
        self.assertIn('its check fails: virt', a.reason)
        self.assertEqual('stopping', b.condition.reason)
        self.group.set_up('a')
        self.assertEqual('up', self.states()['a'])

    def test_states(self):
        self.group.set_up('a')
        self.group.set_held('b')
        self.group.set_up('c')
        self.group.set_down('c')
        self.assertEqual({'a': views.UP, 'b': views.HELD}, self.states())
        self.assertEqual(
            [True, True, False], [self.is_up(host) for host in 'abc']
        )

    def test_groups_are_apart(self):
        self.group.set_up('a', 'conductor')
        self.assertFalse(self.is_up())
        self.assertTrue(self.is_up(group='conductor'))

    def test_forced_down_wins(self):
        self.group.set_up('a')
        self.assertFalse(self.is_up(forced_down=True))

    def test_join_and_leave(self):
        self.api.join('a', 'compute', base.FakeService())
        self.assertTrue(self.is_up())
        self.api.leave('a', 'compute')
        self.assertFalse(self.is_up())

    def age(self):
        updated = self.api.get_updated_time(record())
        now = datetime.datetime.now(datetime.timezone.utc)
        return (now - updated).total_seconds()

    def test_the_proof_of_life(self):
        self.group.set_up('a', proof_age=30.0)
        self.assertGreaterEqual(self.age(), 30.0)
        # As with the real drivers, see doc/source/admin/consumers.rst.
        self.group.set_held('a', proof_age=30.0)
        self.assertLess(self.age(), 30.0)
        self.assertIsNone(self.api.get_updated_time(record('b')))
        naive = datetime.datetime(2020, 1, 1)
        recorded = {**record('b'), 'updated_at': naive}
        self.assertIs(naive, self.api.get_updated_time(recorded))

    def test_blind(self):
        self.group.set_up('a')
        self.group.set_blind(age=5.0)
        view = self.api.view('compute')
        self.assertIsInstance(view.error, exceptions.BackendError)
        self.assertEqual(5.0, view.age)
        self.assertTrue(self.is_up())
        self.assertRaises(exceptions.BackendError, self.api.driver.check)
        self.group.set_seeing()
        self.assertIsNone(self.api.view('compute').error)
        self.api.driver.check()

    def test_blind_from_the_start(self):
        self.group.set_blind()
        self.assertIsNone(self.api.view('compute').age)
        self.assertRaises(exceptions.BackendError, self.api.get_all, 'compute')

    def test_a_watcher_sees_what_is_set(self):
        watch = watcher.Watcher(self.api, 'compute')
        watch.poll()
        seen = []
        for change in (
            self.group.set_up,
            self.group.set_held,
            self.group.set_down,
        ):
            change('a')
            seen += [each.state for each in watch.poll()]
        self.assertEqual([views.UP, views.HELD, views.DOWN], seen)

    def test_each_is_empty(self):
        self.group.set_up('a')
        other = self.useFixture(fixture.ServiceGroupFixture())
        self.assertEqual([], other.api.get_all('compute'))

    def test_a_configuration_of_the_consumer(self):
        conf = self.make_conf('[servicegroup]\nread_timeout = 7')
        made = self.useFixture(fixture.ServiceGroupFixture(conf))
        self.assertIs(conf, made.api.driver.conf)


class LibraryTestCase(base.TestCase):
    def test_without_the_library(self):
        name = fixture.__name__
        with mock.patch.dict(sys.modules, {'fixtures': None}):
            del sys.modules[name]
            error = self.assertRaises(
                ImportError, importlib.import_module, name
            )
        self.assertIn('pip install fixtures', str(error))
        self.assertIs(fixture, sys.modules[name])
