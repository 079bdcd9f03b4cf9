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


import subprocess
import sys

from oslotest import base

from nova_servicegroup.tests.harness import ports

_LOCK = """
from nova_servicegroup.tests.harness import ports
print(ports._lock({port}))
"""


class PortsTest(base.BaseTestCase):
    def test_no_other_process_gets_one(self) -> None:
        port = ports.free_port()
        self.assertTrue(ports.can_bind(port))
        self.assertEqual('False', _in_another_process(port))

    def test_none_is_given_twice(self) -> None:
        given = ports.free_ports(20)
        self.assertEqual(20, len(set(given)))


def _in_another_process(port: int) -> str:
    done = subprocess.run(
        [sys.executable, '-c', _LOCK.format(port=port)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
