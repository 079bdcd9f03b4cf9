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

"""Processes that crash, and whose agents end their memberships."""

from collections.abc import Callable
import random
from typing import Any

from nova_servicegroup.tests.promises import kernel
from nova_servicegroup.tests.promises import oracle
from nova_servicegroup.tests.promises import plan

#: Seconds between two attempts of an agent, and for which it tries.
_RETRY = 1.0
_LONGEST = 60.0
#: Seconds after which a crashed process is started again, at most.
_RESTART = 4.0


class Crashes:
    """Has processes crash as planned.

    :param backend: see world.Backend
    :param look: notes what is registered now
    :param start: starts a process of a host
    """

    def __init__(
        self,
        backend: Any,
        look: Callable[[], None],
        start: Callable[[int, oracle.Host], None],
        chance: random.Random,
    ) -> None:
        self._backend = backend
        self._look = look
        self._start = start
        self._chance = chance

    def happen(
        self, event: plan.Event, number: int, host: oracle.Host
    ) -> None:
        """Have the process of a host crash."""
        if not host.alive:
            return
        self._look()
        host.alive, host.dead_at = False, kernel.monotonic()
        host.left = False
        self._backend.stop(number, False)
        if event.what == 'crash_restart':
            kernel.current().spawn(self._restart, number, host)
        end = self._backend.ending(number)
        kernel.sleep(event.size)
        self._end(end, host)

    def _end(self, end: Callable[[], bool], host: oracle.Host) -> None:
        """End the membership of the dead, as its agent does."""
        until = kernel.monotonic() + _LONGEST
        while kernel.monotonic() < until:
            self._look()
            was_registered = host.since is not None
            ended = end()
            self._look()
            if was_registered and host.since is None:
                host.ended, host.proof = kernel.monotonic(), -1e9
            if ended:
                return
            kernel.sleep(_RETRY)

    def _restart(self, number: int, host: oracle.Host) -> None:
        kernel.sleep(self._chance.uniform(0, _RESTART))
        self._start(number, host)
