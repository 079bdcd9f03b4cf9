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

"""A check that a file system is mounted.

If the share for the servers' disks is not mounted, servers fill the disk of
the host instead.
"""

import os

from oslo_config import cfg

from nova_servicegroup.checks import base

OPTS = [
    cfg.StrOpt(
        'directory',
        default='/var/lib/nova/instances',
        help='The directory at which a file system has to be mounted.',
    ),
]


def list_opts():
    """Return the options, for oslo-config-generator."""
    return [('mount_check', OPTS)]


class MountCheck(base.Check):
    """Checks that a file system is mounted at the directory."""

    # A share that hangs blocks the thread that accesses it.
    blocks = True

    def __init__(self, conf, service):
        super().__init__(conf, service)
        conf.register_opts(OPTS, group='mount_check')
        self._directory = conf.mount_check.directory

    def check(self):
        """See base.Check."""
        if not os.path.ismount(self._directory):
            raise RuntimeError(f'nothing is mounted at {self._directory}')
