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

"""The examples for Kolla and Kolla Ansible."""

import yaml

from nova_servicegroup.tests.deployments import example

KOLLA = example.CONTRIB / 'kolla'
KOLLA_ANSIBLE = example.CONTRIB / 'kolla-ansible'
#: What is installed of Kolla Ansible.
INSTALLED = example.PROGRAMS.parent / 'share' / 'kolla-ansible' / 'ansible'

_ADDRESSES = '192.0.2.1', '192.0.2.2', '192.0.2.3'


class ImageTest(example.ExampleTest):
    def setUp(self) -> None:
        super().setUp()
        example.run(
            *('kolla-build', '--template-only', '--work-dir', self.root),
            *('--template-override', KOLLA / 'template-overrides.j2'),
            *('--base', 'debian', '^nova-'),
        )

    def lines(self, image: str) -> list[str]:
        (file,) = self.root.glob(f'docker/**/{image}/Dockerfile')
        return file.read_text().splitlines()

    def test_every_image_of_nova_has_the_package(self) -> None:
        (line,) = [
            each
            for each in self.lines('nova-base')
            if 'nova-servicegroup' in each
        ]
        self.assertIn(' -c /requirements/upper-constraints.txt ', line)
        self.assertIn(' nova-servicegroup[redis,exporter,monitor] ', line)
        for service in 'api', 'compute', 'conductor', 'scheduler':
            (parent,) = [
                each
                for each in self.lines(f'nova-{service}')
                if each.startswith('FROM')
            ]
            self.assertIn('/nova-base:', parent)


class ConfigurationTest(example.ExampleTest):
    def test_with_valkey(self) -> None:
        self.assert_drives(
            self.merged('nova.conf', 'valkey'),
            'redis',
            [f'{address}:26379' for address in _ADDRESSES],
        )

    def test_with_etcd(self) -> None:
        self.assert_drives(
            self.merged('nova-etcd.conf', 'etcd'),
            'etcd',
            [f'{address}:2379' for address in _ADDRESSES],
        )

    def test_the_variables_are_kolla_ansibles(self) -> None:
        ours = yaml.safe_load((KOLLA_ANSIBLE / 'globals.yml').read_text())
        stock = {}
        for file in (INSTALLED / 'group_vars/all').glob('*.yml'):
            stock.update(yaml.safe_load(file.read_text()) or {})
        self.assertLessEqual(set(ours), set(stock))

    def merged(self, name: str, group: str) -> str:
        """Return what Kolla Ansible makes of Nova's file and an override."""
        stock = self.root / 'stock.conf'
        stock.write_text('[DEFAULT]\ndebug = false\n')
        merged = self.root / 'merged.conf'
        sources = [str(stock), str(KOLLA_ANSIBLE / 'config' / name)]
        self.run_play(
            [
                # As if the hosts had told their facts.
                {'set_fact': {'eth0': '{{ facts }}', 'cacheable': True}},
                {
                    'merge_configs': {'sources': sources, 'dest': str(merged)},
                    'run_once': True,
                },
            ],
            self.inventory(group),
            ANSIBLE_ACTION_PLUGINS=str(INSTALLED / 'action_plugins'),
            ANSIBLE_FILTER_PLUGINS=str(INSTALLED / 'filter_plugins'),
        )
        text = merged.read_text()
        self.assertIn('debug = false\n', text)
        return text

    def inventory(self, group: str) -> dict[str, object]:
        """Return an inventory of three controllers, with Kolla's variables."""
        hosts = {
            f'controller{number}': {
                'api_interface': 'eth0',
                'api_address_family': 'ipv4',
                'facts': {'ipv4': {'address': address}},
            }
            for number, address in enumerate(_ADDRESSES)
        }
        stock = INSTALLED / f'group_vars/all/{group}.yml'
        variables = {
            **yaml.safe_load(stock.read_text()),
            'valkey_master_password': 'secret',
        }
        return {group: {'hosts': hosts, 'vars': variables}}
