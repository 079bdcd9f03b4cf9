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

"""A virt driver that hangs while the file ``hangs`` is in state_path."""

import pathlib
import time

import nova.conf
from nova.virt import fake


class HangingDriver(fake.FakeDriverWithoutFakeNodes):
    """Nova's own for tests, but for that."""

    def get_num_instances(self):
        self._hang()
        return super().get_num_instances()

    def spawn(self, *args, **kwargs):
        self._hang()
        return super().spawn(*args, **kwargs)

    def _hang(self):
        file = pathlib.Path(nova.conf.CONF.state_path, 'hangs')
        while file.exists():
            time.sleep(0.1)
