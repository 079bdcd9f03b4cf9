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

"""What the harness's servers have in common."""

from collections.abc import Mapping
import pathlib
import shutil
import socket

from nova_servicegroup.tests.harness import ports
from nova_servicegroup.tests.harness import process


class MissingProgram(RuntimeError):
    """A program that the harness needs is not installed."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(
            f'{program} is not installed: apt-get install {package}'
        )
        self.program = program
        self.package = package


def find_program(program: str, package: str) -> str:
    """Return the path of a program.

    :raises MissingProgram: naming the Debian package to install.
    """
    places = '/usr/local/sbin:/usr/sbin:/sbin'
    found = shutil.which(program) or shutil.which(program, path=places)
    if not found:
        raise MissingProgram(program, package)
    return found


def remembered_ports(directory: pathlib.Path, count: int) -> list[int]:
    """Return ports that stay the same as long as the directory lives."""
    file = directory / 'ports'
    if not file.exists():
        directory.mkdir(parents=True, exist_ok=True)
        numbers = ports.free_ports(count)
        file.write_text(' '.join(map(str, numbers)) + '\n')
    return [int(number) for number in file.read_text().split()]


def ask(
    port: int, request: bytes, timeout: float = 1.0, host: str = '127.0.0.1'
) -> bytes:
    """Send bytes to a port of this machine and return the first answer.

    The answer is empty when nobody answers in time.
    """
    try:
        with socket.create_connection((host, port), timeout) as conn:
            conn.sendall(request)
            return conn.recv(65536)
    except OSError:
        return b''


class Server:
    """A real server in a directory of its own, on loopback.

    Its verbs are the failures that a test needs. A second object on the same
    directory finds the server that runs there.

    :param port: None: a free one, the same as long as the directory lives
    """

    package = ''
    start_timeout = 60.0
    stop_timeout = 20.0

    def __init__(
        self, directory: pathlib.Path, port: int | None = None
    ) -> None:
        self.directory = pathlib.Path(directory)
        self.port = port or remembered_ports(directory, 1)[0]
        self._process = process.Process([], self.directory)

    @property
    def address(self) -> str:
        """Where clients find the server."""
        return f'127.0.0.1:{self.port}'

    @property
    def pid(self) -> int | None:
        """The process id, or None when the server does not run."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether its process lives, frozen or not."""
        return self._process.running

    @property
    def log(self) -> pathlib.Path:
        """The file with what the server has written."""
        return self._process.log

    def start(self) -> None:
        """Start the server and wait until it serves."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start the server without waiting for it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.prepare()
        self._process.argv = self.argv()
        self._process.env = dict(self.env())
        self._process.start()

    def wait(self) -> None:
        """Wait until the server serves.

        :raises RuntimeError: when it ends instead.
        :raises TimeoutError: when it does not serve in time.
        """
        what = f'{self.directory.name} does not serve; see {self.log}'
        process.wait_until(self._settled, self.start_timeout, what=what)
        if not self.running:
            raise RuntimeError(f'{self.directory.name} ended; see {self.log}')

    def stop(self) -> None:
        """End the server in good order."""
        self._process.stop(self.stop_timeout)

    def kill(self) -> None:
        """End the server as a crash would."""
        self._process.kill()

    def freeze(self) -> None:
        """Make the server mute: connections stay, nothing is answered."""
        self._process.freeze()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._process.thaw()

    @property
    def data(self) -> pathlib.Path:
        """Where a server keeps its data that keeps any."""
        return self.directory / 'data'

    def wipe(self) -> None:
        """Lose all data."""
        raise NotImplementedError

    def argv(self) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def env(self) -> Mapping[str, str]:
        """Return what the environment needs beyond our own."""
        return {}

    def prepare(self) -> None:
        """Write what the server needs before it starts."""

    def serves(self) -> bool:
        """Return whether the server answers right now."""
        raise NotImplementedError

    def _settled(self) -> bool:
        return not self.running or self.serves()

    def _must_not_run(self) -> None:
        if self.running:
            raise RuntimeError(f'{self.directory.name} runs; stop it first')
