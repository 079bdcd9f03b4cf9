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

"""A virt driver that hangs, and has its servers' disks in instances_path.

It hangs while the file ``hangs`` is in state_path; while it is ``is_slow``, it
only does so when it turns a server off.
"""

import pathlib
import time

import nova.conf
from nova.virt import fake

_DISK = bytes(1 << 16)


class HangingDriver(fake.FakeDriverWithoutFakeNodes):
    """Nova's own for tests, but for that."""

    def get_num_instances(self):
        self._hang()
        return super().get_num_instances()

    def spawn(self, context, instance, *args, **kwargs):
        self._hang()
        disk = self._disk(instance)
        if disk.parent.exists():
            disk.write_bytes(_DISK)
        return super().spawn(context, instance, *args, **kwargs)

    def power_off(self, *args, **kwargs):
        self._hang('is_slow')
        return super().power_off(*args, **kwargs)

    def destroy(self, context, instance, *args, **kwargs):
        self._disk(instance).unlink(missing_ok=True)
        return super().destroy(context, instance, *args, **kwargs)

    def _disk(self, instance):
        return pathlib.Path(nova.conf.CONF.instances_path, instance.uuid)

    def _hang(self, while_there='hangs'):
        file = pathlib.Path(nova.conf.CONF.state_path, while_there)
        while file.exists():
            time.sleep(0.1)
