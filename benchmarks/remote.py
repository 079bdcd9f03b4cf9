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

"""Programs in Nova's environment that obey commands.

They read commands from standard input, one in a line, and answer each with a
line of JSON. They end with their input, so none outlives its parent.
"""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import json
import logging
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
#: The directory in the path that hides this package from a Nova process.
STOCK = ROOT / 'nova_servicegroup' / 'tests' / 'ministack' / 'stock'

#: Seconds that an answer may take: some join ten thousand hosts first.
_PATIENCE = 600.0
#: Seconds by which a process may be late.
_LATE = 1.0

LOG = logging.getLogger(__name__)


class Program(contextlib.AbstractContextManager['Program']):
    """Such a program, as its parent sees it.

    :param module: the module to run
    :param arguments: those of its command line
    :param log: the file for its standard error
    :param stock: hide this package's drivers from its Nova
    :param prefix: put before the command line
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
                # Each session has the same share of the processors.
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Queue the program's answers; an empty line marks its end."""
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
        :raises RuntimeError: the program has ended, or not answered in time
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
        text = self.log.read_text(errors='replace')
        return RuntimeError(
            f'{self._module} {self.pid}: {what}; its log, {self.log}: {text}'
        )

    def ask(self, command: str) -> Any:
        """Send a command and return the answer."""
        self.tell(command)
        return self.answer()

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the program."""
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # Processes that it forked may keep the other end open for a while.
        self._reader.join(1)
        if not self._reader.is_alive():
            self._process.stdout.close()


def obey(commands: Mapping[str, Callable[..., object]]) -> None:
    """Run commands from standard input until it ends, then exit."""
    for line in sys.stdin:
        name, *arguments = line.split()
        print(json.dumps(commands[name](*arguments)), flush=True)
    # Threads that still wait for an answer must not keep the process alive.
    os._exit(0)


def become_nova(file: str) -> Any:
    """Set this process up as one of Nova's; return the configuration."""
    from nova import config
    from nova import objects
    from oslo_log import log as logging

    config.parse_args(['benchmark', '--config-file', file])
    # Standard output is reserved for answers.
    config.CONF.set_override('use_stderr', True)
    logging.setup(config.CONF, 'nova')
    objects.register_all()
    return config.CONF


def log_stalls(what: str) -> None:
    """Log from now on when this process was late for want of a processor.

    :param what: to add to the log
    """

    def watch() -> None:
        while True:
            due = time.monotonic() + _LATE
            time.sleep(_LATE)
            late = time.monotonic() - due
            if late > _LATE:
                LOG.warning('Stood still for %.1f s: %s', late, what)

    threading.Thread(target=watch, daemon=True).start()


def _environment(stock: bool) -> dict[str, str]:
    path = [str(ROOT), str(STOCK)] if stock else [str(ROOT)]
    return {
        **os.environ,
        'PYTHONPATH': os.pathsep.join(path),
        'PYTHONWARNINGS': 'ignore',
        'OS_NOVA_DISABLE_EVENTLET_PATCHING': 'true',
    }
