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


from importlib import metadata
import pathlib
import sys

import testscenarios

from nova_servicegroup.tests.nova import process

load_tests = testscenarios.load_tests_apply_scenarios


_NAMES = ', '.join(process.DRIVERS)


class LiveTestCase(process.ProcessTestCase):
    """In a fresh process of the installed Nova."""

    scenarios = testscenarios.multiply_scenarios(
        [('threading', {'eventlet': False}), ('eventlet', {'eventlet': True})],
        [
            ('db', {'driver': 'db'}),
            ('mc', {'driver': 'mc'}),
            ('zk', {'driver': 'zk'}),
        ],
    )

    def test_nova_runs_on_our_driver(self):
        found, errors = self.probe(self.driver, eventlet=self.eventlet)
        self.assertIsNotNone(found)
        self.assertEqual(process.DRIVERS, found['choices'])
        self.assertEqual([process.ADAPTER], found['classes'])
        (path,) = found['drivers']
        self.assertIn(f'nova_servicegroup.drivers.{self.driver}.', path)
        self.assert_mode(found)
        self.assert_cheap(found)
        self.assert_every_record_accepted(found, errors)

    def assert_mode(self, found):
        self.assertEqual(self.eventlet, found['eventlet_patched'])
        self.assertEqual(not self.eventlet, found['eventlet_poisoned'])

    def assert_cheap(self, found):
        self.assertEqual((1, 0), (found['shared'], found['new_threads']))

    def assert_every_record_accepted(self, found, errors):
        for _host, up, aware in found['verdicts']:
            self.assertIsInstance(up, bool)
            self.assertTrue(aware)
        self.assertNotIn('Traceback', errors)


class DatabaseTestCase(process.ProcessTestCase):
    def test_verdicts(self):
        found, _ = self.probe('db')
        self.assertEqual(
            [['young', True, True]] * 3 + [['old', False, True]] * 3,
            found['verdicts'],
        )


class ProgramsTestCase(process.ProcessTestCase):
    def run_program(self, name, *arguments):
        return self.run_python(
            pathlib.Path(sys.executable).with_name(name), *arguments
        )

    def test_an_unusable_option_stops_nova_and_says_so(self):
        ended = self.run_program(
            'nova-compute', '--config-file', self.config_file('zk')
        )
        self.assertEqual(1, ended.returncode)
        shown = ended.stdout + ended.stderr
        (first,) = [line for line in shown.splitlines() if 'CRITICAL' in line]
        self.assertIn("[zookeeper] address = '' cannot be used", first)
        self.assertNotIn('During handling', shown)

    def test_an_unknown_driver_stops_nova_and_names_the_known(self):
        ended = self.run_program(
            'nova-compute', '--config-file', self.config_file('ldap')
        )
        self.assertEqual(1, ended.returncode)
        self.assertIn(
            f'Valid values are [{_NAMES}]', ended.stdout + ended.stderr
        )

    def test_status(self):
        ended = self.run_program(
            'nova-servicegroup-status',
            '--config-file',
            self.config_file('db'),
            'upgrade',
            'check',
        )
        self.assertEqual(1, ended.returncode, ended.stderr)
        self.assertIn(
            f'Nova {metadata.version("nova")} accepts {_NAMES}', ended.stdout
        )
        self.assertIn('servicegroup_driver is db', ended.stdout)
        self.assertIn('DatabaseDriver is ready', ended.stdout)
        self.assertIn('[database] connection is not set', ended.stdout)

    def test_novas_sample_shows_our_names(self):
        ended = self.run_program(
            'oslo-config-generator', '--namespace', 'nova.conf'
        )
        self.assertEqual(0, ended.returncode, ended.stderr)
        self.assertIn('# zk - Driver of nova-servicegroup', ended.stdout)


class OtherProjectsTestCase(process.ProcessTestCase):
    def test_castellan_outside_of_nova(self):
        ended = self.run_python(
            '-c',
            (
                'import sys; from oslo_config import cfg;'
                'from castellan import options;'
                'options.set_defaults(cfg.CONF);'
                'print("nova_servicegroup.plugin.hook" in sys.modules,'
                ' "nova" in sys.modules,'
                ' "nova_servicegroup.api" in sys.modules)'
            ),
        )
        self.assertEqual('True False False', ended.stdout.strip())
        self.assertNotIn('nova', ended.stderr)

    def test_policies_outside_of_nova(self):
        ended = self.run_python(
            '-c',
            (
                'import sys; from oslo_policy import _parser;'
                'print(_parser.parse_rule("role:admin"),'
                ' "nova_servicegroup.plugin.policy_hook" in sys.modules,'
                ' "nova" in sys.modules)'
            ),
        )
        self.assertEqual('role:admin True False', ended.stdout.strip())
        self.assertEqual('', ended.stderr)
