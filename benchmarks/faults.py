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

"""Kinds of stress that take turns, for the part soak."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import math
import random
import threading

from benchmarks import busy
from benchmarks import contestants
from benchmarks import nova
from benchmarks import stress
from nova_servicegroup.tests.harness import clock
from nova_servicegroup.tests.harness import server

QUIET = 'quiet'
_STEPS = ('+1h', '-1h', '+60', '-60')
#: The stage's attributes with the servers.
_PLACES = {
    'zk': 'zookeeper',
    'etcd': 'etcd',
    'redis': 'redis',
    'mc': 'our_memcached',
}
#: Begins a fault, and ends it.
Fault = Callable[[], contextlib.AbstractContextManager[object]]


class Faults(contextlib.ExitStack):
    """What harms some contestants: their network, servers and clocks.

    :param seconds: how long a fault lasts at most
    :ivar places: the addresses of the servers for the hosts
    :ivar prefix: to put before the command line of the hosts
    :ivar asking: to put before the command line of a reader
    """

    def __init__(
        self,
        stage: nova.Stage,
        drivers: Sequence[contestants.Contestant],
        seconds: float,
    ) -> None:
        super().__init__()
        self._stage = stage
        self._drivers = drivers
        self._seconds = seconds
        in_cell = any(each.in_cell for each in drivers)
        transport = stage.cell.rabbitmq.address if in_cell else ''
        self._clocks = [_clock(stage, each) for each in ('hosts', 'readers')]
        hosts, self.asking = map(_environment, self._clocks)
        self._link, self.places = self.enter_context(
            stress.lossy(stage, transport)
        )
        self.prefix = [*self._link.prefix, *hosts]

    def kinds(self) -> dict[str, Fault]:
        """Return the kinds of stress, by name."""
        return {
            'CPU': lambda: busy.loops(self._seconds),
            'loss': lambda: stress.lose(self._link),
            'restart': lambda: stress.restart(self._servers()),
            'freeze': lambda: _freeze(self._servers()),
            'clock': lambda: _step(self._clocks),
            QUIET: contextlib.nullcontext,
        }

    def _servers(self) -> dict[server.Server, float]:
        """Return the server of each driver, and a third of its S."""
        found: dict[server.Server, float] = {}
        for each in self._drivers:
            one = self._server(each)
            found[one] = min(found.get(one, math.inf), each.floor(0) / 3)
        return found

    def _server(self, contestant: contestants.Contestant) -> server.Server:
        if contestant.in_cell:
            cell = self._stage.cell
            return random.choice([cell.mariadb, cell.rabbitmq])
        one: server.Server = getattr(self._stage, _PLACES[contestant.driver])
        return one


def _clock(stage: nova.Stage, name: str) -> clock.Clock:
    directory = stage.directory / f'clock-of-{name}'
    directory.mkdir(exist_ok=True)
    return clock.Clock(directory)


def _environment(one: clock.Clock) -> list[str]:
    """Return the beginning of a command line with this clock."""
    return ['env', *(f'{name}={value}' for name, value in one.env.items())]


@contextlib.contextmanager
def _freeze(servers: dict[server.Server, float]) -> Iterator[None]:
    """Freeze servers, each for so many seconds."""
    timers = [
        threading.Timer(seconds, each.thaw)
        for each, seconds in servers.items()
    ]
    for each in servers:
        each.freeze()
    for timer in timers:
        timer.start()
    yield
    for timer in timers:
        timer.join()


@contextlib.contextmanager
def _step(clocks: Sequence[clock.Clock]) -> Iterator[None]:
    """Step clocks, each by an offset of its own, and back."""
    for each in clocks:
        each.set(random.choice(_STEPS))
    yield
    for each in clocks:
        each.set('+0')
