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

"""What masakari-hostmonitor is configured with, and what it refuses."""

import pathlib
import subprocess
import sys

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup import exceptions
from nova_servicegroup.masakari import configuration
from nova_servicegroup import services
from nova_servicegroup.tests import base

NOVA = """
[DEFAULT]
servicegroup_driver = zk
[zookeeper]
address = 127.0.0.1:1
[servicegroup]
agents = true
"""


class ConfigurationTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.nova = self.create_tempfiles([('nova', NOVA)], ext='.conf')[0]

    def conf(self, text: str = '') -> cfg.ConfigOpts:
        """Return a configuration as masakari-monitors has it."""
        conf = cfg.ConfigOpts()
        conf.register_opt(cfg.StrOpt('hostname', default='controller'))
        conf.register_opt(cfg.IntOpt('timeout'), group='api')
        configuration.register_opts(conf)
        lines = f'[servicegroup_masakari]\nnova_config_files = {self.nova}\n'
        file = self.create_tempfiles([('monitors', lines + text)])[0]
        conf(['--config-file', file], project='masakarimonitors')
        return conf

    def make_api(self, text: str = '') -> api.API:
        table = services.NoTable('none')
        made = configuration.make_api(self.conf(text), table)
        self.addCleanup(made.close)
        return made

    def assert_refused(self, words: str, text: str = '') -> None:
        error = self.assertRaises(
            exceptions.ServiceGroupError, self.make_api, text
        )
        self.assertIn(words, str(error))

    def write(self, old: str, new: str) -> None:
        pathlib.Path(self.nova).write_text(NOVA.replace(old, new))

    def test_a_notifier_by_the_options_of_both(self) -> None:
        conf = self.conf('on_domain_loss = notify\n')
        made = self.make_api()
        self.assertTrue(made.has_agents)
        configuration.make_notifier(conf, made, None)
        self.assertEqual(0.0, configuration._policy(conf, made).settle)
        self.assertEqual({'silent', 'fenced'}, self.accepted(conf, made))
        conf = self.conf('notify_on = fenced\n')
        self.assertEqual({'fenced'}, self.accepted(conf, made))
        settle = configuration._policy(conf, made).settle
        # The session lasts ten seconds, and ends with a tick.
        self.assertEqual(15 / 2 + 1, settle)

    def accepted(self, conf: cfg.ConfigOpts, made: api.API) -> set[str]:
        return set(configuration._policy(conf, made).accepted)

    def test_no_request_waits_for_ever(self) -> None:
        self.assertEqual(10, self.conf().api.timeout)
        self.assertEqual(3, self.conf('[api]\ntimeout = 3\n').api.timeout)

    def test_this_machine_has_its_names(self) -> None:
        self.assertIn('controller', configuration._own(self.conf()))

    def test_without_agents(self) -> None:
        self.write('agents = true', '')
        self.assert_refused('[servicegroup] agents = False cannot be used')

    def test_a_driver_without_evidence(self) -> None:
        self.write('= zk', '= db')
        self.assert_refused("[DEFAULT] servicegroup_driver = 'db' cannot be")

    def test_a_driver_without_servers(self) -> None:
        self.write('= zk', '= mc')
        self.assert_refused('[DEFAULT] memcached_servers')

    def test_a_driver_that_there_is_not(self) -> None:
        self.write('= zk', '= none')
        self.assert_refused('[DEFAULT] servicegroup_driver')

    def test_a_file_that_is_not_there(self) -> None:
        pathlib.Path(self.nova).unlink()
        self.assert_refused('[servicegroup_masakari] nova_config_files')

    def test_a_file_that_cannot_be_read(self) -> None:
        self.write('agents = true', 'password hush')
        self.assert_refused('[servicegroup_masakari] nova_config_files')
        error = self.assertRaises(exceptions.ConfigurationError, self.make_api)
        self.assertNotIn('hush', str(error))

    def test_no_file_at_all(self) -> None:
        self.nova = ''
        self.assert_refused('[servicegroup_masakari] nova_config_files')

    def test_words_that_are_no_choice(self) -> None:
        for name in ('notify_on', 'on_domain_loss'):
            self.assert_refused(
                f'[servicegroup_masakari] {name}', f'{name} = everything\n'
            )

    def test_nothing_else_needs_masakari(self) -> None:
        code = (
            'import sys\n'
            'import nova_servicegroup.masakari.configuration\n'
            'names = {"masakarimonitors", "openstack", "nova"}\n'
            'sys.exit(len(names & set(sys.modules)))\n'
        )
        done = subprocess.run(
            [sys.executable, '-c', code], capture_output=True, text=True
        )
        self.assertEqual((0, ''), (done.returncode, done.stderr))
