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


import os
import sys
import threading
from unittest import mock


from nova_servicegroup import api
from nova_servicegroup.drivers import base as drivers
from nova_servicegroup.drivers import db
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

ZK = '[DEFAULT]\nservicegroup_driver = zk\n[zookeeper]\naddress = h1\n'
MC = '[DEFAULT]\nservicegroup_driver = mc\nmemcached_servers = h1\n'


class LoadTest(base.TestCase):
    def test_the_names_of_the_guide_are_installed(self) -> None:
        self.assertLessEqual({'db', 'mc', 'zk'}, set(api.installed_drivers()))

    def test_an_unknown_name_lists_the_installed_ones(self) -> None:
        conf = self.make_conf('[DEFAULT]\nservicegroup_driver = zoo\n')
        error = self.assertRaises(exceptions.DriverNotFound, api.API, conf)
        self.assertIn("'zoo'", str(error))
        self.assertIn(', '.join(api.installed_drivers()), str(error))

    def test_anyone_may_add_a_driver(self) -> None:
        self.install(
            'other',
            api.NAMESPACE,
            'other = nova_servicegroup.drivers.db:DatabaseDriver',
        )
        conf = self.make_conf('[DEFAULT]\nservicegroup_driver = other\n')
        self.assertIsInstance(api.API(conf).driver, db.DatabaseDriver)
        self.assertIn('other', api.installed_drivers())

    def test_a_name_that_several_provide_is_refused(self) -> None:
        self.install(
            'one',
            api.NAMESPACE,
            'two = nova_servicegroup.drivers.db:DatabaseDriver',
        )
        self.install(
            'another',
            api.NAMESPACE,
            'two = nova_servicegroup.drivers.mc:MemcachedDriver',
        )
        conf = self.make_conf('[DEFAULT]\nservicegroup_driver = two\n')
        error = self.assertRaises(exceptions.DriverAmbiguous, api.API, conf)
        for provider in ('drivers.db:', 'drivers.mc:'):
            self.assertIn(provider, str(error))

    def test_a_missing_library_names_the_extra(self) -> None:
        for text, library, extra in (
            (ZK, 'kazoo', 'zk'),
            (ZK, 'tooz', 'zk'),
            (MC, 'pymemcache', 'mc'),
        ):
            with mock.patch(
                'importlib.util.find_spec',
                lambda name, library=library: (
                    None if name == library else object()
                ),
            ):
                error = self.assertRaises(
                    exceptions.LibraryMissing, api.API, self.make_conf(text)
                )
            self.assertIn(library, str(error))
            self.assertIn(
                f'pip install nova-servicegroup[{extra}]', str(error)
            )

    def test_a_library_that_cannot_be_imported_is_named_with_why(self) -> None:
        for text, module in (
            (ZK, 'tooz.coordination'),
            (ZK, 'tooz.drivers.zookeeper'),
            (MC, 'tooz.drivers.memcached'),
            (MC, 'pymemcache.exceptions'),
        ):
            # What Python raises for it is an ImportError that says this.
            with mock.patch.dict(sys.modules, {module: None}):
                error = self.assertRaises(
                    exceptions.LibraryUnusable, api.API, self.make_conf(text)
                )
            self.assertIn(f'cannot import {module}', str(error))
            self.assertIn(f'import of {module} halted', str(error))

    def test_a_driver_that_cannot_be_imported_is_named_with_why(self) -> None:
        self.install(
            'broken',
            api.NAMESPACE,
            'broken = nova_servicegroup.nowhere:Driver',
        )
        conf = self.make_conf('[DEFAULT]\nservicegroup_driver = broken\n')
        error = self.assertRaises(exceptions.LibraryUnusable, api.API, conf)
        self.assertIn('nova_servicegroup.nowhere:Driver', str(error))
        self.assertIn('ModuleNotFoundError', str(error))

    def test_zk_without_an_address_fails_at_start(self) -> None:
        for line in ('', 'address =\n', 'address = ""\n'):
            conf = self.make_conf(
                f'[DEFAULT]\nservicegroup_driver = zk\n[zookeeper]\n{line}'
            )
            error = self.assertRaises(
                exceptions.ConfigurationError, api.API, conf
            )
            self.assertIn('[zookeeper] address', str(error))

    def test_a_user_without_a_password_is_refused(self) -> None:
        conf = self.make_conf(f'{ZK}username = nova\n')
        error = self.assertRaises(exceptions.ConfigurationError, api.API, conf)
        self.assertIn('[zookeeper] username', str(error))

    def test_a_password_is_never_in_an_error(self) -> None:
        for line in (
            'password = hush',
            'username = a\npassword = hush/',
            # As urllib sees it there is a / in it, and it shows all of it.
            'username = a\npassword = hush\N{ACCOUNT OF}',
            'username = a\npassword = hush\N{FULLWIDTH COMMERCIAL AT}',
        ):
            conf = self.make_conf(f'{ZK}{line}\n')
            error = self.assertRaises(
                exceptions.ConfigurationError, api.API, conf
            )
            self.assertIn('[zookeeper]', str(error))
            self.assertNotIn('hush', str(error))


class CostTest(base.TestCase):
    def test_construction_opens_nothing_and_starts_nothing(self) -> None:
        also = '[servicegroup]\nalso_report_to = db, mc\n'
        for text in (ZK, MC, '', ZK + also):
            conf = self.make_conf(text)
            files = len(os.listdir('/proc/self/fd'))
            threads = threading.active_count()
            apis = [api.API(conf) for _ in range(10)]
            self.assertEqual(10, len(apis))
            self.assertEqual(files, len(os.listdir('/proc/self/fd')))
            self.assertEqual(threads, threading.active_count())


class ForwardTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api = api.API(self.make_conf())
        self.driver = mock.create_autospec(drivers.Driver, instance=True)
        self.api.driver = self.driver

    def test_forced_down_wins_and_asks_nobody(self) -> None:
        self.assertFalse(self.api.service_is_up({'forced_down': True}))
        self.driver.is_up.assert_not_called()

    def test_names_are_checked(self) -> None:
        service = base.FakeService()
        for member, group in (('', 'compute'), ('a', ''), (None, 'compute')):
            self.assertRaises(
                exceptions.ArgumentError, self.api.join, member, group, service
            )
        self.assertRaises(exceptions.ArgumentError, self.api.get_all, '')
        self.driver.join.assert_not_called()
