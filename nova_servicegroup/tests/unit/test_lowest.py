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


"""The lowest versions that the package declares."""

import importlib
from importlib import metadata

from nova_servicegroup import api
from nova_servicegroup.cmd import cli
from nova_servicegroup.tests import base
from tools import _lowest

#: What the oldest Nova that is supported has: OpenStack 2024.1.
OLDEST = {
    'Jinja2': '3.1.3',
    'cliff': '4.6.0',
    'oslo.config': '9.4.0',
    'oslo.db': '15.0.0',
    'oslo.log': '5.5.1',
    'oslo.messaging': '14.7.2',
    'oslo.reports': '3.3.0',
    'oslo.service': '3.4.1',
    'oslo.upgradecheck': '2.3.0',
    'oslo.utils': '7.1.0',
    'prometheus-client': '0.20.0',
    'sdnotify': '0.3.2',
    'SQLAlchemy': '1.4.51',
    'stevedore': '5.2.0',
    'tooz': '6.2.0',
}


class LowestTest(base.TestCase):
    def test_the_highest_of_several_minimums(self) -> None:
        self.assertEqual(
            {'oslo.service': '4.10.0', 'tooz': '6.1.0'},
            _lowest.lowest(
                [
                    'oslo.service>=4.5.0 # Apache-2.0',
                    'tooz[zookeeper,memcached]>=6.1.0',
                    'oslo.service[threading]>=4.10.0',
                ]
            ),
        )

    def test_a_requirement_without_a_minimum_is_refused(self) -> None:
        for line in ('tooz', 'tooz<9', 'tooz==6.1.0'):
            error = self.assertRaises(ValueError, _lowest.lowest, [line])
            self.assertIn(line, str(error))

    def test_what_is_declared_suits_the_oldest_nova(self) -> None:
        found = _lowest.lowest(_lowest.declared(_lowest.EXTRAS['venv-lowest']))
        self.assertEqual(set(OLDEST), set(found))
        for name, version in found.items():
            self.assertLessEqual(
                _lowest.order(version), _lowest.order(OLDEST[name]), name
            )

    def test_every_extra_is_installed_in_some_environment(self) -> None:
        extras = metadata.metadata('nova-servicegroup').get_all(
            'Provides-Extra'
        )
        used = {each for some in _lowest.EXTRAS.values() for each in some}
        # pbr adds one of test-requirements.txt. Tempest comes to Nova's, and
        # masakari-monitors has an environment of its own.
        others = {'all', 'masakari', 'tempest', 'test'}
        self.assertEqual(set(extras), used | others)

    def test_every_driver_program_and_command_has_a_test(self) -> None:
        points = metadata.distribution('nova-servicegroup').entry_points
        programs = {
            each.name for each in points if each.group == 'console_scripts'
        } - {'nova-servicegroup'}
        commands = {
            each.name.partition('_')[0]
            for each in points
            if each.group == cli.NAMESPACE
        }
        tested = {name for each in _lowest.TESTS.values() for name in each}
        wanted = {*api.installed_drivers(), *programs, *commands}
        self.assertEqual(set(), wanted - tested)

    def test_every_test_exists(self) -> None:
        for tests in _lowest.TESTS.values():
            for name in tests.values():
                module, case, test = name.split('.')
                found = importlib.import_module(
                    f'nova_servicegroup.tests.functional.{module}'
                )
                self.assertTrue(hasattr(getattr(found, case), test), name)
