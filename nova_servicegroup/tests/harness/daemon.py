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

"""The daemons of this package that read only a configuration file."""

import pathlib
import sys

from nova_servicegroup.tests.harness import process

_PROGRAM = (
    'import sys; from nova_servicegroup.cmd import {name}; '
    'sys.exit({name}.main())'
)


class Daemon(process.Process):
    """One daemon.

    :param config: the configuration file
    """

    #: Its module in nova_servicegroup.cmd.
    name: str

    def __init__(self, directory: pathlib.Path, config: pathlib.Path) -> None:
        root = pathlib.Path(__file__).parents[3]
        program = _PROGRAM.format(name=self.name)
        super().__init__(
            [sys.executable, '-c', program, f'--config-file={config}'],
            directory,
            {'PYTHONPATH': str(root), 'PYTHONWARNINGS': 'ignore'},
        )

    def count(self, words: str) -> int:
        """Return in how many lines it has logged these words."""
        if not self.log.exists():
            return 0
        return self.log.read_text().count(words)
