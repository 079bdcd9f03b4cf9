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

"""Nova's and placement's tables, prepared once and kept."""

from concurrent import futures
import hashlib
import os
import pathlib
import shutil
import subprocess

from nova_servicegroup.tests.harness import mariadb
from nova_servicegroup.tests.ministack import progress
from nova_servicegroup.tests.ministack import venv as venv_

API = 'nova_api'
CELL0 = 'nova_cell0'
CELL1 = 'nova_cell1'
PLACEMENT = 'placement'

# Nova fills these in from its own configuration, so that the prepared tables
# hold no port and serve every stack.
_SERVER = '{username}:{password}@{hostname}:{port}'
_CELL = f'{{scheme}}://{_SERVER}'
_TRANSPORT = f'{{scheme}}://{_SERVER}/'


class Tables:
    """All tables of a new stack.

    The first stack creates them with Nova's own commands; later ones start
    from a copy of the server's data, which saves half a minute.
    """

    def __init__(
        self,
        server: mariadb.MariaDB,
        venv: venv_.Venv,
        files: pathlib.Path,
        logs: pathlib.Path,
    ) -> None:
        self.server = server
        self.venv = venv
        self.files = files
        self.logs = logs

    def start(self, progress: progress.Progress) -> None:
        """Start the server with all tables in it."""
        kept = self._kept()
        if kept.exists():
            shutil.copytree(kept, self.server.data)
            self.server.start()
            return
        self.server.start()
        with progress.step('creating the tables of nova and placement'):
            self._create()
        self._keep(kept)

    def _create(self) -> None:
        for name in (API, CELL0, CELL1, PLACEMENT):
            self.server.create_database(name)
        self._at_once(
            self._nova('api_db', 'sync'),
            self._nova('db', 'sync', '--local_cell'),
            self._placement('db', 'sync'),
        )
        self._copy(CELL1, CELL0)
        self._at_once(
            self._nova(
                'cell_v2', 'map_cell0',
                '--database_connection', f'{_CELL}/{CELL0}',
            ),
            self._nova(
                'cell_v2', 'create_cell', '--name', 'cell1',
                '--database_connection', f'{_CELL}/{CELL1}',
                '--transport-url', _TRANSPORT,
            ),
        )  # fmt: skip

    def discover(self) -> None:
        """Let Nova find compute hosts that it does not know yet."""
        run(self.logs, *self._nova('cell_v2', 'discover_hosts'))

    def _nova(self, *arguments: str) -> list[str]:
        file = str(self.files / 'nova.conf')
        return [
            self.venv.program('nova-manage'),
            '--config-file', file, *arguments,
        ]  # fmt: skip

    def _placement(self, *arguments: str) -> list[str]:
        file = str(self.files / 'placement.conf')
        return [
            self.venv.program('placement-manage'),
            '--config-file', file, *arguments,
        ]  # fmt: skip

    def _at_once(self, *commands: list[str]) -> None:
        with futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda command: run(self.logs, *command), commands))

    def _copy(self, source: str, target: str) -> None:
        dump = [*self.server.client('mariadb-dump'), '--skip-comments', source]
        self.server.execute(self.server.run(dump), target)

    def _kept(self) -> pathlib.Path:
        version = self.server.run([self.server.argv()[0], '--version'])
        digest = hashlib.sha256(version.encode()).hexdigest()[:8]
        name = f'tables-nova-{self.venv.nova_version}-{digest}'
        return venv_.CACHE / name

    def _keep(self, kept: pathlib.Path) -> None:
        self.server.stop()
        new = kept.with_suffix(f'.{os.getpid()}')
        shutil.copytree(self.server.data, new)
        if kept.exists():
            shutil.rmtree(new)
        else:
            new.rename(kept)
        self.server.start()


def environment() -> dict[str, str]:
    """Return what Nova's processes need in their environment."""
    return {
        'PYTHONPATH': '',
        'PYTHONUNBUFFERED': '1',
        'NO_PROXY': '127.0.0.1,localhost',
        'no_proxy': '127.0.0.1,localhost',
    }


def run(logs: pathlib.Path, *command: str) -> None:
    """Run one of Nova's commands.

    :raises StepFailed: with its log.
    """
    logs.mkdir(parents=True, exist_ok=True)
    words = [word for word in command[3:] if word.isidentifier()]
    log = logs / f'{pathlib.Path(command[0]).name}-{"-".join(words)}.log'
    with log.open('ab') as out:
        done = subprocess.run(
            command,
            stdout=out,
            stderr=out,
            cwd='/',
            env={**os.environ, **environment()},
        )
    if done.returncode:
        raise progress.StepFailed(f'{" ".join(command)} failed', log)
