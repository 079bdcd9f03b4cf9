# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""The whole of it, and what can be done to it."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import pathlib
import shutil
import signal
import subprocess
import time
from typing import Any

from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.ministack import config
from nova_servicegroup.tests.ministack import nova
from nova_servicegroup.tests.ministack import programs
from nova_servicegroup.tests.ministack import progress as progress_
from nova_servicegroup.tests.ministack import servers
from nova_servicegroup.tests.ministack import settings as settings_
from nova_servicegroup.tests.ministack import venv as venv_

_TIMEOUT = 120.0
# Nova's own good order can take 15 s, mostly for its connections to RabbitMQ.
_STOP = 6.0
_JOINS = 'Joining the servicegroup'


class Stack(nova.Nova):
    """One Nova with its servers in one directory.

    Besides its own verbs it has those of Nova's API. The servers below are
    at hand as ``rabbitmq``, ``mariadb``, ``memcached``, ``etcd``, ``redis``
    and ``zookeeper``.

    :param settings: for ``up``; without them those of the stack that is
        there already.
    :param progress: tells what goes on; silent by default.
    :raises StepFailed: when the directory is something else, or when there
        is no stack and no settings are given.
    """

    def __init__(
        self,
        directory: pathlib.Path | None = None,
        settings: settings_.Settings | None = None,
        venv: venv_.Venv | None = None,
        progress: progress_.Progress | None = None,
    ) -> None:
        default = venv_.CACHE / 'stack'
        self.directory = pathlib.Path(directory or default).absolute()
        self.progress = progress or progress_.Progress(quiet=True)
        self.settings = self._claim(settings)
        # How often each process had joined before it was launched last.
        self._joins: dict[str, int] = {}
        self.venv = venv or venv_.Venv(self.settings.nova)
        self._make()

    @property
    def hosts(self) -> list[str]:
        """The names of the compute hosts."""
        return self.settings.hosts

    @property
    def processes(self) -> dict[str, process.Process]:
        """Nova's processes by name: api, conductor, scheduler, compute1..."""
        make = self._programs()
        return {
            'api': make.api(self.port),
            'conductor': make.conductor(),
            'scheduler': make.scheduler(),
            **{host: make.compute(host) for host in self.hosts},
        }

    @property
    def logs(self) -> list[pathlib.Path]:
        """All logs that there are."""
        commands = self.directory.glob('nova-manage/*.log')
        return sorted([*self.directory.glob('**/log'), *commands])

    def log(self, name: str) -> pathlib.Path:
        """Return the log of one of Nova's processes."""
        return self.process(name).log

    def alive(self) -> list[str]:
        """Return the names of everything that runs."""
        everything = [*self.servers.all, *self._programs().nova()]
        return [one.directory.name for one in everything if one.running]

    def up(self) -> None:
        """Bring everything up on new data.

        :raises StepFailed: naming the log to read; nothing is left running.
        """
        if self.alive():
            names = ', '.join(self.alive())
            what = f'a stack is up in {self.directory} ({names})'
            raise progress_.StepFailed(f'{what}; take it down first')
        for each in self._venvs():
            each.ensure(self.progress)
        self._clear()
        try:
            self._configure()
            self._start()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End everything that belongs to this stack, and nothing else."""
        self.stop_nova()
        self.servers.stop()

    def stop_nova(self) -> None:
        """End Nova's processes; the servers stay."""
        stops = [one.stop for one in self._programs().nova()]
        servers.at_once(*[functools.partial(stop, _STOP) for stop in stops])

    def restart_nova(self, **changes: Any) -> None:
        """Start Nova anew with changed settings, on the same servers.

        :param changes: fields of Settings, for instance ``driver='mc'``.
        """
        self.stop_nova()
        self.change(**changes)
        self._start_nova()

    def change(self, **changes: Any) -> None:
        """Change settings; what runs reads them when it starts anew.

        :param changes: as for restart_nova.
        """
        self.settings = dataclasses.replace(self.settings, **changes)
        self._configure()

    def roll(self, *names: str, clean: bool = False) -> float:
        """Start processes anew, several at once, wherever they are.

        A killed one stays a member until its membership expires.

        :param names: of Nova's processes, all by default.
        :param clean: end those that run in good order instead.
        :returns: the seconds until all have joined.
        """
        begun = time.monotonic()
        chosen = names or tuple(self.processes)
        found = [self.process(name) for name in chosen]
        ends = [one.stop if clean else one.kill for one in found]
        servers.at_once(*ends)
        ended = {name: self._count_joins(name) for name in chosen}
        self._launch(*chosen)
        for name in chosen:
            self._wait_for_join(name, ended[name])
        if 'api' in chosen:
            self._wait_for_api()
        return time.monotonic() - begun

    def python(
        self, name: str, module: str, *arguments: str, stock: bool = False
    ) -> process.Process:
        """Return a module that is to run as a process of Nova's.

        :param arguments: what it is given after the configuration file.
        :param stock: without this package.
        """
        return self._programs().python(name, module, *arguments, stock=stock)

    def agent(self, host: str) -> process.Process:
        """Return the agent of a compute host, which is not started by up."""
        return self._programs().agent(host)

    def start(self, name: str, wait: bool = True) -> float:
        """Start one of Nova's processes again.

        :param wait: until the API answers, or until another service has
            reported and is up.
        :returns: the seconds until then.
        """
        begun = nova.now()
        self._launch(name)
        if not wait:
            return 0.0
        if name == 'api':
            return self._wait_for_api()
        took = self._wait([name], begun)
        self.settle()
        return took

    def stop(self, name: str, timeout: float = 30.0) -> None:
        """End one of Nova's processes in good order."""
        self.process(name).stop(timeout)

    def kill(self, name: str, signum: int = signal.SIGKILL) -> None:
        """Send a signal to one of Nova's processes.

        KILL, STOP and CONT reach its children as well.
        """
        found = self.process(name)
        verbs: dict[int, Callable[[], None]] = {
            signal.SIGKILL: found.kill,
            signal.SIGSTOP: found.freeze,
            signal.SIGCONT: found.thaw,
        }
        verbs.get(signum, lambda: found.signal(signum))()

    def process(self, name: str) -> process.Process:
        """Return one of Nova's processes.

        :raises StepFailed: listing the names when there is none such.
        """
        found = self.processes
        if name not in found:
            known = ', '.join(found)
            raise progress_.StepFailed(f'there is no {name}, only {known}')
        return found[name]

    def command(
        self, *words: str, file: str = 'nova.conf'
    ) -> subprocess.CompletedProcess[str]:
        """Run one of Nova's commands, or ours, on a configuration file.

        :param words: for instance ``'nova-status', 'upgrade', 'check'``.
        """
        return self._programs().command(words, file)

    def _claim(
        self, settings: settings_.Settings | None
    ) -> settings_.Settings:
        """Make sure that the directory is ours before anything is removed."""
        file = self.directory / 'stack.json'
        if file.exists():
            return settings or settings_.load(file)
        if settings is None:
            raise progress_.StepFailed(
                f'there is no stack in {self.directory}'
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        if any(self.directory.iterdir()):
            what = f'{self.directory} is not empty and holds no stack'
            raise progress_.StepFailed(what)
        settings.save(file)
        return settings

    def _make(self) -> None:
        make = self._programs()
        tick_ms = self.settings.tick_ms
        self.servers = servers.Servers(self.directory, make, tick_ms)
        self.rabbitmq = self.servers.rabbitmq
        self.mariadb = self.servers.mariadb
        self.memcached = self.servers.memcached
        self.etcd = self.servers.etcd
        self.redis = self.servers.redis
        self.zookeeper = self.servers.zookeeper
        microversion = self.venv.release.microversion
        super().__init__(self.servers.api_port, microversion)

    def _venvs(self) -> list[venv_.Venv]:
        """Return its own, and those of processes of another release."""
        others = set(self.settings.novas.values())
        return [self.venv, *[venv_.Venv(nova) for nova in sorted(others)]]

    def _clear(self) -> None:
        self.servers.remove()
        for name in ('conf', 'nova', 'nova-manage', 'state'):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        for name in ('mapped', 'ports'):
            (self.directory / name).unlink(missing_ok=True)
        self._make()

    def _programs(self) -> programs.Programs:
        return programs.Programs(self.directory, self.venv, self.settings)

    def _configure(self) -> None:
        """Write all configuration files."""
        self.settings.save(self.directory / 'stack.json')
        sample = (self.venv.etc / 'api-paste.ini').read_text()
        at = self.servers.endpoints()
        config.write_all(self.directory / 'conf', self._files(), at, sample)

    def _files(self) -> settings_.Settings:
        """Return the settings with all that the files of Nova have."""
        return self.settings

    def _start(self) -> None:
        self.servers.start(self.progress)
        self._start_nova()

    def _start_nova(self) -> None:
        begun = nova.now()
        self._launch('api')
        self.servers.wait(self.progress)
        settings = self.settings
        shape = f'{settings.nova} ({settings.driver}, {settings.mode})'
        with self.progress.step(f'starting Nova {shape}'):
            self._launch('conductor', 'scheduler')
            self._wait_for_api()
            self._wait(['conductor'], 0)
            self._launch(*self.hosts)
            self._wait(list(self.processes)[1:], begun)
            self.settle()
        self._discover()
        self.create_flavor()

    def _launch(self, *names: str) -> None:
        for name in names:
            self._joins[name] = self._count_joins(name)
            self.process(name).start()

    def _wait_for_join(self, name: str, before: int) -> None:
        """Wait until each worker of a process has joined with its driver."""
        workers = {'api': 0, 'conductor': self.settings.workers}
        workers['scheduler'] = workers['conductor']
        wanted = before + workers.get(name, 1)

        def joined() -> bool:
            self._must_run([name])
            return self._count_joins(name) >= wanted

        with servers.failing_with(self.process(name).log):
            what = f'{name} does not join'
            process.wait_until(joined, _TIMEOUT, 0.1, what)

    def _has_joined(self, name: str) -> bool:
        """Tell whether a process has joined since it was launched.

        Until it has, it may be held, and so be up and updated for Nova.
        """
        joins = self._joins.get(name, -1)
        return name in self.settings.stock or self._count_joins(name) > joins

    def _count_joins(self, name: str) -> int:
        log = self.process(name).log
        return log.read_text().count(_JOINS) if log.exists() else 0

    def _wait_for_api(self) -> float:
        with servers.failing_with(self.process('api').log):
            return process.wait_until(
                self._answers, _TIMEOUT, 0.2, 'the API is mute'
            )

    def _answers(self) -> bool:
        self._must_run(['api'])
        try:
            return self.request('GET', '/os-services')[0] == 200
        except OSError:
            return False

    def _wait(self, names: Sequence[str], since: float) -> float:
        """Wait until services are up by a report of their own.

        :returns: the seconds that it took.
        """
        begun = time.monotonic()
        for name in names:
            reports = functools.partial(self._reports, name, names, since)
            what = f'{name} does not come up'
            with servers.failing_with(self.process(name).log):
                process.wait_until(reports, _TIMEOUT, 0.2, what)
        return time.monotonic() - begun

    def _reports(self, name: str, names: Sequence[str], since: float) -> bool:
        self._must_run(names)
        if not self._has_joined(name):
            return False
        # One worker of the API may hold it still, and another see it down.
        questions = range(3 * self.settings.workers)
        return all(self._is_up(name, since) for _ in questions)

    def _is_up(self, name: str, since: float) -> bool:
        """Tell whether the API calls a service up, and updated since then."""
        binary = 'nova-compute' if name in self.hosts else f'nova-{name}'
        host = name if name in self.hosts else config.CONTROLLER
        try:
            found = self.service(host, binary)
        except (LookupError, OSError):
            return False
        up = found['state'] == 'up' or found['forced_down']
        return bool(up and nova.reported(found) >= since)

    def _must_run(self, names: Sequence[str]) -> None:
        for name in names:
            if not self.process(name).running:
                log = self.process(name).log
                raise progress_.StepFailed(f'{name} has ended', log)

    def _discover(self) -> None:
        """Let Nova find its new hosts, unless it knows them all."""
        file = self.directory / 'mapped'
        known = file.read_text().split() if file.exists() else []
        if set(self.hosts) - set(known):
            with self.progress.step('mapping the compute hosts'):
                self.servers.tables.discover()
            file.write_text(' '.join([*known, *self.hosts]))
