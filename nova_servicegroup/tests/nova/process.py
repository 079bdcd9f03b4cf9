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


"""Running the probe and Nova's own programs."""

import json
import os
import pathlib
import subprocess
import sys

from oslotest import base
from testtools import content

PROBE = pathlib.Path(__file__).with_name('probe.py')
#: The drivers that Nova accepts, with the package.
DRIVERS = ['db', 'etcd', 'mc', 'redis', 'zk']
ADAPTER = 'nova_servicegroup.plugin.driver.Driver'
STOCK_DB = 'nova.servicegroup.drivers.db.DbDriver'

#: Nobody listens there.
ZK = '[zookeeper]\naddress = "127.0.0.1:1"\n[servicegroup]\nread_timeout=0.1\n'


class ProcessTestCase(base.BaseTestCase):
    """Tests that start processes with Nova in them."""

    def config_file(self, driver, text=''):
        """Write a nova.conf that chooses driver."""
        return self.create_tempfiles(
            [
                (
                    'nova',
                    (
                        f'[DEFAULT]\nservicegroup_driver = {driver}\n'
                        'transport_url = rabbit://nobody:x@127.0.0.1:1/\n'
                        f'state_path = {self.create_temp_dir()}\n{text}'
                    ),
                )
            ],
            '.conf',
        )[0]

    def create_temp_dir(self):
        """Return a new directory."""
        return os.path.dirname(self.create_tempfiles([('x', '')])[0])

    def run_python(self, *command, path=None, **environment):
        """Run this Python, with path before its own packages."""
        environment = {**os.environ, **environment}
        if path is not None:
            environment['PYTHONPATH'] = str(path)
        return subprocess.run(
            [sys.executable, *map(str, command)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def probe(self, driver, eventlet=False, path=None, text=ZK):
        """Return what the probe prints; None: it fails. And its errors."""
        ended = self.run_python(
            PROBE,
            self.config_file(driver, text),
            path=path,
            OS_NOVA_DISABLE_EVENTLET_PATCHING=str(not eventlet),
        )
        self.addDetail('probe', content.text_content(ended.stderr))
        found = json.loads(ended.stdout) if ended.returncode == 0 else None
        return found, ended.stderr
