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

"""The processes of Nova, placement and the stand-in for neutron."""

from collections.abc import Sequence
import os
import pathlib
import subprocess
import sys

from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.ministack import database
from nova_servicegroup.tests.ministack import settings as settings_
from nova_servicegroup.tests.ministack import venv as venv_

_NEUTRON = pathlib.Path(__file__).with_name('neutron.py')
_STOCK = pathlib.Path(__file__).with_name('stock')


class Programs:
    """Makes a process from its name.

    :param directory: of the stack; every process gets one of its own below.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        venv: venv_.Venv,
        settings: settings_.Settings,
    ) -> None:
        self.directory = directory
        self.venv = venv
        self.settings = settings
        self.files = directory / 'conf'

    def nova(self) -> list[process.Process]:
        """Return what runs or has run of Nova, also of other settings."""
        found = sorted(self.directory.glob('nova/*/pid'))
        return [process.Process([], pid.parent) for pid in found]

    def api(self, port: int) -> process.Process:
        """Return nova-api: built in each worker, as most clouds have it."""
        application = ('nova-api-wsgi', 'nova.wsgi.osapi_compute')
        # A greenlet must not be handed from one native thread to another.
        threads = 8 if self.settings.threading('api') else 1
        processes = self.settings.workers
        argv = self._uwsgi(application, port, processes, threads)
        return self._nova('api', argv)

    def conductor(self) -> process.Process:
        """Return nova-conductor, for the cell and above the cells."""
        return self._nova('conductor', self._service('conductor'))

    def scheduler(self) -> process.Process:
        """Return nova-scheduler."""
        return self._nova('scheduler', self._service('scheduler'))

    def compute(self, host: str) -> process.Process:
        """Return the nova-compute of a host."""
        argv = self._service(host, 'nova-compute', f'{host}.conf')
        return self._nova(host, argv)

    def agent(self, host: str) -> process.Process:
        """Return the nova-servicegroup-agent of a host."""
        argv = self._service(host, 'nova-servicegroup-agent', f'{host}.conf')
        return self._nova(f'agent-{host}', argv)

    def placement(self, port: int) -> process.Process:
        """Return placement."""
        application = ('placement-api', 'placement.wsgi.api')
        argv = self._uwsgi(application, port, processes=1, threads=8)
        place = self.directory / 'placement'
        return process.Process(argv, place, self._environment())

    def neutron(self, port: int) -> process.Process:
        """Return the stand-in for neutron."""
        argv = [sys.executable, str(_NEUTRON), str(port)]
        return process.Process(argv, self.directory / 'neutron')

    def command(
        self, words: Sequence[str], file: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the virtual environment and return its output."""
        where = ['--config-file', str(self.files / file)]
        return subprocess.run(
            [self.venv.program(words[0]), *where, *words[1:]],
            env={**os.environ, **self._environment()},
            capture_output=True,
            text=True,
        )

    def python(
        self, name: str, module: str, *arguments: str, stock: bool
    ) -> process.Process:
        """Return a module that runs as a process of Nova's."""
        file = str(self.files / 'nova.conf')
        argv = [self.venv.program('python'), '-m', module, file, *arguments]
        return self._nova(name, argv, stock)

    def _nova(
        self, name: str, argv: list[str], stock: bool = False
    ) -> process.Process:
        place = self.directory / 'nova' / name
        environment = self._environment(name)
        if stock or name in self.settings.stock:
            paths = [self.settings.python_path, str(_STOCK)]
            environment['PYTHONPATH'] = ':'.join(filter(None, paths))
        return process.Process(argv, place, environment)

    def _service(
        self, name: str, program: str = '', file: str = 'nova.conf'
    ) -> list[str]:
        path = self._venv(name).program(program or f'nova-{name}')
        return [path, '--config-file', str(self.files / file)]

    def _venv(self, name: str) -> venv_.Venv:
        """Return the environment of one of Nova's processes."""
        if name in self.settings.novas:
            return venv_.Venv(self.settings.novas[name])
        return self.venv

    def _uwsgi(
        self,
        application: tuple[str, str],
        port: int,
        processes: int,
        threads: int,
    ) -> list[str]:
        where = self._application(*application)
        return uwsgi(self.venv, where, port, processes, threads)

    def _application(self, script: str, module: str) -> tuple[str, str]:
        """Return uWSGI's option for a script, which newer releases lack."""
        path = self.venv.program(script)
        if pathlib.Path(path).exists():
            return '--wsgi-file', path
        return '--module', f'{module}:application'

    def _environment(self, name: str = '') -> dict[str, str]:
        threading = self.settings.threading(name)
        return {
            **database.environment(),
            'PYTHONPATH': self.settings.python_path,
            'OS_NOVA_CONFIG_DIR': str(self.files),
            'OS_PLACEMENT_CONFIG_DIR': str(self.files),
            'OS_NOVA_DISABLE_EVENTLET_PATCHING': str(threading).lower(),
        }


def uwsgi(
    venv: venv_.Venv,
    application: Sequence[str],
    port: int,
    processes: int,
    threads: int,
) -> list[str]:
    """Return the command line of a WSGI application.

    :param application: uWSGI's options that tell which one
    """
    return [
        venv.program('uwsgi'),
        *('--home', str(venv.directory)),
        *('--http-socket', f'127.0.0.1:{port}'),
        *application,
        *('--processes', str(processes)),
        *('--threads', str(threads)),
        *('--listen', '100', '--buffer-size', '65535'),
        *('--add-header', 'Connection: close'),
        *('--master', '--enable-threads', '--die-on-term'),
        *('--need-app', '--no-orphans', '--disable-logging'),
        # uWSGI forks without Python's knowledge: a lock that a thread of
        # the master holds at that moment is never let go in the child.
        '--lazy-apps',
        # Python's own teardown waits for thread pools that never end.
        '--skip-atexit-teardown',
    ]
