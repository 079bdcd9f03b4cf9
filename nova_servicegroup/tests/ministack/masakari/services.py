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
"""The processes of keystone and Masakari, and what is in them at first."""

from collections.abc import Mapping
import functools
import os
import pathlib
import shutil
import subprocess

from nova_servicegroup.tests.harness import mariadb as mariadb_
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import server
from nova_servicegroup.tests.ministack import database
from nova_servicegroup.tests.ministack.masakari import clients
from nova_servicegroup.tests.ministack.masakari import config
from nova_servicegroup.tests.ministack.masakari import venv as venv_
from nova_servicegroup.tests.ministack import programs
from nova_servicegroup.tests.ministack import progress as progress_
from nova_servicegroup.tests.ministack import servers

_TIMEOUT = 60.0
_STOP = 6.0
KEYSTONE = 'keystone'
API = 'masakari-api'
ENGINE = 'masakari-engine'
MONITOR = 'masakari-hostmonitor'
_STARTED = {
    ENGINE: 'Starting ha_engine',
    MONITOR: 'Starting masakarimonitors-hostmonitor',
}


class Services:
    """Keystone and Masakari of one stack.

    :param directory: of both; its ports are kept in there.
    """

    def __init__(
        self, directory: pathlib.Path, mariadb: mariadb_.MariaDB
    ) -> None:
        self.directory = directory
        self.mariadb = mariadb
        self.venv = venv_.Venv()
        self.ports = server.remembered_ports(directory, 2)
        self.tokens = clients.Tokens(self.ports[0])
        self.masakari = clients.Masakari(self.ports[1], self.tokens)

    @property
    def place(self) -> config.Place:
        """Where they are."""
        keystone, masakari = self.ports
        return config.Place(
            directory=self.directory,
            keystone=f'http://127.0.0.1:{keystone}/v3',
            masakari_port=masakari,
            keystone_database=self.mariadb.url('keystone'),
            masakari_database=self.mariadb.url('masakari'),
        )

    @property
    def all(self) -> list[process.Process]:
        """Everything that there is."""
        names = (MONITOR, ENGINE, API, KEYSTONE)
        return [self.named(name) for name in names]

    def named(self, name: str) -> process.Process:
        """Return a process by its name."""
        return process.Process(
            self._argv(name), self.directory / name, self._environment()
        )

    def _argv(self, name: str) -> list[str]:
        """Return a command line.

        masakari-api has its own server: it runs on eventlet, which stands
        still between the requests of uWSGI.
        """
        if name == KEYSTONE:
            which = ('--module', 'keystone.wsgi.api:application')
            return programs.uwsgi(self.venv, which, self.ports[0], 1, 4)
        file = 'masakarimonitors' if name == MONITOR else 'masakari'
        path = self.place.files / f'{file}.conf'
        return [self.venv.program(name), '--config-file', str(path)]

    def _environment(self) -> dict[str, str]:
        return {
            **database.environment(),
            'OS_KEYSTONE_CONFIG_DIR': str(self.place.files),
            'PYTHONWARNINGS': 'ignore',
        }

    def start_keystone(
        self, urls: Mapping[str, tuple[str, str]], progress: progress_.Progress
    ) -> None:
        """Create all tables, start keystone and fill it.

        :param urls: as for ``clients.Keystone.fill``.
        """
        with progress.step('creating the tables of keystone and Masakari'):
            self._create_tables()
        with progress.step('starting keystone'):
            keystone = self.named(KEYSTONE)
            keystone.start()
            self._wait_for(keystone, self.ports[0], b'/v3')
            ask = clients.Keystone(self.ports[0], self.tokens)
            mine = {'instance-ha': ('masakari', self.place.masakari)}
            ask.fill({**urls, **mine})

    def _create_tables(self) -> None:
        paste = self.venv.directory / 'etc' / 'masakari' / 'api-paste.ini'
        shutil.copy(paste, self.place.files)
        self.place.keys.mkdir(mode=0o700, exist_ok=True)
        for name in ('keystone', 'masakari'):
            self.mariadb.create_database(name)
        owner = (str(os.getuid()), str(os.getgid()))
        user = ('--keystone-user', owner[0], '--keystone-group', owner[1])
        servers.at_once(
            functools.partial(self._manage, 'keystone', 'db_sync'),
            functools.partial(self._manage, 'masakari', 'db', 'sync'),
            functools.partial(self._manage, 'keystone', 'fernet_setup', *user),
        )
        self._manage(
            *('keystone', 'bootstrap'),
            *('--bootstrap-password', config.PASSWORD),
            *('--bootstrap-region-id', config.REGION),
            *('--bootstrap-public-url', self.place.keystone),
            *('--bootstrap-internal-url', self.place.keystone),
        )

    def _manage(self, service: str, *words: str) -> None:
        program = self.venv.program(f'{service}-manage')
        file = str(self.place.files / f'{service}.conf')
        logs = self.directory / 'manage'
        database.run(logs, program, '--config-file', file, *words)

    def start_masakari(
        self, hosts: list[str], progress: progress_.Progress
    ) -> None:
        """Start Masakari, with the hosts in a segment.

        :raises StepFailed: with the log of a process that does not start.
        """
        with progress.step('starting Masakari'):
            for name in (API, ENGINE):
                self.named(name).start()
            self._wait_for(self.named(API), self.ports[1], b'/')
            self._wait_for_log(ENGINE)
            self.masakari.create_segment(hosts)

    def start_monitor(self, progress: progress_.Progress) -> None:
        """Start the hostmonitor.

        :raises StepFailed: with its log, if it does not start.
        """
        with progress.step('starting the hostmonitor'):
            self.named(MONITOR).start()
            self._wait_for_log(MONITOR)

    def run(
        self, program: str, clouds: pathlib.Path, *words: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a client of OpenStack as the administrator."""
        environment = {
            **os.environ,
            **database.environment(),
            'OS_CLIENT_CONFIG_FILE': str(clouds),
            'OS_CLOUD': config.CLOUD,
            'PYTHONWARNINGS': 'ignore',
        }
        return subprocess.run(
            [self.venv.program(program), *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
        )

    def stop(self) -> None:
        """End everything."""
        stops = [one.stop for one in self.all]
        servers.at_once(*[functools.partial(stop, _STOP) for stop in stops])

    def remove(self) -> None:
        """Remove all data and logs; only while everything is stopped."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _wait_for(
        self, found: process.Process, port: int, path: bytes
    ) -> None:
        request = b'GET %s HTTP/1.0\r\n\r\n' % path

        def answers() -> bool:
            _must_run(found)
            head = server.ask(port, request, timeout=5)[:20]
            return b' 200 ' in head or b' 300 ' in head

        name = found.directory.name
        with servers.failing_with(found.log):
            process.wait_until(
                answers, _TIMEOUT, 0.2, f'{name} does not answer'
            )

    def _wait_for_log(self, name: str) -> None:
        found = self.named(name)

        def told() -> bool:
            _must_run(found)
            return _STARTED[name] in found.log.read_text(errors='replace')

        with servers.failing_with(found.log):
            process.wait_until(told, _TIMEOUT, 0.2, f'{name} does not start')


def _must_run(found: process.Process) -> None:
    if not found.running:
        what = f'{found.directory.name} has ended'
        raise progress_.StepFailed(what, found.log)
