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
import queue
import subprocess
import sys
import threading
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
#: What hides this package from a Nova process.
STOCK = ROOT / 'nova_servicegroup' / 'tests' / 'ministack' / 'stock'

#: Seconds that an answer may take: some join ten thousand hosts first.
_PATIENCE = 600.0


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
        self._module = module
        self._lines: queue.Queue[str] = queue.Queue()
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
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Take its answers as they come; an empty line is its end."""
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put('')

    @property
    def pid(self) -> int:
        """The process id, which is that of its session."""
        return self._process.pid

    def tell(self, command: str) -> None:
        """Send a command."""
        print(command, file=self._process.stdin, flush=True)

    def answer(self, patience: float = _PATIENCE) -> Any:
        """Return the answer to the oldest command without one.

        :param patience: seconds to wait for it
        :raises RuntimeError: it has ended, or has not answered in time
        """
        try:
            line = self._lines.get(timeout=patience)
        except queue.Empty:
            raise self._error(f'no answer in {patience:g} s') from None
        if not line:
            self._lines.put(line)
            raise self._error('it has ended')
        try:
            return json.loads(line)
        except ValueError:
            raise self._error(f'{line!r} is no answer') from None

    def _error(self, what: str) -> RuntimeError:
        said = self.log.read_text(errors='replace')
        return RuntimeError(
            f'{self._module} {self.pid}: {what}; its log, {self.log}: {said}'
        )

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
        # What it has forked may hold the other end for a while.
        self._reader.join(1)
        if not self._reader.is_alive():
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
