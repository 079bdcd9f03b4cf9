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


"""The seam against every Nova that the package promises to work with.

Each wheel runs on the libraries of the installed Nova.
"""

import pathlib
import subprocess

import testscenarios

from nova_servicegroup.tests.ministack import venv
from nova_servicegroup.tests.nova import process
from nova_servicegroup.tests.nova import wheels

load_tests = testscenarios.load_tests_apply_scenarios

(PATCH,) = (venv.ROOT / 'contrib' / 'nova').glob('*.patch')

_SERIES = [(series, {'series': series}) for series in wheels.SERIES]


class WheelTestCase(process.ProcessTestCase):
    scenarios = _SERIES

    def setUp(self):
        super().setUp()
        wheel = wheels.fetch(self.series)
        self.version = wheel.name.split('-')[1]
        self.path = pathlib.Path(self.create_temp_dir())
        wheels.unpack(wheel, self.path)

    def assert_live(self, found, errors):
        self.assertIsNotNone(found)
        self.assertEqual(f'{self.path}/nova/__init__.py', found['nova'])
        self.assertEqual(process.DRIVERS, found['choices'])
        self.assertEqual([process.ADAPTER], found['classes'])
        self.assertEqual(1, found['shared'])
        self.assertNotIn('stands aside', errors)

    def change(self, name, old, new):
        """Replace every old with new in one of Nova's files."""
        file = self.path / 'nova' / name
        text = file.read_text()
        self.assertIn(old, text)
        file.write_text(text.replace(old, new))


class KnownTestCase(WheelTestCase):
    scenarios = testscenarios.multiply_scenarios(
        _SERIES,
        [('threading', {'eventlet': False}), ('eventlet', {'eventlet': True})],
    )

    def test_a_driver_loads(self):
        found, errors = self.probe(
            'zk', eventlet=self.eventlet, path=self.path
        )
        self.assert_live(found, errors)
        self.assertEqual(
            ['nova_servicegroup.drivers.zk.driver.ZooKeeperDriver'],
            found['drivers'],
        )


class SpareTestCase(WheelTestCase):
    def test_oslo_policy_alone_is_enough(self):
        self.change(
            'conf/key_manager.py', 'castellan_opts.set_defaults(conf)', 'pass'
        )
        self.assert_live(*self.probe('zk', path=self.path))


class EntryPointTestCase(WheelTestCase):
    """A Nova with the change of contrib/nova."""

    scenarios = _SERIES[:1]

    def setUp(self):
        super().setUp()
        # What is unpacked has no tests, documentation and release notes.
        subprocess.run(
            [
                *('git', 'apply', '--exclude=nova/tests/*'),
                *('--include=nova/*', PATCH),
            ],
            cwd=self.path,
            check=True,
        )

    def test_our_drivers_load(self):
        servers = (
            f'{process.ZK}[etcd]\naddress = 127.0.0.1:1\n'
            '[redis]\naddress = 127.0.0.1:1\n'
        )
        for driver in process.DRIVERS:
            found, errors = self.probe(driver, path=self.path, text=servers)
            self.assertIsNotNone(found)
            self.assertEqual([], found['choices'])
            self.assertEqual([process.ADAPTER], found['classes'])
            self.assertEqual(1, found['shared'])
            self.assertNotIn('stands aside', errors)

    def test_a_broken_driver_of_another_package_is_not_loaded(self):
        others = self.path / 'others-1.0.dist-info'
        others.mkdir()
        (others / 'METADATA').write_text('Name: others\nVersion: 1.0\n')
        (others / 'entry_points.txt').write_text(
            '[nova.servicegroup.drivers]\nconsul = missing:Driver\n'
        )
        found, _ = self.probe('zk', path=self.path)
        self.assertEqual([process.ADAPTER], found and found['classes'])

    def test_another_name_is_refused(self):
        found, errors = self.probe('ldap', path=self.path)
        self.assertIsNone(found)
        self.assertIn('There is no servicegroup driver ldap.', errors)


class ChangedTestCase(WheelTestCase):
    """A Nova that we do not know: one ERROR, and it runs as stock."""

    scenarios = testscenarios.multiply_scenarios(
        _SERIES[:1],
        [
            (
                'mapping',
                {
                    'file': 'servicegroup/api.py',
                    'old': '_driver_name_class_mapping',
                    'new': '_drivers',
                },
            ),
            (
                'options',
                {
                    'file': 'conf/servicegroup.py',
                    'old': 'SERVICEGROUP_OPTS',
                    'new': 'OPTS',
                },
            ),
            (
                'interface',
                {
                    'file': 'servicegroup/drivers/base.py',
                    'old': 'def is_up',
                    'new': 'def is_alive',
                },
            ),
        ],
    )

    def setUp(self):
        super().setUp()
        self.change(self.file, self.old, self.new)

    def assert_one_error(self, errors):
        self.assertEqual(1, errors.count('stands aside'), errors)
        self.assertIn(f'this Nova ({self.version})', errors)

    def test_stock_db_loads(self):
        found, errors = self.probe('db', path=self.path)
        self.assert_one_error(errors)
        self.assertEqual([process.STOCK_DB], found['classes'])
        self.assertEqual(['db', 'mc'], found['choices'])

    def test_other_names_are_refused(self):
        found, errors = self.probe('zk', path=self.path)
        self.assert_one_error(errors)
        self.assertIsNone(found)
        self.assertIn("Valid values are [db, mc], but found 'zk'", errors)
