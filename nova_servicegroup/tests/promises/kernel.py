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

"""Virtual time for one process, on the kernel of tests/simulation.

``install`` puts it in the place of ``time`` and ``threading`` for the whole
package. What escapes from a thread ends the history.
"""

from collections.abc import Callable
import functools
import sys
import time
import types
from typing import Any

from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import threads

EPOCH = kernel.EPOCH

current = kernel.current
monotonic = kernel.now
sleep = kernel.sleep


class Kernel(kernel.Kernel):
    """The scheduler of one history.

    :ivar quiet: threads of these names do not run
    """

    def __init__(self) -> None:
        super().__init__()
        self.quiet: frozenset[str] = frozenset()

    def spawn(
        self,
        call: Any,
        *args: Any,
        process: kernel.Process | None = None,
        at: float | None = None,
    ) -> None:
        """Run a call in a thread of its own."""
        super().spawn(functools.partial(call, *args), process, at)

    def _run(self, task: kernel.Task, call: Callable[[], None]) -> None:
        try:
            call()
        finally:
            self._tasks.discard(task)


class NotSimulated(BaseException):
    """A double lacks what the package uses: no error that a backend has."""


class Double:
    """Stands for a class of a client library, as far as the package uses it.

    What it lacks ends the history. As an AttributeError it would count as a
    backend that cannot be read.
    """

    def __getattr__(self, name: str) -> Any:
        raise NotSimulated(f'{type(self).__module__}: {name}')


class Thread(threads.Thread):
    """Stands for threading.Thread."""

    def start(self) -> None:
        if self.name not in current().quiet:
            super().start()


def begin() -> Kernel:
    """Return a new kernel, which is in force from now on."""
    made = Kernel()
    kernel.begin(made)
    return made


def install() -> None:
    """Put virtual time in the place of the real one, in this process.

    Before the package is imported: its functions take clocks as defaults.
    """
    time.monotonic, time.time, time.sleep = monotonic, kernel.wall, sleep


def adopt() -> None:
    """Have the package, all imported, use virtual threads."""
    fake = types.SimpleNamespace(**{**vars(threads), 'Thread': Thread})
    for name, module in list(sys.modules.items()):
        if (
            name.startswith('nova_servicegroup.')
            and '.tests.' not in name
            and hasattr(module, 'threading')
        ):
            module.threading = fake
