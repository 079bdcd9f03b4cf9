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

"""One supervised process of the operating system."""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

from nova_servicegroup.tests.harness import forking
from nova_servicegroup.tests.harness import stalls

_BOOT_ID = pathlib.Path('/proc/sys/kernel/random/boot_id')
#: Where processes were started that may be of interest when a test fails.
_directories: dict[pathlib.Path, None] = {}
#: What they have written there: output, and an observer's verdicts.
_WRITTEN = ('log', 'seen')


def wait_until(
    check: Callable[[], object],
    timeout: float,
    interval: float = 0.05,
    what: str = '',
) -> float:
    """Wait until a check is true and return the seconds that it took.

    :param timeout: seconds, in which the machine has run
    :raises TimeoutError: when it is still false after the timeout.
    """
    begun = time.monotonic()
    while not check():
        taken = time.monotonic() - begun
        # Stalls are read only when there is need.
        if taken > timeout and taken - stalls.stood_still(begun) > timeout:
            what = what or getattr(check, '__name__', 'a condition')
            raise TimeoutError(f'after {timeout:g} s: {what}')
        time.sleep(interval)
    return time.monotonic() - begun


def written(lines: int = 60) -> dict[str, str]:
    """Return the last lines of what processes of this one's have written.

    :returns: by the file's name and its last folders'
    """
    files = [each / name for each in _directories for name in _WRITTEN]
    return {
        '/'.join(file.parts[-4:]): tail(file, lines)
        for file in files
        if file.exists()
    }


def tail(file: pathlib.Path, lines: int) -> str:
    """Return the last lines of a file; nothing if there is none."""
    if not file.exists():
        return ''
    text = file.read_text(errors='replace')
    return '\n'.join(text.splitlines()[-lines:])


class Process:
    """A process in a session of its own that outlives its starter.

    Everything about it lives in one directory: ``pid`` (the process id, its
    start time and the boot id, so that a re-used id is never signalled) and
    ``log`` (standard output and error). A new object on the same directory
    takes over a process that another one started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        directory: pathlib.Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.argv = list(argv)
        self.directory = pathlib.Path(directory)
        self.env = dict(env or {})

    @property
    def log(self) -> pathlib.Path:
        """The file with everything that the process has written."""
        return self.directory / 'log'

    @property
    def pid(self) -> int | None:
        """The process id, or None when it does not run."""
        leader, start = self._record()
        self._reap(leader)
        # One that had ended before its start was read has none.
        lives = leader and start and _start_time(leader) == start
        return leader if lives else None

    @property
    def running(self) -> bool:
        """Whether the process lives; a zombie does not."""
        return self.pid is not None

    def start(self) -> None:
        """Start the process.

        :raises RuntimeError: when it runs already.
        """
        if self.running:
            raise RuntimeError(f'{self.directory.name} runs already')
        self.directory.mkdir(parents=True, exist_ok=True)
        _directories[self.directory] = None
        self._write(self._begin({**os.environ, **self.env}))

    def _begin(self, env: Mapping[str, str]) -> int:
        """Begin to run in a session of its own; return the process id."""
        with self.log.open('ab') as log:
            child = subprocess.Popen(
                self.argv,
                cwd=self.directory,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # It is reaped by id, like one that another object has started.
        child.returncode = 0
        return child.pid

    def stop(self, timeout: float = 20.0) -> None:
        """Ask the process to end, and kill what is left after a while."""
        self.signal(signal.SIGTERM)
        self.thaw()
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not self.running, timeout, 0.02)
        self.kill()

    def kill(self) -> None:
        """Kill the process and all others of its session at once."""
        self._signal_all(signal.SIGKILL)
        what = f'{self.directory.name} does not die'
        wait_until(lambda: not self._members(), 10, 0.01, what)
        self._reap(self._record()[0])

    def freeze(self) -> None:
        """Stop the process and its children without ending them.

        When this returns, none of their threads runs any more.
        """
        self._signal_all(signal.SIGSTOP)
        wait_until(
            lambda: all(map(_stands_still, self._members())),
            10,
            0.002,
            f'{self.directory.name} does not stop',
        )

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self._signal_all(signal.SIGCONT)

    def signal(self, signum: int) -> None:
        """Send a signal to the process itself, if it runs."""
        pid = self.pid
        if pid is not None:
            send(pid, signum)

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        return tail(self.log, lines)

    def _signal_all(self, signum: int) -> None:
        for pid in self._members():
            send(pid, signum)

    def _members(self) -> list[int]:
        """Return the living processes of the session, also without leader."""
        leader, start = self._record()
        self._reap(leader)
        if not leader or _start_time(leader, zombie=True) not in (0, start):
            return []
        return [pid for pid in _pids() if _session(pid) == leader]

    def _record(self) -> tuple[int, int]:
        with contextlib.suppress(OSError, ValueError):
            text = (self.directory / 'pid').read_text()
            pid, start, boot = text.split()
            if boot == _BOOT_ID.read_text().strip():
                return int(pid), int(start)
        return 0, 0

    def _write(self, pid: int) -> None:
        start = _start_time(pid, zombie=True)
        boot = _BOOT_ID.read_text().strip()
        new = self.directory / 'pid.new'
        new.write_text(f'{pid} {start} {boot}\n')
        new.replace(self.directory / 'pid')

    def _reap(self, leader: int) -> None:
        if leader:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(leader, os.WNOHANG)


class Program(Process):
    """A module of this package that runs as a program.

    :param prefix: what to put before the command line
    :param env: more for the environment
    :param forks: whether it may be forked, if neither of these is given; see
        forking
    """

    def __init__(
        self,
        directory: pathlib.Path,
        module: str,
        *words: str,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        forks: bool = False,
    ) -> None:
        self._module = module
        self._words = words
        self._forks = forks and not (prefix or env) and forking.is_possible()
        super().__init__(
            [*prefix, sys.executable, '-m', module, *words],
            directory,
            {**forking.ENVIRONMENT, **(env or {})},
        )

    def _begin(self, env: Mapping[str, str]) -> int:
        if not self._forks:
            return super()._begin(env)
        forker = forking.forker()
        return forker.fork(self._module, self._words, self.directory, env)


def send(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def lives(pid: int) -> bool:
    """Return whether a process lives; a zombie does not."""
    return bool(_start_time(pid))


def _pids() -> list[int]:
    return [int(name) for name in os.listdir('/proc') if name.isdigit()]


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the state on."""
    return _fields(pathlib.Path(f'/proc/{pid}/stat'))


def _fields(file: pathlib.Path) -> list[str]:
    """Return the fields of a file as /proc/<pid>/stat from the state on."""
    try:
        text = file.read_text()
    except OSError:
        return []
    return text.rpartition(')')[2].split()


def _stands_still(pid: int) -> bool:
    """Return whether no thread of a process runs."""
    states = [
        _fields(file)[:1]
        for file in pathlib.Path(f'/proc/{pid}/task').glob('*/stat')
    ]
    # A thread that has ended has none.
    return all(each in ([], ['T'], ['t'], ['Z'], ['X']) for each in states)


def _start_time(pid: int, zombie: bool = False) -> int:
    """Return when a process was started, 0 when there is none."""
    stat = _stat(pid)
    return int(stat[19]) if stat and (zombie or _lives(stat)) else 0


def _session(pid: int) -> int:
    """Return the session of a living process, 0 when there is none."""
    stat = _stat(pid)
    return int(stat[3]) if stat and _lives(stat) else 0


def _lives(stat: list[str]) -> bool:
    """Return whether a process has a thread that keeps its files open.

    The first thread turns into a zombie before the last one has ended.
    """
    return stat[0] not in 'ZX' or int(stat[17]) > 1
