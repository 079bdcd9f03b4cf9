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
"""A stack with keystone and Masakari, and with an agent for each host."""

from collections.abc import Mapping
import pathlib
import shutil
import subprocess

from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.ministack.masakari import config
from nova_servicegroup.tests.ministack.masakari import services
from nova_servicegroup.tests.ministack import progress as progress_
from nova_servicegroup.tests.ministack import servers
from nova_servicegroup.tests.ministack import settings as settings_
from nova_servicegroup.tests.ministack import stack
from nova_servicegroup.tests.ministack import venv as venv_

_AGENT = 'agent-'
_WATCHES = 'watches'
_TIMEOUT = 60.0


class Stack(stack.Stack):
    """Nova, keystone and Masakari in one directory.

    ``others`` has the processes of keystone and Masakari, ``masakari`` is a
    client of Masakari's API.
    """

    @property
    def clouds(self) -> pathlib.Path:
        """The file that a client of OpenStack reads."""
        return self.directory / 'masakari' / 'clouds.yaml'

    @property
    def logs(self) -> list[pathlib.Path]:
        """All logs that there are."""
        return [*super().logs, *self.directory.glob('masakari/manage/*.log')]

    def credentials(self) -> Mapping[str, str]:
        """Return the header with the administrator's token."""
        return self.others.tokens.headers()

    def alive(self) -> list[str]:
        """Return the names of everything that runs."""
        mine = [one.directory.name for one in self.others.all if one.running]
        return [*super().alive(), *mine]

    def down(self) -> None:
        """End everything that belongs to this stack, and nothing else."""
        self.others.stop()
        super().down()

    def process(self, name: str) -> process.Process:
        """Return a process of Nova's, keystone or Masakari, or an agent.

        :raises StepFailed: when there is none such.
        """
        host = name.removeprefix(_AGENT)
        if name != host and host in self.hosts:
            return self.agent(host)
        for each in self.others.all:
            if each.directory.name == name:
                return each
        return super().process(name)

    def kill_host(self, host: str) -> None:
        """End all that runs on a compute host, as a power cut does."""
        ends = (self.process(host).kill, self.agent(host).kill)
        servers.at_once(*ends)

    def revive(self, host: str) -> None:
        """Start a host again, and give it back to Nova and Masakari."""
        for name in (host, f'{_AGENT}{host}'):
            if not self.process(name).running:
                self.start(name)
        self.enable(host)
        self.masakari.set_maintenance(host, False)

    def start(self, name: str, wait: bool = True) -> float:
        """Start a process again, as for any stack."""
        if name in self.processes:
            return super().start(name, wait)
        self.process(name).start()
        return 0.0

    def openstack(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run OpenStack's client as the administrator."""
        return self.others.run('openstack', self.clouds, *words)

    def usage(self) -> str:
        """Return how to use OpenStack's client with it."""
        return '\n'.join(
            [
                "OpenStack's client, for instance with notification list:",
                f'  export OS_CLIENT_CONFIG_FILE={self.clouds}',
                f'  export OS_CLOUD={config.CLOUD}',
                f'  {self.others.venv.program("openstack")} segment list',
            ]
        )

    def _make(self) -> None:
        super()._make()
        directory = self.directory / 'masakari'
        self.others = services.Services(directory, self.mariadb)
        self.masakari = self.others.masakari

    def _venvs(self) -> list[venv_.Venv]:
        return [*super()._venvs(), self.others.venv]

    def _clear(self) -> None:
        self.others.remove()
        super()._clear()

    def _files(self) -> settings_.Settings:
        at = self.servers.endpoints()
        return config.nova(self.settings, self.others.place, at)

    def _configure(self) -> None:
        super()._configure()
        files, at = self.directory / 'conf', self.servers.endpoints()
        config.write_all(self.others.place, self.settings, at, files)
        for host in self.hosts:
            config.processes(at, host).mkdir(exist_ok=True)
        shutil.copy(self.venv.etc / 'api-paste.ini', files)

    def _start(self) -> None:
        self.servers.start(self.progress)
        at = self.servers.endpoints()
        nova = f'http://127.0.0.1:{self.servers.api_port}/v2.1'
        urls = {
            'compute': ('nova', nova),
            'placement': ('placement', at.placement),
        }
        self.others.start_keystone(urls, self.progress)
        self._start_nova()
        self.others.start_masakari(self.hosts, self.progress)
        # The host monitor refuses db, which has no evidence.
        if self.settings.driver != 'db':
            self.others.start_monitor(self.progress)

    def _start_nova(self) -> None:
        super()._start_nova()
        agents = [self.agent(host) for host in self.hosts]
        with self.progress.step('starting the agents'):
            for agent in agents:
                agent.log.unlink(missing_ok=True)
                agent.start()
            for agent in agents:
                _wait_until_it_watches(agent)


def _wait_until_it_watches(agent: process.Process) -> None:
    what = f'{agent.directory.name} does not watch'
    with servers.failing_with(agent.log):
        process.wait_until(
            lambda: _WATCHES in agent.log.read_text(), _TIMEOUT, what=what
        )


def open_stack(
    directory: pathlib.Path | None = None,
    settings: settings_.Settings | None = None,
    progress: progress_.Progress | None = None,
) -> stack.Stack:
    """Return a stack, with Masakari if its settings say so.

    :raises StepFailed: as of any stack.
    """
    at = pathlib.Path(directory or venv_.CACHE / 'stack')
    file = at / 'stack.json'
    wanted = settings
    if wanted is None and file.exists():
        wanted = settings_.load(file)
    kind = Stack if wanted and wanted.masakari else stack.Stack
    return kind(directory, settings, progress=progress)
