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


"""A process that forks programs, which share what it has imported.

To import what a member needs takes half a second of a processor, and thousands
of members and observers are started. Run as a program, it is that process.
"""

from collections.abc import Mapping, Sequence
import functools
import importlib
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import threading
from typing import Any

#: What a module of this package needs to run as a program.
ENVIRONMENT = {
    'PYTHONPATH': str(pathlib.Path(__file__).parents[3]),
    'PYTHONWARNINGS': 'ignore',
}

#: What they import. What is not installed, they do without.
_MODULES = (
    'oslo_service.service',
    'oslo_log.log',
    'nova_servicegroup.api',
    'nova_servicegroup.drivers.zk.driver',
    'nova_servicegroup.drivers.etcd.driver',
    'nova_servicegroup.drivers.redis.driver',
    'nova_servicegroup.drivers.mc.driver',
    'nova_servicegroup.drivers.db.driver',
    'tooz.drivers.zookeeper',
    'tooz.drivers.etcd3gw',
    'tooz.drivers.redis',
    'pymemcache',
    'nova_servicegroup.tests.harness.records',
)


class Forker:
    """The one process of this one's that forks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # It ends with this process, by the end of the pipe.
        self._process = subprocess.Popen(
            [sys.executable, '-m', __name__],
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def fork(
        self,
        module: str,
        words: Sequence[str],
        directory: pathlib.Path,
        env: Mapping[str, str],
    ) -> int:
        """Run a module in a session of its own; return the process id.

        Its output goes to the file ``log``.

        :param env: its whole environment
        :raises RuntimeError: nothing is forked
        """
        asked = [module, list(words), str(directory), dict(env)]
        sends, receives = self._process.stdin, self._process.stdout
        assert sends is not None and receives is not None
        with self._lock:
            sends.write(json.dumps(asked) + '\n')
            sends.flush()
            pid = receives.readline().strip()
        if not pid:
            raise RuntimeError(f'{module} is not forked')
        return int(pid)


@functools.cache
def forker() -> Forker:
    """Return the one of this process."""
    return Forker()


def is_possible() -> bool:
    """Return whether oslo.service runs without eventlet.

    Eventlet must come before all other imports.
    """
    try:
        importlib.import_module('oslo_service.backend')
    except ImportError:
        return False
    return True


def main() -> None:
    """Fork what is asked for, until the pipe ends."""
    _import()
    # Nobody waits for the children.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        try:
            child = not os.fork()
        except OSError:
            _answer('')
            continue
        if child:
            _run(*json.loads(line))
            return


def _answer(text: object) -> None:
    os.write(1, f'{text}\n'.encode())


def _import() -> None:
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


def _run(
    module: str, words: list[str], directory: str, env: dict[str, Any]
) -> None:
    """Be the program; see Forker.fork."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        os.setsid()
        os.chdir(directory)
        log = os.open('log', os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError:
        _answer('')
        raise
    # From here on, it can be read, and harmed.
    _answer(os.getpid())
    os.environ.clear()
    os.environ.update(env)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, log, log)):
        os.dup2(file, number)
    os.closerange(3, max(nothing, log) + 1)
    sys.argv[1:] = words
    runpy.run_module(module, run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    main()
