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


import importlib
from importlib import metadata
import subprocess
import sys
import types as python_types
from unittest import mock

import fixtures
from oslo_config import cfg
from oslo_config import types
import oslo_messaging
from oslotest import base

from nova_servicegroup import api
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup.plugin import compat
from nova_servicegroup.plugin import driver
from nova_servicegroup.plugin import entry_point
from nova_servicegroup.plugin import hook
from nova_servicegroup.plugin import records
from nova_servicegroup.plugin import service
from nova_servicegroup.tests.unit import fake_nova


class HookTestCase(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        self.nova = self.useFixture(fake_nova.FakeNova())

    def test_castellan_finds_no_options(self):
        made = hook.Hook(self.nova.conf)
        self.assertEqual([], made.list_options_for_discovery())

    def test_every_installed_driver_is_accepted(self):
        hook.Hook(self.nova.conf)
        for name in fake_nova.NAMES:
            self.assertEqual(name, self.nova.read(name))
        self.assertEqual('', self.nova.log.output)

    def test_the_sample_shows_every_driver(self):
        hook.Hook(self.nova.conf)
        self.assertEqual(
            {
                'db': 'Database',
                'mc': 'Memcache',
                'zk': 'Driver of nova-servicegroup',
            },
            dict(self.nova.option.type.choices),
        )

    def test_other_names_are_refused(self):
        hook.Hook(self.nova.conf)
        error = self.assertRaises(ValueError, self.nova.read, 'ldap')
        self.assertIn('[db, mc, zk]', str(error))

    def test_nothing_is_connected_before_the_option_is_read(self):
        hook.Hook(self.nova.conf)
        self.assertEqual(compat.STOCK, self.nova.mapping)

    def test_reading_makes_nova_construct_our_class(self):
        hook.Hook(self.nova.conf)
        self.nova.read()
        self.assertEqual(
            dict.fromkeys(fake_nova.NAMES, compat.DRIVER),
            self.nova.mapping,
        )

    def test_the_class_that_nova_constructs_exists(self):
        module, _, name = compat.DRIVER.rpartition('.')
        self.assertIs(driver.Driver, getattr(sys.modules[module], name))

    def test_twice_is_once(self):
        hook.Hook(self.nova.conf)
        widened = self.nova.option.type
        hook.Hook(self.nova.conf)
        self.assertIs(widened, self.nova.option.type)

    def test_it_is_too_late_for_nobody(self):
        # oslo.policy loads the spare after the option is registered and,
        # here, read.
        self.nova.read()
        hook.Hook(self.nova.conf)
        self.assertEqual('zk', self.nova.read('zk'))

    def test_a_driver_of_nova_that_is_not_ours_stays(self):
        self.nova.mapping['etcd'] = 'nova.etcd.Driver'
        hook.Hook(self.nova.conf)
        self.nova.read('zk')
        self.assertEqual('nova.etcd.Driver', self.nova.mapping['etcd'])

    def test_without_a_name_of_ours_stock_keeps_it(self):
        api.installed_drivers.return_value = ['zk']
        hook.Hook(self.nova.conf)
        self.nova.read('mc')
        self.assertEqual(compat.STOCK['mc'], self.nova.mapping['mc'])

    def test_the_spare(self):
        sys.modules.pop('nova_servicegroup.plugin.policy_hook', None)
        spare = importlib.import_module('nova_servicegroup.plugin.policy_hook')
        self.assertEqual('zk', self.nova.read('zk'))
        check = spare.Deny('nova_servicegroup', 'anything')
        self.assertFalse(check({}, {}, None))
        self.assertEqual('nova_servicegroup:anything', str(check))

    def test_no_problems(self):
        hook.Hook(self.nova.conf)
        self.assertEqual([], hook.INSTALLATION.problems())
        self.assertEqual(compat.DRIVER, self.nova.mapping['zk'])

    def test_the_problem_of_a_hook_that_was_not_loaded(self):
        self.assertEqual(
            ['neither castellan nor oslo.policy has loaded the hook'],
            hook.INSTALLATION.problems(),
        )


class NoNovaTestCase(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        self.nova = self.useFixture(fake_nova.NoNova())

    def test_nothing_happens(self):
        before = set(sys.modules)
        hook.Hook(cfg.ConfigOpts())
        self.assertEqual(before, set(sys.modules))
        self.assertEqual('', self.nova.log.output)

    def test_importing_the_hook_imports_no_more(self):
        script = (
            'import sys, nova_servicegroup.plugin.policy_hook as _;'
            'print(*sys.modules)'
        )
        loaded = subprocess.run(
            [sys.executable, '-c', script],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        ).stdout.split()
        unwanted = {
            'nova',
            'oslo_messaging',
            'oslo_service',
            'tooz',
            'eventlet',
            'nova_servicegroup.api',
        }
        self.assertEqual(set(), unwanted & set(loaded))

    def test_an_error_before_logging_is_set_up_is_seen(self):
        script = (
            'import sys, types;'
            'sys.modules["nova.conf.servicegroup"] = types.ModuleType("x");'
            'from nova_servicegroup.plugin import hook;'
            'hook.Hook(); hook.Hook()'
        )
        shown = subprocess.run(
            [sys.executable, '-c', script],
            check=True,
            text=True,
            stderr=subprocess.PIPE,
        ).stderr
        self.assertEqual(1, shown.count('stands aside'), shown)


class EntryPointTestCase(base.BaseTestCase):
    """A Nova that loads drivers from entry points is left as it is."""

    def setUp(self):
        super().setUp()
        self.nova = self.useFixture(fake_nova.FakeNova())
        self.nova.option.type = types.String()
        self.nova.conf_module.SERVICEGROUP_DRIVER_NAMESPACE = compat.NAMESPACE
        del self.nova.api._driver_name_class_mapping
        hook.Hook(self.nova.conf)

    def test_nova_stays_as_it_is(self):
        self.assertIs(types.String, type(self.nova.option.type))
        self.assertEqual('zk', self.nova.read('zk'))
        self.assertEqual(compat.STOCK, self.nova.mapping)
        self.assertEqual('', self.nova.log.output)

    def test_every_driver_has_an_entry_point(self):
        points = metadata.entry_points(group=compat.NAMESPACE)
        ours = {
            each.name: each.load()
            for each in points
            if each.dist.name == 'nova-servicegroup'
        }
        names = {
            each.name for each in metadata.entry_points(group=api.NAMESPACE)
        }
        self.assertEqual(dict.fromkeys(names, entry_point.load), ours)

    def test_it_makes_our_driver(self):
        with mock.patch.object(driver, '_shared') as shared:
            made = entry_point.load()
        self.assertIs(shared.return_value.driver.is_up, made.is_up)
        self.assertEqual([], hook.INSTALLATION.problems())

    def test_of_another_nova_it_makes_none(self):
        del sys.modules['nova.rpc'].create_transport
        error = self.assertRaises(compat.UnexpectedNova, entry_point.load)
        self.assertIn('nova.rpc.create_transport', str(error))
        self.assertEqual([str(error)], hook.INSTALLATION.problems())

    def test_of_a_nova_that_cannot_be_imported_it_makes_none(self):
        with mock.patch.object(
            importlib, 'import_module', side_effect=SyntaxError('torn')
        ):
            self.assertEqual(
                ['SyntaxError: torn'], hook.INSTALLATION.problems()
            )

    def test_no_hook_is_needed(self):
        with mock.patch.object(hook, 'INSTALLATION', hook.Installation()):
            self.assertEqual([], hook.INSTALLATION.problems())

    def register(self, *names):
        """Let packages register these names, and no others."""
        points = [
            metadata.EntryPoint(name, 'some:load', compat.NAMESPACE)
            for name in names
        ]
        self.useFixture(
            fixtures.MockPatchObject(
                metadata, 'entry_points', return_value=points
            )
        )

    def test_a_driver_that_nova_does_not_find(self):
        self.register('db', 'mc')
        (problem,) = hook.INSTALLATION.problems()
        self.assertEqual(
            'zk is not registered as nova.servicegroup.drivers', problem
        )

    def test_a_driver_that_nova_finds_twice(self):
        self.register('db', 'mc', 'zk', 'zk', 'others', 'others')
        (problem,) = hook.INSTALLATION.problems()
        self.assertEqual(
            'several packages register zk as nova.servicegroup.drivers',
            problem,
        )

    def test_another_namespace_is_none(self):
        self.nova.conf_module.SERVICEGROUP_DRIVER_NAMESPACE = 'others'
        hook.Hook(self.nova.conf)
        (error,) = self.nova.errors()
        self.assertIn('stands aside', error)


class UnexpectedNovaTestCase(base.BaseTestCase):
    """Nova has changed: one ERROR, and it runs as if we were not there."""

    def setUp(self):
        super().setUp()
        self.nova = self.useFixture(fake_nova.FakeNova())

    def assert_stock(self, reason):
        hook.Hook(self.nova.conf)
        for name in compat.STOCK:
            self.assertEqual(name, self.nova.read(name))
        self.assertRaises(ValueError, self.nova.read, 'zk')
        hook.Hook(self.nova.conf)
        self.nova.read('db')
        (error,) = self.nova.errors()
        self.assertIn('stands aside', error)
        self.assertIn(reason, error)
        self.assertIn(reason, '; '.join(hook.INSTALLATION.problems()))
        self.assertNotIn(compat.DRIVER, self.nova.mapping.values())

    def test_no_options(self):
        del self.nova.conf_module.SERVICEGROUP_OPTS
        self.assert_stock('SERVICEGROUP_OPTS')

    def test_a_name_is_gone_that_is_used_later(self):
        del sys.modules['nova.rpc'].create_transport
        del sys.modules['nova.objects.service'].Service.save
        self.assert_stock(
            'it has no nova.objects.service.Service.save, '
            'nova.rpc.create_transport'
        )

    def test_a_module_is_gone(self):
        sys.modules['nova.db.main.api'] = None
        self.assert_stock('ImportError: import of nova.db.main.api halted')

    def test_another_option(self):
        self.nova.conf_module.SERVICEGROUP_OPTS = [cfg.StrOpt('driver')]
        self.assert_stock('no option servicegroup_driver')

    def test_an_option_without_choices(self):
        self.nova.conf_module.SERVICEGROUP_OPTS = [
            cfg.StrOpt('servicegroup_driver')
        ]
        self.assert_stock('the option servicegroup_driver has the type')

    def test_a_list_of_drivers(self):
        self.nova.conf_module.SERVICEGROUP_OPTS = [
            cfg.MultiStrOpt('servicegroup_driver')
        ]
        self.assert_stock('the option servicegroup_driver has the type')

    def test_no_mapping(self):
        self.nova.api._driver_mapping = self.nova.mapping
        del self.nova.api._driver_name_class_mapping
        self.assert_stock('_driver_name_class_mapping')

    def test_no_servicegroup(self):
        del sys.modules['nova.servicegroup.api']
        del sys.modules['nova.servicegroup'].api
        self.assert_stock('ImportError')

    def test_the_mapping_holds_something_else(self):
        self.nova.mapping.update(db=object())
        self.assert_stock('servicegroup driver db is <object')

    def test_nova_has_got_a_driver_of_that_name(self):
        self.nova.mapping['zk'] = 'nova.servicegroup.drivers.zk.Driver'
        self.assert_stock('zk is nova.servicegroup.drivers.zk.Driver')

    def test_somebody_else_has_replaced_a_driver(self):
        self.nova.mapping['mc'] = 'other.Driver'
        self.assert_stock('mc is other.Driver')

    def test_a_driver_must_do_more(self):
        self.nova.base.Driver = type('Driver', (), {'fence': None})
        self.assert_stock('the methods fence')

    def test_our_drivers_are_not_registered(self):
        api.installed_drivers.return_value = []
        self.assert_stock('no driver is registered')

    def test_our_own_error(self):
        api.installed_drivers.side_effect = RuntimeError('broken')
        self.assert_stock('RuntimeError: broken')


class DriverTestCase(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        self.nova = self.useFixture(fake_nova.FakeNova())
        hook.Hook(self.nova.conf)
        self.load = self.useFixture(
            fixtures.MockPatchObject(
                api, 'load_driver', side_effect=self._load
            )
        ).mock
        self.drivers = []

    def _load(self, conf, name, option=None):
        self.drivers.append(fake_nova.FakeDriver(conf))
        return self.drivers[-1]

    def test_all_share_one_api(self):
        drivers = [driver.Driver() for _ in range(486)]
        self.assertEqual(1, len({id(each._api) for each in drivers}))
        self.load.assert_called_once_with(self.nova.conf, 'db')

    def test_all_share_the_secondary_drivers_too(self):
        opts.register_opts(self.nova.conf)
        self.nova.conf.set_override(
            'also_report_to', ['mc', 'zk'], 'servicegroup'
        )
        made = [driver.Driver() for _ in range(486)][0]
        made.join('host', 'compute', mock.Mock(report_interval=10))
        self.assertEqual(3, len(self.drivers))
        for each in self.drivers:
            self.assertIsInstance(each.table, records.ServicesTable)
            self.assertIs(made._api.driver.table, each.table)
            ((member, group, joined),) = each.joined
            self.assertEqual(('host', 'compute'), (member, group))
            self.assertIsInstance(joined, service.NovaService)

    def test_another_choice_makes_another_api(self):
        driver.Driver()
        self.nova.read('zk')
        driver.Driver()
        self.load.assert_called_with(self.nova.conf, 'zk')
        self.assertEqual(2, len(self.drivers))

    def test_what_is_shared_can_be_forgotten(self):
        driver.Driver()
        driver.forget()
        self.assertTrue(self.drivers[0].closed)
        driver.Driver()
        self.assertEqual([True, False], [each.closed for each in self.drivers])

    def test_novas_arguments_are_taken(self):
        driver.Driver('some', of='them')

    def test_an_error_reaches_nova_without_our_stack(self):
        self.load.side_effect = exceptions.LibraryMissing('zk', 'kazoo', 'zk')
        try:
            driver.Driver()
        except exceptions.LibraryMissing as error:
            self.assertIn('pip install nova-servicegroup[zk]', str(error))
            self.assertIsNone(error.__cause__)
            self.assertTrue(error.__suppress_context__)
        else:
            self.fail('nothing raised')

    def test_questions_go_to_the_driver(self):
        made = driver.Driver()
        self.assertTrue(made.is_up({'host': 'alive'}))
        self.assertFalse(made.is_up({'host': 'other'}))
        self.assertEqual(3, made.updated_time({'updated_at': 3}))

    def test_join_hands_over_the_service(self):
        service = mock.Mock(report_interval=10)
        driver.Driver().join('host', 'compute', service)
        ((member, group, wrapped),) = self.drivers[0].joined
        self.assertEqual(('host', 'compute'), (member, group))
        self.assertEqual(10, wrapped.report_interval)
        self.assertIs(service.tg, wrapped.tg)
        self.assertIn(
            'INFO Joining the servicegroup compute as host with the driver db',
            self.nova.log.output,
        )

    def test_join_needs_the_service(self):
        for expected in (exceptions.ArgumentError, RuntimeError):
            self.assertRaises(
                expected, driver.Driver().join, 'host', 'compute'
            )

    def test_join_needs_a_host(self):
        self.assertRaises(
            exceptions.ArgumentError,
            driver.Driver().join,
            '',
            'compute',
            mock.Mock(report_interval=10),
        )


class ServiceNotFound(Exception):
    """As Nova's."""


class NovaServiceTestCase(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        self.nova = self.useFixture(fake_nova.FakeNova())
        self.nova.module('nova.exception', ServiceNotFound=ServiceNotFound)
        self.nova.module('nova.objects')
        self.nova_object = python_types.SimpleNamespace(indirection_api=None)
        self.nova.module('nova.objects.base', NovaObject=self.nova_object)
        self.record = mock.Mock(report_count=6)
        self.stop = mock.Mock(return_value='stopped')
        self.running = python_types.SimpleNamespace(
            binary='nova-compute',
            host='host',
            report_interval=None,
            tg=None,
            stop=self.stop,
            service_ref=self.record,
        )
        self.service = service.NovaService(self.running)

    def test_one_that_never_reports(self):
        self.assertEqual(0, self.service.report_interval)

    def test_heartbeat(self):
        self.service.save_heartbeat()
        self.assertEqual(7, self.record.report_count)
        self.record.save.assert_called_once_with()

    def test_heartbeat_uses_the_present_record(self):
        self.running.service_ref = mock.Mock(report_count=1)
        self.service.save_heartbeat()
        self.assertEqual(6, self.record.report_count)

    def test_the_record_is_deleted(self):
        self.record.save.side_effect = ServiceNotFound
        error = self.assertRaises(
            exceptions.RecordDeleted, self.service.save_heartbeat
        )
        self.assertEqual(('nova-compute', 'host'), (error.binary, error.host))

    def test_the_conductor_has_less_time_than_a_beat(self):
        self.nova_object.indirection_api = conductor = mock.Mock()
        self.record.indirection_api = conductor
        self.service.report_interval = 10
        clients = []
        self.record.save.side_effect = lambda: clients.append(
            self.record.indirection_api.client
        )
        self.service.save_heartbeat()
        conductor.client.prepare.assert_called_once_with(timeout=4.0)
        self.assertEqual([conductor.client.prepare.return_value], clients)
        self.assertNotIn('indirection_api', vars(self.record))

    def test_a_heartbeat_that_somebody_else_wrote(self):
        self.service.note_heartbeat()
        self.assertEqual(7, self.record.report_count)
        self.record.obj_reset_changes.assert_called_once_with(['report_count'])
        self.record.save.assert_not_called()

    def test_without_the_database_there_is_no_engine(self):
        self.nova_object.indirection_api = object()
        self.assertIsNone(self.service.engine())

    def test_the_engine_and_the_transport_are_novas(self):
        self.nova.module('nova.db')
        self.nova.module('nova.db.main')
        self.nova.module(
            'nova.db.main.api', get_engine=lambda context: f'of {context}'
        )
        self.nova.module('nova.rpc', TRANSPORT='transport')
        self.record._context = 'its cell'
        self.assertEqual('of its cell', self.service.engine())
        self.assertEqual('transport', self.service.transport())

    def test_only_a_conductor_collects(self):
        self.assertFalse(self.service.collects)
        self.running.binary = 'nova-conductor'
        self.assertTrue(service.NovaService(self.running).collects)

    def test_the_conductor_is_silent(self):
        self.nova_object.indirection_api = mock.Mock()
        self.record.save.side_effect = oslo_messaging.MessagingTimeout(
            'no reply'
        )
        error = self.assertRaises(
            exceptions.BackendTimeout, self.service.save_heartbeat
        )
        self.assertEqual('nova-conductor: no reply', str(error))

    def test_the_database_fails(self):
        self.record.save.side_effect = KeyError
        error = self.assertRaises(
            exceptions.BackendError, self.service.save_heartbeat
        )
        self.assertEqual('services table: KeyError', str(error))

    def test_stop_comes_first(self):
        calls = mock.Mock()
        self.running.stop = calls.stop
        self.service.on_stop(calls.left)
        self.running.stop('now', graceful=True)
        self.assertEqual(
            [mock.call.stop('now', graceful=True), mock.call.left()],
            calls.mock_calls,
        )

    def test_it_is_told_before_it_stops(self):
        calls = mock.Mock()
        self.running.stop = calls.stop
        self.service.on_stop(calls.left)
        self.service.before_stop(calls.begun)
        self.service.on_stop(calls.left_too)
        for _ in range(2):
            self.running.stop()
        names = [each[0] for each in calls.mock_calls]
        self.assertEqual(['begun', 'stop', 'left', 'left_too', 'stop'], names)

    def test_it_stops_though_it_cannot_be_told(self):
        self.service.before_stop(mock.Mock(side_effect=KeyError))
        self.assertEqual('stopped', self.running.stop())

    def test_stop_returns_what_it_returned(self):
        self.service.on_stop(mock.Mock())
        self.assertEqual('stopped', self.running.stop())

    def test_two_callbacks_once_each(self):
        callbacks = mock.Mock(), mock.Mock()
        for callback in callbacks:
            self.service.on_stop(callback)
        self.running.stop()
        self.running.stop()
        for callback in callbacks:
            callback.assert_called_once_with()
        self.assertEqual(2, self.stop.call_count)

    def test_a_stop_that_raises(self):
        self.stop.side_effect = KeyError
        callback = mock.Mock()
        self.service.on_stop(callback)
        self.assertRaises(KeyError, self.running.stop)
        callback.assert_called_once_with()

    def test_a_callback_that_raises(self):
        self.service.on_stop(mock.Mock(side_effect=KeyError))
        self.assertEqual('stopped', self.running.stop())
        self.assertIn('Leaving the servicegroup failed', self.nova.log.output)
