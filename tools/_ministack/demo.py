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

"""The demo: a host dies, Nova notices, and it comes back, with a time line."""

import abc
from collections.abc import Callable
import time

from nova_servicegroup.tests.ministack import nova
from nova_servicegroup.tests.ministack import progress
from nova_servicegroup.tests.ministack import stack as stack_


class Base(abc.ABC):
    """A demo of a stack that checks everything it shows."""

    def __init__(
        self, stack: stack_.Stack, progress: progress.Progress
    ) -> None:
        self.stack = stack
        self.progress = progress
        self.victim = stack.hosts[0]

    def run(self) -> None:
        """Bring the stack up, show everything and take it down.

        :raises StepFailed: a check failed
        """
        self.stack.up()
        try:
            self._show()
        finally:
            with self.progress.step('taking everything down'):
                self.end()
        left = ', '.join(self.stack.alive())
        check(not left, f'still running: {left}')

    def end(self) -> None:
        """Take everything down."""
        self.stack.down()

    @abc.abstractmethod
    def _show(self) -> None:
        """Show everything.

        :raises StepFailed: a check failed
        """


class Demo(Base):
    """A demo of a stack's driver."""

    def __init__(
        self, stack: stack_.Stack, progress: progress.Progress
    ) -> None:
        super().__init__(stack, progress)
        self.events: list[tuple[float, str]] = []

    def _show(self) -> None:
        self._print_table('Nova is up')
        for step in (self._kill, self._boot, self._force, self._restart):
            self._named(step)
        self._print_table('Nova at the end')
        self._print_timeline()

    def _named(self, step: Callable[[], None]) -> None:
        """Run a step; if it fails, name the log of the victim."""
        try:
            step()
        except (OSError, RuntimeError) as error:
            log = getattr(error, 'log', None) or self.stack.log(self.victim)
            raise progress.StepFailed(str(error), log) from error

    def _kill(self) -> None:
        wait = self._patience()
        self.stack.kill(self.victim)
        killed = self._note('killed with SIGKILL')
        self.progress.log(
            f'nova-compute on {self.victim} is killed with SIGKILL'
        )
        with self.progress.step('waiting until Nova sees it down'):
            took = self.stack.wait_state(self.victim, 'down', wait)
        self.events.append((killed + took, 'seen down'))
        for host in self.stack.hosts[1:]:
            state = self.stack.state(host)
            check(state == 'up', f'{host} lives, but is seen {state}')

    def _boot(self) -> None:
        with self.progress.step('booting a server'):
            server = self.stack.boot('anywhere')
        found = f'{server.status} on {server.host} {server.fault}'
        self.progress.log(f'the server is {found}'.strip())
        living = server.host in self.stack.hosts[1:]
        check(server.status == 'ACTIVE' and living, f'the server is {found}')
        self._note(f'server booted on {server.host}, which lives')

    def _force(self) -> None:
        with self.progress.step(f'booting a server on {self.victim} only'):
            server = self.stack.boot('on-the-dead', self.victim)
        found = f'{server.status}: {server.fault}'
        check(server.refused, f'a server was booted on a dead host: {found}')
        self.progress.log(f'refused as it should be: {found}')
        self._note('server refused on the dead host')

    def _restart(self) -> None:
        with self.progress.step(
            f'starting nova-compute on {self.victim} again'
        ):
            started = self._note('started again')
            took = self.stack.start(self.victim)
        self.events.append((started + took, 'seen up'))

    def _patience(self) -> float:
        """Return the most seconds for any driver, also on a slow machine."""
        settings = self.stack.settings
        return 2 * settings.service_down_time + settings.report_interval + 30

    def _note(self, what: str) -> float:
        self.events.append((time.monotonic(), what))
        return self.events[-1][0]

    def _print_table(self, title: str) -> None:
        services = self.stack.services()
        print(f'\n{title}:\n{nova.table(services)}\n', flush=True)
        down = [one['host'] for one in services if one['state'] != 'up']
        check(not down, f'down: {", ".join(down)}')

    def _print_timeline(self) -> None:
        settings = self.stack.settings
        nova = f'Nova {self.stack.venv.nova_version}'
        shape = f'{nova}, driver {settings.driver}, {settings.mode} mode'
        times = (
            f'report_interval {settings.report_interval} s,'
            f' service_down_time {settings.service_down_time} s'
        )
        print(f'Time line of {self.victim} ({shape}, {times}):')
        begun = self.events[0][0]
        for when, what in self.events:
            print(f'{when - begun:8.1f} s  {what}')
        print(flush=True)


def check(holds: object, otherwise: str) -> None:
    """Check that something holds.

    :raises StepFailed: it does not
    """
    if not holds:
        raise progress.StepFailed(otherwise)
