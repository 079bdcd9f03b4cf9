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
"""The demo with Masakari: a host dies and its servers are recovered.

What is no failure of a host moves nothing.
"""

from collections.abc import Callable
import time

from nova_servicegroup.tests.ministack.masakari import config
from nova_servicegroup.tests.ministack.masakari import recovery
from nova_servicegroup.tests.ministack.masakari import stack as stack_
from nova_servicegroup.tests.ministack import progress as progress_
from nova_servicegroup.tests.ministack import settings as settings_
from tools._ministack import demo

#: Seconds in which a false alarm would have been raised.
PATIENCE = 30.0
_TIMEOUT = 600.0


class Demo(demo.Base):
    """A demo of a stack with Masakari."""

    stack: stack_.Stack

    def __init__(
        self, stack: stack_.Stack, progress: progress_.Progress
    ) -> None:
        super().__init__(stack, progress)
        self.frozen = freeze(stack.settings)
        self.watch = recovery.Watch(stack)

    def end(self) -> None:
        """See demo.Base."""
        self.watch.stop()
        super().end()

    def _show(self) -> None:
        print(self.stack.usage(), flush=True)
        self.watch.start()
        for what, cause in (
            ('nova-compute alone is killed', self._kill_compute),
            (f'ZooKeeper is frozen for {self.frozen:g} s', self._freeze),
            ('all of Nova and the agents are restarted', self._restart),
        ):
            self._no_failure(what, cause)
        self._failure()

    def _no_failure(self, what: str, cause: Callable[[], None]) -> None:
        """Show that something moves no server and tells Masakari nothing."""
        before = recovery.moved(self.stack) | recovery.told(self.stack)
        with self.progress.step(what):
            cause()
            time.sleep(PATIENCE)
        after = recovery.moved(self.stack) | recovery.told(self.stack)
        failed = f'{what}: Masakari takes that for a failure'
        demo.check(after == before, failed)
        self.progress.log(f'{what}: nothing is evacuated')

    def _kill_compute(self) -> None:
        self.stack.kill(self.victim)
        time.sleep(PATIENCE)
        self.stack.start(self.victim)

    def _freeze(self) -> None:
        self.stack.zookeeper.freeze()
        try:
            time.sleep(self.frozen)
        finally:
            self.stack.zookeeper.thaw()

    def _restart(self) -> None:
        self.stack.restart_nova()

    def _failure(self) -> None:
        servers = [self.stack.boot(f'server{n}', self.victim) for n in (1, 2)]
        for each in servers:
            demo.check(each.status == 'ACTIVE', f'{each.name}: {each.fault}')
        ids = [each.id for each in servers]
        seen = recovery.Recovery(self.stack, self.watch, self.victim, ids)
        with self.progress.step(f'{self.victim} dies'):
            try:
                marks = seen.run(_TIMEOUT)
            except TimeoutError as error:
                log = self.stack.log('masakari-engine')
                raise progress_.StepFailed(str(error), log) from error
        status = seen.notification()['status']
        demo.check(status == 'finished', f'the recovery is {status}')
        print(timeline(self.stack.settings.masakari, self.victim, marks))


def freeze(settings: settings_.Settings) -> float:
    """Return the seconds to freeze the backend for: less than hold_time."""
    hold_time = settings.overrides.get('servicegroup.hold_time')
    return 0.6 * float(hold_time or settings.service_down_time)


def timeline(choice: str, host: str, marks: dict[str, float]) -> str:
    """Return the time line of a recovery.

    :param choice: of the settings, for instance ``ours``
    :param marks: seconds from the kill
    """
    settings = [
        f'{row["option"]} {row[choice]} s (stock {row["stock"]} s)'
        for row in config.table()
    ]
    lines = [f'Time line of {host}, with {", ".join(settings)}:']
    lines.append(f'{0:8.1f} s  killed, with its agent')
    for what, seconds in sorted(marks.items(), key=lambda each: each[1]):
        lines.append(f'{seconds:8.1f} s  {what}')
    return '\n'.join(lines)
