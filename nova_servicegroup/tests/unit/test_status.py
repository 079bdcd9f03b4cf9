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


import contextlib
import io
import json
from unittest import mock

import fixtures
from oslo_config import cfg
from oslo_upgradecheck import upgradecheck
from oslotest import base

from nova_servicegroup import api
from nova_servicegroup.cmd import status
from nova_servicegroup.drivers import base as drivers
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup.plugin import database
from nova_servicegroup.plugin import hook
from nova_servicegroup.plugin import records
from nova_servicegroup.tests.unit import fake_nova

SECRET = 'c0rrect-horse'


class StatusTestCase(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        self.nova = self.useFixture(fake_nova.FakeNova())
        hook.Hook(self.nova.conf)
        opts.register_opts(self.nova.conf)
        self.driver = fake_nova.FakeDriver(self.nova.conf)
        self.load = self.useFixture(
            fixtures.MockPatchObject(
                api, 'load_driver', return_value=self.driver
            )
        ).mock
        self.database = self.useFixture(
            fixtures.MockPatchObject(
                database, 'open_database', return_value=True
            )
        ).mock
        self.useFixture(
            fixtures.MockPatchObject(
                records.ServicesTable, 'records', return_value=[{}, {}]
            )
        )
        self.checks = status.Checks(self.nova.conf, None)

    def assert_result(self, code, text, check, checks=None):
        result = check(checks or self.checks)
        self.assertEqual(
            (code, text),
            (result.code, text if text in result.details else result.details),
        )


class HookTestCase(StatusTestCase):
    def test_live(self):
        self.assert_result(
            upgradecheck.Code.SUCCESS, 'accepts db, mc, zk', status.Checks.hook
        )

    def test_no_nova(self):
        self.assert_result(
            upgradecheck.Code.FAILURE,
            'cannot import Nova: No module',
            status.Checks.hook,
            status.Checks(cfg.ConfigOpts(), 'No module named nova'),
        )

    def test_another_nova(self):
        self.nova.mapping['zk'] = 'nova.zk.Driver'
        self.assert_result(
            upgradecheck.Code.FAILURE,
            'zk is nova.zk.Driver. Install',
            status.Checks.hook,
        )

    def test_not_registered(self):
        self.nova.mapping['zk'] = 'nova.zk.Driver'
        self.useFixture(
            fixtures.MockPatch(
                'importlib.metadata.entry_points', return_value=()
            )
        )
        self.assert_result(
            upgradecheck.Code.FAILURE,
            'not registered under castellan.drivers and '
            'oslo.policy.rule_checks. Install nova-servicegroup again',
            status.Checks.hook,
        )


class ChosenTestCase(StatusTestCase):
    def choose(self, text):
        path = self.create_tempfiles([('nova', text)], '.conf')[0]
        self.nova.conf(['--config-file', path], default_config_files=[])
        return path

    def test_from_a_file(self):
        path = self.choose('[DEFAULT]\nservicegroup_driver = zk\n')
        self.assert_result(
            upgradecheck.Code.SUCCESS,
            f'servicegroup_driver is zk. Read: {path}',
            status.Checks.chosen,
        )

    def test_no_file(self):
        self.assert_result(
            upgradecheck.Code.WARNING,
            'is db, but no nova.conf was found',
            status.Checks.chosen,
        )

    def test_unknown(self):
        self.choose('[DEFAULT]\nservicegroup_driver = ldap\n')
        self.assert_result(
            upgradecheck.Code.FAILURE,
            "[db, mc, zk], but found 'ldap'",
            status.Checks.chosen,
        )

    def test_unknown_without_nova(self):
        conf = cfg.ConfigOpts()
        opts.register_opts(conf)
        conf([], default_config_files=[])
        conf.set_override('servicegroup_driver', 'ldap')
        self.assert_result(
            upgradecheck.Code.FAILURE,
            'Accepted: db, mc, zk',
            status.Checks.chosen,
            status.Checks(conf, 'missing'),
        )


class LoadsTestCase(StatusTestCase):
    def test_ready(self):
        self.assert_result(
            upgradecheck.Code.SUCCESS,
            'FakeDriver is ready',
            status.Checks.loads,
        )

    def test_no_library(self):
        self.load.side_effect = exceptions.LibraryMissing('zk', 'kazoo', 'zk')
        self.assert_result(
            upgradecheck.Code.FAILURE,
            'pip install nova-servicegroup[zk]',
            status.Checks.loads,
        )

    def test_an_option_that_cannot_be_used(self):
        self.load.side_effect = exceptions.ConfigurationError(
            '[zookeeper] address', '', 'servers'
        )
        self.assert_result(
            upgradecheck.Code.FAILURE,
            "[zookeeper] address = ''",
            status.Checks.loads,
        )

    def test_a_broken_driver(self):
        self.load.side_effect = KeyError('x')
        self.assert_result(
            upgradecheck.Code.FAILURE, "KeyError: 'x'", status.Checks.loads
        )


class BackendTestCase(StatusTestCase):
    def test_answers(self):
        self.driver.backend = drivers.DATABASE
        self.assert_result(
            upgradecheck.Code.SUCCESS, '2 records', status.Checks.backend
        )
        self.database.assert_called_once_with(self.nova.conf)

    def test_needs_no_database(self):
        self.nova.read('zk')
        self.assert_result(
            upgradecheck.Code.SUCCESS, '2 records', status.Checks.backend
        )
        self.database.assert_not_called()

    def test_no_database_on_this_host(self):
        self.driver.backend = drivers.DATABASE
        self.database.return_value = False
        self.assert_result(
            upgradecheck.Code.WARNING,
            '[database] connection is not set',
            status.Checks.backend,
        )

    def test_does_not_answer(self):
        self.driver.check = mock.Mock(
            side_effect=exceptions.BackendError('ZooKeeper', 'refused')
        )
        self.assert_result(
            upgradecheck.Code.FAILURE,
            'ZooKeeper: refused',
            status.Checks.backend,
        )

    def test_a_driver_without_servers(self):
        self.driver.servers = []
        self.assert_result(
            upgradecheck.Code.FAILURE,
            'every process sees only itself',
            status.Checks.backend,
        )

    def test_cannot_be_asked(self):
        self.driver.check = mock.Mock(side_effect=NotImplementedError)
        self.assert_result(
            upgradecheck.Code.WARNING,
            'offers no such check',
            status.Checks.backend,
        )

    def test_a_driver_that_does_not_load(self):
        self.load.side_effect = KeyError
        self.assert_result(
            upgradecheck.Code.FAILURE, 'Not asked', status.Checks.backend
        )

    def test_secrets_are_not_shown(self):
        self.nova.conf.set_override('password', SECRET, 'zookeeper')
        self.driver.check = mock.Mock(
            side_effect=RuntimeError(
                f'{SECRET} zookeeper://nova:other-{SECRET}@h:1 '
                'password = third'
            )
        )
        result = status.Checks.backend(self.checks)
        self.assertEqual(
            'RuntimeError: *** zookeeper://***@h:1 password = ***',
            result.details,
        )


class MainTestCase(StatusTestCase):
    def run_main(self, *argv):
        self.useFixture(
            fixtures.MonkeyPatch(
                'sys.argv', ['nova-servicegroup-status', *argv]
            )
        )
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            try:
                code = status.main()
            except SystemExit as error:
                code = error.code
        return code, shown.getvalue()

    def setUp(self):
        super().setUp()
        self.nova.conf.clear()
        self.path = self.create_tempfiles(
            [('nova', '[DEFAULT]\nservicegroup_driver = zk\n')], '.conf'
        )[0]

    def test_all_is_well(self):
        code, shown = self.run_main(
            '--config-file', self.path, 'upgrade', 'check', '--json'
        )
        self.assertEqual(0, code)
        self.assertEqual(
            [
                'Hook in Nova',
                'Driver chosen',
                'Driver loads',
                'Backend answers',
            ],
            [check['check'] for check in json.loads(shown)['checks']],
        )

    def test_the_gravest_result_counts(self):
        self.driver.check = mock.Mock(
            side_effect=exceptions.BackendError('ZooKeeper', 'refused')
        )
        code, shown = self.run_main(
            '--config-file', self.path, 'upgrade', 'check'
        )
        self.assertEqual(2, code)
        self.assertIn('Result: Failure', shown)

    def test_without_nova(self):
        self.useFixture(
            fixtures.MockPatchObject(
                database, 'load_nova', side_effect=ImportError('no nova')
            )
        )
        code, shown = self.run_main(
            '--config-file', self.path, 'upgrade', 'check', '--json'
        )
        loaded, chosen = json.loads(shown)['checks'][:2]
        self.assertEqual(2, code)
        self.assertIn('cannot import Nova: ImportError', loaded['details'])
        self.assertIn('is zk', chosen['details'])

    def test_without_arguments(self):
        code, shown = self.run_main()
        self.assertEqual(0, code)
        self.assertIn('upgrade', shown)
