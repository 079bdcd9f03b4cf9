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

"""The driver of the documentation, as a package of its own."""

import os
import pathlib
import shutil
import sys
from typing import Any

from oslo_config import cfg

from nova_servicegroup.drivers import base as drivers_base
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.harness import member

_ENTRY_POINTS = """
[nova_servicegroup.drivers]
file = file_driver:FileDriver
"""


class FileBackend:
    """A directory, and an environment in which the driver is installed."""

    driver = 'file'
    down_within = contract.SERVICE_DOWN_TIME + 1.0
    not_before = contract.SERVICE_DOWN_TIME - contract.REPORT_INTERVAL - 0.5
    leaves_within = 1.0
    knows_within = 2.0 * contract.REPORT_INTERVAL + 1.0
    root: pathlib.Path
    directory: pathlib.Path

    @classmethod
    def start_backend(cls) -> None:
        """Install the driver, for the members."""
        installed = cls.root / 'installed'
        metadata = installed / 'file_driver-1.0.dist-info'
        metadata.mkdir(parents=True)
        (metadata / 'METADATA').write_text('Name: file-driver\nVersion: 1.0\n')
        (metadata / 'entry_points.txt').write_text(_ENTRY_POINTS)
        shutil.copy(base.example('file_driver'), installed)

    @property
    def shared(self) -> pathlib.Path:
        """The directory that all hosts share."""
        return self.directory / 'shared'

    def options(self) -> tuple[str, str]:
        self.restore_backend()
        return '', f'[file_driver]\ndirectory = {self.shared}\n'

    def make_member(self, host: str = 'host1', **how: Any) -> member.Member:
        path = [str(self.root / 'installed'), *sys.path]
        how['env'] = {'PYTHONPATH': os.pathsep.join(filter(None, path))}
        made: member.Member = super().make_member(host, **how)  # type: ignore
        return made

    def make_driver(self, conf: cfg.ConfigOpts) -> drivers_base.Driver:
        """Return the driver, which is not installed for this process."""
        module = base.load_example('file_driver')
        return module.FileDriver(conf)

    def lose_backend(self) -> None:
        """Let the directory be away, as if it were not mounted."""
        self.shared.rename(self.directory / 'away')

    def restore_backend(self) -> None:
        """Bring it back, with what was in it."""
        away = self.directory / 'away'
        if away.exists():
            away.rename(self.shared)
        self.shared.mkdir(exist_ok=True)


class MemberTest(
    FileBackend, contract.MemberContract, contract.FunctionalTestCase
):
    pass


class ObserverTest(
    FileBackend, contract.ObserverContract, contract.FunctionalTestCase
):
    def assert_incarnation(self, *args: Any) -> None:
        # A file says nothing of processes.
        self.assertEqual((), args[-1])


class OutageTest(
    FileBackend, contract.OutageContract, contract.FunctionalTestCase
):
    pass
