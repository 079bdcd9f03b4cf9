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


"""Programs of Nova's environment that do what they are told.

They read commands from standard input, one in a line, and answer each with a
line of JSON. They end with their input, so nothing outlives its teller.
"""

from collections.abc import Callable, Mapping, Sequence
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
#: What hides this package from a Nova process.
STOCK = ROOT / 'tools' / '_ministack' / 'stock'


class Program:
    """The teller's end: one such program.

    :param module: to run
    :param arguments: of its command line
    :param log: the file for what it writes to standard error
    :param stock: hide this package's drivers from the Nova in it
    :param prefix: what to put before the command line
    """

    def __init__(
        self,
        module: str,
        arguments: list[str],
        log: pathlib.Path,
        stock: bool = False,
        prefix: Sequence[str] = (),
    ) -> None:
        self.log = log
        with log.open('ab') as errors:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, '-m', module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=log.parent,
                env=_environment(stock),
                # Each has the same share of the processors.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is that of its session."""
        return self._process.pid

    def tell(self, command: str) -> None:
        """Send a command."""
        print(command, file=self._process.stdin, flush=True)

    def answer(self) -> Any:
        """Return the answer to the oldest command without one.

        :raises RuntimeError: it has ended
        """
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f'ended; read the log: {self.log.read_text()}')
        try:
            return json.loads(line)
        except ValueError:
            raise RuntimeError(f'{line} is no answer') from None

    def ask(self, command: str) -> Any:
        """Send a command and return the answer."""
        self.tell(command)
        return self.answer()

    def __enter__(self) -> 'Program':
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def obey(commands: Mapping[str, Callable[..., object]]) -> None:
    """Be the other end, until the input ends; there is no way back."""
    for line in sys.stdin:
        name, *arguments = line.split()
        print(json.dumps(commands[name](*arguments)), flush=True)
    # Threads that still wait for an answer must not keep it.
    os._exit(0)


def become_nova(file: str) -> Any:
    """Make this process one of Nova's, and return the configuration."""
    from nova import config
    from nova import objects
    from oslo_log import log as logging

    config.parse_args(['benchmark', '--config-file', file])
    # Standard output is for answers.
    config.CONF.set_override('use_stderr', True)
    logging.setup(config.CONF, 'nova')
    objects.register_all()
    return config.CONF


def _environment(stock: bool) -> dict[str, str]:
    path = [str(ROOT), str(STOCK)] if stock else [str(ROOT)]
    return {
        **os.environ,
        'PYTHONPATH': os.pathsep.join(path),
        'PYTHONWARNINGS': 'ignore',
        'OS_NOVA_DISABLE_EVENTLET_PATCHING': 'true',
    }
