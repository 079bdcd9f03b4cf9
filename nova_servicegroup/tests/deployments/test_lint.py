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

"""The examples pass the linters of the tools that they are for."""

import shutil

from nova_servicegroup.tests.deployments import example

#: As in the repositories of those tools: a template may not be cut.
_YAMLLINT = '{extends: default, rules: {line-length: {max: 120}}}'

TOOLS = 'kolla-ansible', 'openstack-ansible', 'openstack-helm'


class LintTest(example.ExampleTest):
    def test_yamllint(self) -> None:
        example.run(
            *('yamllint', '--strict', '-d', _YAMLLINT),
            *(example.CONTRIB / tool for tool in TOOLS),
        )

    def test_ansible_lint(self) -> None:
        """Lint the variables as files of a deployment."""
        variables = self.root / 'group_vars' / 'all'
        variables.mkdir(parents=True)
        for tool in 'kolla-ansible', 'openstack-ansible':
            for file in (example.CONTRIB / tool).glob('*.yml'):
                shutil.copy(file, variables)
        example.run(
            *('ansible-lint', '--offline', '--strict', '-p', '.'),
            cwd=self.root,
            ANSIBLE_HOME=str(self.root / 'ansible'),
        )
