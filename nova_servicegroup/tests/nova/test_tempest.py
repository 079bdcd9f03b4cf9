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

"""The plugin for Tempest, with a Tempest and a Nova.

Keystone is a stand-in, see ministack.keystone. Tempest's users are those of
its file of accounts; there is no network, image or volume service.
"""

import json
import os
import pathlib
import shlex
import subprocess
import sys
from typing import ClassVar

import fixtures

from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.ministack import keystone
from nova_servicegroup.tests.ministack import stack as stack_
from nova_servicegroup.tests.ministack import venv
from nova_servicegroup.tests.nova import test_stack

_PROGRAMS = pathlib.Path(sys.executable).parent
_LIMIT = 300.0

_CONF = """
[auth]
use_dynamic_credentials = false
test_accounts_file = {directory}/accounts.yaml
[identity]
auth_version = v3
uri_v3 = {url}
[identity-feature-enabled]
api_v2 = false
api_v3 = true
[oslo_concurrency]
lock_path = {directory}/locks
[service_available]
cinder = false
glance = false
neutron = false
nova = true
swift = false
[servicegroup]
host = compute1
kill_command = {python} {directory}/do.py kill {{host}}
start_command = {python} {directory}/do.py start {{host}}
stop_backend_command = {python} {directory}/do.py away
start_backend_command = {python} {directory}/do.py back
outage = {outage:.0f}
down_within = {down_within:.0f}
up_within = 60
"""

_DO = """
import pathlib, sys
from nova_servicegroup.tests.ministack import stack
stack = stack.Stack(pathlib.Path({directory!r}))
what, *hosts = sys.argv[1:]
if what == 'away':
    stack.zookeeper.kill()
elif what == 'back':
    stack.zookeeper.start()
else:
    getattr(stack, what)(*hosts)
"""

_ACCOUNT = {
    'username': 'admin',
    'project_name': 'admin',
    'domain_name': 'Default',
    'password': 'nobody asks',
    'types': ['admin'],
}


class TempestTest(base.TestCase):
    stack: ClassVar[stack_.Stack]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.stack = test_stack.running('zk', 'threading')

    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'tempest'
        )

    def tempest(self, *arguments: object) -> str:
        """Run Tempest; return what it prints."""
        done = subprocess.run(
            [str(_PROGRAMS / 'tempest'), *map(str, arguments)],
            cwd=self.directory.parent,
            env={
                **os.environ,
                'HOME': str(self.directory.parent),
                # Where Nova is, by default below the home directory.
                'NOVA_SERVICEGROUP_CACHE': str(venv.CACHE),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT,
        )
        self.assertEqual(0, done.returncode, done.stdout)
        return done.stdout

    def configure(self, url: str) -> None:
        """Write the files that Tempest reads."""
        text = _CONF.format(
            directory=self.directory,
            url=url,
            python=shlex.quote(sys.executable),
            outage=test_stack.OUTAGE,
            down_within=test_stack.SESSION_TIMEOUT + 10,
        )
        (self.directory / 'etc' / 'tempest.conf').write_text(text)
        accounts = json.dumps([_ACCOUNT])
        (self.directory / 'accounts.yaml').write_text(accounts)
        text = _DO.format(directory=str(self.stack.directory))
        (self.directory / 'do.py').write_text(text)

    def test_every_test_of_the_plugin_passes(self) -> None:
        workspaces = self.directory.parent / 'workspaces.yaml'
        self.tempest('init', self.directory, '--workspace-path', workspaces)
        with keystone.keystone(self.stack.port) as url:
            self.configure(url)
            shown = self.tempest(
                *('run', '--serial', '--workspace', 'tempest'),
                *('--workspace-path', workspaces),
                *('--regex', r'nova_servicegroup\.tests\.tempest'),
            )
        self.assertIn(' - Passed: 3\n', shown)
        self.assertIn(' - Skipped: 0\n', shown)
        process.wait_until(
            lambda: self.stack.state('compute1') == 'up',
            test_stack.SOON,
            0.5,
            'the killed host is up again',
        )
