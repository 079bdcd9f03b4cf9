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

"""What the examples' tests have in common."""

import os
import pathlib
import subprocess
import sys
from typing import Any

import fixtures
import yaml

import nova_servicegroup
from nova_servicegroup import api
from nova_servicegroup.tests import base

ROOT = pathlib.Path(nova_servicegroup.__file__).parent.parent
CONTRIB = ROOT / 'contrib'
#: The environment's own programs.
PROGRAMS = pathlib.Path(sys.prefix) / 'bin'

#: Seconds; every program here needs a fraction of it.
_LIMIT = 300


def run(
    *command: object, cwd: pathlib.Path | None = None, **variables: str
) -> str:
    """Run a program; return what it prints.

    :param command: the program, by its name, and its arguments
    :param variables: of its environment
    :raises AssertionError: it fails
    """
    path = f'{PROGRAMS}{os.pathsep}{os.environ["PATH"]}'
    done = subprocess.run(
        [*map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LIMIT,
        cwd=cwd,
        env={**os.environ, 'PATH': path, **variables},
    )
    if done.returncode:
        raise AssertionError(f'{command} failed:\n{done.stdout}')
    return done.stdout


class ExampleTest(base.TestCase):
    """A test with a directory of its own.

    :ivar root: the directory
    """

    def setUp(self) -> None:
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def run_play(
        self, tasks: list[dict[str, Any]], inventory: Any, **variables: str
    ) -> None:
        """Run tasks for the hosts of an inventory, all on this machine."""
        play = {
            'hosts': 'all',
            'connection': 'local',
            'gather_facts': False,
            'vars': {'ansible_python_interpreter': sys.executable},
            'tasks': tasks,
        }
        for name, text in ('play', [play]), ('inventory', inventory):
            (self.root / f'{name}.yml').write_text(yaml.safe_dump(text))
        run(
            *('ansible-playbook', '-i', 'inventory.yml', 'play.yml'),
            cwd=self.root,
            ANSIBLE_HOME=str(self.root / 'ansible'),
            **variables,
        )

    def assert_drives(
        self, text: str, driver: str, servers: list[str]
    ) -> None:
        """Check which driver a nova.conf chooses, with which servers."""
        conf = self.make_conf(text)
        self.assertEqual(driver, conf.servicegroup_driver)
        found = api.load_driver(conf, driver)
        self.assertEqual(servers, list(found.servers or ()))
