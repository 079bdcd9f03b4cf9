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

Where the directory of the servers' disks is on a share that was not mounted,
servers would fill the disk of the host.
"""

import os

from oslo_config import cfg

from nova_servicegroup.checks import base

OPTS = [
    cfg.StrOpt(
        'directory',
        default='/var/lib/nova/instances',
        help='Where the file system has to be mounted.',
    ),
]


def list_opts():
    """For oslo-config-generator, by the entry point oslo.config.opts."""
    return [('mount_check', OPTS)]


class MountCheck(base.Check):
    """Looks whether something is mounted there."""

    # A share that hangs blocks whoever looks at it.
    blocks = True

    def __init__(self, conf, service):
        super().__init__(conf, service)
        conf.register_opts(OPTS, group='mount_check')
        self._directory = conf.mount_check.directory

    def check(self):
        """See base.Check."""
        if not os.path.ismount(self._directory):
            raise RuntimeError(f'nothing is mounted at {self._directory}')
