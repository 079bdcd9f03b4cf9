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

"""The jobs of Zuul and their playbooks hang together."""

import pathlib
import re

from oslotest import base
import yaml

from nova_servicegroup import api

ROOT = pathlib.Path(__file__).parents[3]
FUNCTIONAL = ROOT / 'nova_servicegroup' / 'tests' / 'functional'
PLAYBOOKS = sorted((ROOT / 'playbooks').rglob('*.yaml'))
FILE_WORDS = (
    'ansible.builtin.import_playbook',
    'ansible.builtin.include_tasks',
)


def load(path):
    return yaml.safe_load(path.read_text())


def words(tree, *names):
    """Return the values of some keys, wherever in a tree they are."""
    if isinstance(tree, dict):
        own = [tree[name] for name in names if name in tree]
        return own + words(list(tree.values()), *names)
    if isinstance(tree, list):
        return [found for each in tree for found in words(each, *names)]
    return []


class ZuulTest(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        items = load(ROOT / '.zuul.yaml')
        self.jobs = {
            item['job']['name']: item['job'] for item in items if 'job' in item
        }
        (self.project,) = [
            item['project'] for item in items if 'project' in item
        ]

    def match(self, folder):
        """Return the patterns of the jobs that test a folder."""
        found = []
        for job in self.jobs.values():
            given = job.get('vars', {})
            part = given.get('nova_servicegroup_part', 'functional')
            if 'nova_servicegroup_match' in given and part == folder:
                found.append(given['nova_servicegroup_match'])
        return found

    def test_every_job_that_is_not_abstract_is_run(self):
        wanted = {
            name for name, job in self.jobs.items() if not job.get('abstract')
        }
        for pipeline in ('check', 'gate'):
            self.assertEqual(wanted, set(self.project[pipeline]['jobs']))

    def test_every_parent_of_ours_exists(self):
        for job in self.jobs.values():
            if job['parent'].startswith('nova-servicegroup'):
                self.assertTrue(self.jobs[job['parent']].get('abstract'))

    def test_every_file_that_a_job_names_exists(self):
        named = words(list(self.jobs.values()), 'run', 'pre-run', 'post-run')
        self.assertTrue(named)
        for name in named:
            self.assertTrue((ROOT / name).is_file(), name)

    def test_every_file_that_a_playbook_names_exists_and_is_used(self):
        used = {ROOT / name for name in words(list(self.jobs.values()), 'run')}
        for path in PLAYBOOKS:
            for name in words(load(path), *FILE_WORDS):
                self.assertTrue((path.parent / name).is_file(), name)
                used.add(path.parent / name)
        self.assertEqual(set(PLAYBOOKS), used)

    def test_each_functional_test_is_run_by_one_job(self):
        modules = [path.stem for path in FUNCTIONAL.glob('test_*.py')]
        self.assertTrue(modules)
        for module in modules:
            name = f'nova_servicegroup.tests.functional.{module}.SomeTest.test'
            runs = [
                each
                for each in self.match('functional')
                if re.search(each, name)
            ]
            self.assertEqual(1, len(runs), module)
        for part, folder in (
            ('nova', 'nova'),
            ('nova-own', 'nova_own'),
            ('releases', 'releases'),
        ):
            (pattern,) = self.match(part)
            name = f'nova_servicegroup.tests.{folder}.test_some.X'
            self.assertRegex(name, pattern)

    def test_every_driver_is_tested_on_devstack(self):
        drivers = {'default': set(), 'subnode': set()}
        for name, job in self.jobs.items():
            for where, given in (
                ('default', job.get('vars', {})),
                ('subnode', job.get('group-vars', {}).get('subnode', {})),
            ):
                localrc = given.get('devstack_localrc', {})
                drivers[where].add(
                    (name, localrc.get('NOVA_SERVICEGROUP_DRIVER'))
                )
        wanted = set(api.installed_drivers())
        for family, where in (
            ('nova-servicegroup-tempest-', 'default'),
            ('nova-servicegroup-faults-', 'default'),
            ('nova-servicegroup-faults-', 'subnode'),
        ):
            found = {
                (name.removeprefix(family), driver)
                for name, driver in drivers[where]
                if name.startswith(family) and driver
            }
            self.assertEqual({(name, name) for name in wanted}, found)

    def test_the_unit_of_the_backend_is_the_one_of_the_plugin(self):
        plugin = (ROOT / 'devstack' / 'settings').read_text()
        servers = set(re.findall(r'SERVER=(sg-\w+)', plugin))
        # DevStack has this one itself.
        servers.add('etcd')
        units = words(list(self.jobs.values()), 'nova_servicegroup_server')
        self.assertEqual(
            {f'devstack@{server}.service' for server in servers}, set(units)
        )
