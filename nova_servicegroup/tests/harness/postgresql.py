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

"""A real PostgreSQL."""

import os
import pathlib
import shutil
import signal
import struct
import subprocess

from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import server

_USER = 'harness'
#: It refuses to run as root.
_SYSTEM_USER = 'postgres'
# It need not survive a crash of the machine.
_OPTIONS = {
    'fsync': 'off',
    'full_page_writes': 'off',
    'wal_level': 'minimal',
    'max_wal_senders': '0',
    'autovacuum': 'off',
    'shared_buffers': '32MB',
    'max_connections': '200',
    'listen_addresses': '127.0.0.1',
    'unix_socket_directories': '',
}


class PostgreSQL(server.Server):
    """One PostgreSQL server on loopback, without durability.

    Every directory above its own must be one that anybody may traverse.
    """

    package = 'postgresql'

    def prepare(self) -> None:
        self.directory.chmod(0o711)
        if not (self.data / 'PG_VERSION').exists():
            self._install()

    def argv(self) -> list[str]:
        options = [f'--{key}={value}' for key, value in _OPTIONS.items()]
        where = ['-D', str(self.data), '-p', str(self.port)]
        return [*_as_user(), self._program('postgres'), *where, *options]

    def serves(self) -> bool:
        # Its answer to a login is a request for authentication, which is
        # granted at once; an error while it starts.
        words = ['user', _USER, 'database', 'postgres', '', '']
        login = struct.pack('!I', 3 << 16) + '\0'.join(words).encode()
        size = struct.pack('!I', len(login) + 4)
        return server.ask(self.port, size + login).startswith(b'R')

    def stop(self) -> None:
        self.thaw()
        # Else it waits for its clients.
        self._process.signal(signal.SIGINT)
        super().stop()

    def kill(self) -> None:
        self._process.freeze()
        children = self._children()
        super().kill()
        for pid in children:
            process.send(pid, signal.SIGKILL)
        what = f'{self.directory.name} does not die'
        process.wait_until(
            lambda: not any(map(process.lives, children)), 10, 0.01, what
        )

    def freeze(self) -> None:
        # Each of its processes is in a session of its own.
        super().freeze()
        for pid in self._children():
            process.send(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._children():
            process.send(pid, signal.SIGCONT)
        super().thaw()

    def create_database(self, name: str) -> None:
        """Create an empty database if there is none of this name."""
        query = f"SELECT 1 FROM pg_database WHERE datname = '{name}'"
        if not self.execute(query):
            self.execute(f'CREATE DATABASE "{name}"')

    def execute(self, statements: str, database: str = 'postgres') -> str:
        """Run SQL with the command line client and return what it prints.

        :raises RuntimeError: with the client's words when it fails.
        """
        where = ['-h127.0.0.1', f'-p{self.port}', f'-U{_USER}', database]
        plain = ['-XAtq', '-vON_ERROR_STOP=1']
        return self._run([self._program('psql'), *plain, *where], statements)

    def url(self, name: str) -> str:
        """Return a database's SQLAlchemy URL."""
        return f'postgresql+psycopg2://{_USER}@{self.address}/{name}'

    def wipe(self) -> None:
        """Lose all data; only while stopped."""
        self._must_not_run()
        shutil.rmtree(self.data, ignore_errors=True)

    def _install(self) -> None:
        program = self._program('initdb')
        self.data.mkdir(mode=0o700, exist_ok=True)
        if _as_user():
            shutil.chown(self.data, _SYSTEM_USER, _SYSTEM_USER)
        options = ['--auth=trust', '--encoding=UTF8', '--no-locale']
        self._run(
            [
                *_as_user(),
                program,
                f'--pgdata={self.data}',
                f'--username={_USER}',
                '--no-sync',
                *options,
            ]
        )

    def _program(self, name: str) -> str:
        """Return the path of one of the newest version's programs."""
        places = pathlib.Path('/usr/lib/postgresql').glob(f'*/bin/{name}')
        found = sorted(places, key=lambda path: float(path.parts[4]))
        if not found:
            raise server.MissingProgram(name, self.package)
        return str(found[-1])

    def _run(self, command: list[str], stdin: str = '') -> str:
        done = subprocess.run(
            command,
            input=stdin,
            cwd=self.directory,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f'{command}: {done.stderr.strip()}')
        return done.stdout

    def _children(self) -> list[int]:
        pid = self.pid
        if pid is None:
            return []
        file = pathlib.Path(f'/proc/{pid}/task/{pid}/children')
        return [int(word) for word in file.read_text().split()]


def _as_user() -> list[str]:
    """Return what to put before a command line that root must not run."""
    if os.getuid():
        return []
    program = server.find_program('setpriv', 'util-linux')
    who = [f'--reuid={_SYSTEM_USER}', f'--regid={_SYSTEM_USER}']
    return [program, *who, '--clear-groups', '--']
