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

"""The check of whether the directory of the servers' disks can be written."""

import contextlib
import errno
import os
from typing import Any
import urllib.parse

from oslo_config import cfg

from nova_servicegroup.checks import base

#: The size of the file in bytes.
_SIZE = 4096


class StorageCheck(base.Check):
    """A check that writes a small file to ``[DEFAULT] instances_path``.

    The file is removed. It has the same name each time, so the next run
    removes a file that a killed process has left. If the directory has never
    existed, the virt driver does not need it, and the check succeeds.
    """

    blocks = True

    def __init__(self, conf: cfg.ConfigOpts, service: Any) -> None:
        super().__init__(conf, service)
        self._directory: str = conf.instances_path
        host = urllib.parse.quote(service.host, safe='')[:200]
        self._file = os.path.join(
            self._directory, f'.nova-servicegroup-{host}'
        )
        self._seen = False

    def check(self) -> None:
        """See base.Check.

        :raises OSError: the directory is full, gone or broken
        """
        try:
            space = os.statvfs(self._directory)
        except FileNotFoundError:
            if self._seen:
                raise
            return
        self._seen = True
        if space.f_blocks and not space.f_bavail:
            raise OSError(
                errno.ENOSPC, os.strerror(errno.ENOSPC), self._directory
            )
        self._write()

    def _write(self) -> None:
        try:
            # Not os.open, which eventlet replaces.
            with open(self._file, 'wb') as file:
                file.write(bytes(_SIZE))
                file.flush()
                # Without it, a write to a disk that is gone succeeds.
                os.fsync(file.fileno())
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._file)
