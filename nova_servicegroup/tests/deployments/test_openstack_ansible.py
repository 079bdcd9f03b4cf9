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

"""The example for OpenStack-Ansible."""

import configparser
import io
import json

from nova_servicegroup.tests.deployments import example

VARIABLES = (
    example.CONTRIB / 'openstack-ansible' / 'user_variables_servicegroup.yml'
)


class VariablesTest(example.ExampleTest):
    def setUp(self) -> None:
        super().setUp()
        addresses = '192.0.2.1', '192.0.2.2', '2001:db8::3'
        hosts = {
            f'infra{number}': {'management_address': address}
            for number, address in enumerate(addresses)
        }
        rendered = self.root / 'rendered.json'
        names = 'nova_user_pip_packages', 'nova_nova_conf_overrides'
        wanted = ', '.join(f'{name!r}: {name}' for name in names)
        self.run_play(
            [
                {'include_vars': str(VARIABLES)},
                {
                    'copy': {
                        'content': f'{{{{ {{{wanted}}} | to_json }}}}',
                        'dest': str(rendered),
                    },
                    'run_once': True,
                },
            ],
            {'zookeeper_all': {'hosts': hosts}},
        )
        self.found = json.loads(rendered.read_text())

    def test_novas_environment_gets_the_package(self) -> None:
        self.assertEqual(
            ['nova-servicegroup[zk,exporter,monitor]'],
            self.found['nova_user_pip_packages'],
        )

    def test_the_servers_are_those_of_the_inventory(self) -> None:
        overrides = configparser.ConfigParser(interpolation=None)
        overrides.read_dict(self.found['nova_nova_conf_overrides'])
        text = io.StringIO()
        overrides.write(text)
        self.assert_drives(
            text.getvalue(),
            'zk',
            ['192.0.2.1:2181', '192.0.2.2:2181', '[2001:db8::3]:2181'],
        )
