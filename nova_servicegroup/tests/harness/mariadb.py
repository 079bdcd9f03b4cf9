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

"""A real MariaDB."""

import os
import pwd
import shutil
import subprocess

from nova_servicegroup.tests.harness import server

_USER = 'harness'
_PASSWORD = 'harness'
# It need not survive a crash of the machine, but SIGKILL, which cuts the write
# of a page short: without the doublewrite buffer its data are corrupt then.
_OPTIONS = {
    'innodb-flush-log-at-trx-commit': '0',
    'innodb-flush-method': 'nosync',
    'innodb-buffer-pool-size': '64M',
    'innodb-log-file-size': '32M',
    'innodb-buffer-pool-dump-at-shutdown': '0',
    'innodb-buffer-pool-load-at-startup': '0',
    'innodb-stats-persistent': '0',
    'sync-binlog': '0',
    'performance-schema': '0',
    'max-connections': '1000',
    'character-set-server': 'utf8mb3',
    'collation-server': 'utf8mb3_general_ci',
}


class MariaDB(server.Server):
    """One MariaDB server on loopback, without durability."""

    package = 'mariadb-server'

    def prepare(self) -> None:
        (self.directory / 'init.sql').write_text(
            f"CREATE USER IF NOT EXISTS '{_USER}'@'%'"
            f" IDENTIFIED BY '{_PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{_USER}'@'%' WITH GRANT OPTION;\n"
        )
        (self.directory / 'tmp').mkdir(exist_ok=True)
        if not (self.data / 'mysql').exists():
            self._install()

    def argv(self) -> list[str]:
        program = server.find_program('mariadbd', self.package)
        options = [f'--{key}={value}' for key, value in _OPTIONS.items()]
        return [
            program,
            '--no-defaults',
            *self._directories(),
            f'--init-file={self.directory / "init.sql"}',
            f'--port={self.port}',
            '--bind-address=127.0.0.1',
            # Relative to the data: a path may have 107 characters only.
            '--socket=socket',
            '--skip-name-resolve',
            '--skip-log-bin',
            f'--user={_system_user()}',
            *options,
        ]

    def serves(self) -> bool:
        # The greeting comes first; its fifth byte is the protocol's version.
        return server.ask(self.port, b'')[4:5] == b'\x0a'

    def create_database(self, name: str) -> None:
        """Create an empty database if there is none of this name."""
        self.execute(f'CREATE DATABASE IF NOT EXISTS `{name}`')

    def execute(self, statements: str, database: str = '') -> str:
        """Run SQL with the command line client and return what it prints.

        :raises RuntimeError: with the client's words when it fails.
        """
        command = [*self.client('mariadb'), '-N', '-B', database]
        return self.run(command, statements)

    def client(self, program: str) -> list[str]:
        """Return a client's command line up to the connection's options."""
        path = server.find_program(program, 'mariadb-client')
        where = ['-h127.0.0.1', f'-P{self.port}']
        login = [f'-u{_USER}', f'-p{_PASSWORD}']
        return [path, '--no-defaults', *where, *login]

    def run(self, command: list[str], stdin: str = '') -> str:
        """Run a command and return its output.

        :raises RuntimeError: with the command's words when it fails.
        """
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f'{command[0]}: {done.stderr.strip()}')
        return done.stdout

    def url(self, name: str) -> str:
        """Return a database's SQLAlchemy URL."""
        return f'mysql+pymysql://{_USER}:{_PASSWORD}@{self.address}/{name}'

    def wipe(self) -> None:
        """Lose all data; only while stopped."""
        self._must_not_run()
        shutil.rmtree(self.data, ignore_errors=True)

    def _directories(self) -> list[str]:
        # A server that starts deletes the temporary tables of all others
        # that share its tmpdir.
        return [f'--datadir={self.data}', f'--tmpdir={self.directory / "tmp"}']

    def _install(self) -> None:
        program = server.find_program('mariadb-install-db', self.package)
        command = [
            program,
            '--no-defaults',
            *self._directories(),
            f'--user={_system_user()}',
            '--auth-root-authentication-method=normal',
            '--skip-test-db',
            '--skip-name-resolve',
            '--innodb-flush-method=nosync',
        ]
        self.run(command)


def _system_user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
