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

"""What happens in one history."""

import dataclasses
from typing import Any

DRIVERS = ('zk', 'mc', 'db')

#: What most operators have.
OPTIONS: tuple[tuple[str, float], ...] = (
    ('report_interval', 10),
    ('service_down_time', 60),
    ('hold_time', 60),
    ('refresh_interval', 1.0),
    ('read_timeout', 2.0),
)
SETTINGS: tuple[tuple[str, Any], ...] = (
    ('session', 10),
    ('tick', 2.0),
    ('servers', 1),
    ('cells', 1),
    ('mixed', False),
    ('ahead', None),
)


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happens.

    :ivar at: seconds
    :ivar what: see chance.HOST_EVENTS and chance.FAULTS
    :ivar where: the number of a host, a server, a cell or a process
    :ivar size: seconds, mostly for which it lasts
    :ivar much: between 0 and 1; how bad it is
    """

    at: float
    what: str
    where: int = 0
    size: float = 0.0
    much: float = 0.0


@dataclasses.dataclass(frozen=True)
class Asker:
    """A process that asks who is up.

    :ivar begins: when it starts
    :ivar interval: seconds between two questions of a thread
    :ivar host: the one that it asks about; None: all of them
    :ivar all_from: from when on it asks about all
    :ivar threads: so many ask
    :ivar apart: seconds between two of these threads
    :ivar pauses: from when and for how long nobody asks
    :ivar green: whether its threads stand still between questions
    :ivar clock: what its wall clock shows too much
    :ivar access: whether it has access to the database
    :ivar plain: whether it asks with plain dicts
    :ivar views: whether a thread of its own looks at the whole group
    :ivar strange: whether it asks about what makes no sense, too
    """

    begins: float = 0.0
    interval: float = 1.0
    host: int | None = None
    threads: int = 1
    apart: float = 0.0
    pauses: tuple[tuple[float, float], ...] = ()
    green: bool = False
    clock: float = 0.0
    access: bool = True
    plain: bool = False
    views: bool = False
    strange: bool = False
    all_from: float = 1e9


@dataclasses.dataclass(frozen=True)
class Plan:
    """One history.

    :ivar seed: of what is left to chance
    :ivar options: of nova.conf
    :ivar settings: of the backend
    :ivar dead: the hosts that died long before
    :ivar strangers: the hosts that never joined
    :ivar happenings: to hosts
    :ivar faults: of the backend
    """

    driver: str
    seed: int = 0
    length: float = 600.0
    hosts: int = 4
    options: tuple[tuple[str, float], ...] = OPTIONS
    settings: tuple[tuple[str, Any], ...] = SETTINGS
    dead: tuple[int, ...] = ()
    strangers: tuple[int, ...] = ()
    happenings: tuple[Event, ...] = ()
    faults: tuple[Event, ...] = ()
    askers: tuple[Asker, ...] = (Asker(),)

    def size(self) -> tuple[float, ...]:
        """Return how long the history is; the shorter, the better."""
        return (
            len(self.happenings) + len(self.faults) + len(self.askers),
            self.hosts,
            sum(len(each.pauses) + each.threads for each in self.askers),
            self.length,
        )

    def __str__(self) -> str:
        lines = [
            f'{self.driver}: {self.hosts} hosts, {self.length:.0f} s, '
            f'seed {self.seed}',
            f'  options: {_pairs(self.options)}',
            f'  backend: {_pairs(self.settings)}',
        ]
        if self.dead:
            lines.append(f'  died before: {list(self.dead)}')
        if self.strangers:
            lines.append(f'  never joined: {list(self.strangers)}')
        changes = sorted(
            [(each.at, 'host', each) for each in self.happenings]
            + [(each.at, 'backend', each) for each in self.faults],
            key=lambda change: change[0],
        )
        lines += [f'  {_event(where, each)}' for _, where, each in changes]
        lines += [f'  {_asker(each)}' for each in self.askers]
        return '\n'.join(lines)


def _pairs(pairs: tuple[tuple[str, Any], ...]) -> str:
    return ', '.join(f'{name} {value}' for name, value in pairs)


def _event(where: str, event: Event) -> str:
    return (
        f'at {event.at}: {where} {event.where}: {event.what}, '
        f'size {event.size}, much {event.much}'
    )


def _asker(asker: Asker) -> str:
    default = Asker()
    changed = [
        f'{field.name} {getattr(asker, field.name)}'
        for field in dataclasses.fields(asker)
        if getattr(asker, field.name) != getattr(default, field.name)
        or field.name in ('begins', 'interval')
    ]
    return f'asks: {", ".join(changed)}'
