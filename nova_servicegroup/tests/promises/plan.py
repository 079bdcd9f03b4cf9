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
import random
from typing import Any

DRIVERS = ('zk', 'mc', 'db', 'etcd', 'redis')

#: What may happen to a host, with the seconds that it takes at most.
HOST_EVENTS = {
    'die': 0,
    'leave': 0,
    'restart': 20,
    'revive': 60,
    'stall': 200,
}
#: The checks of a host that may fail for so long at most; or rpc, on all.
AILMENTS = {'rpc': 300, 'storage': 300, 'shared': 300}
#: The names of failure domains.
DOMAINS = ('rack1', 'rack2')
#: What may happen to all hosts of a domain together; see HOST_EVENTS.
LOSSES = {'domain_dies': 'die', 'domain_stalls': 'stall'}
#: The process of a host crashes, is started again or not, and its agent ends
#: its membership after so many seconds, at most.
CRASHES = {'crash': 3, 'crash_restart': 3}
#: What may happen to the backend of each driver.
FAULTS = {
    'zk': {'away': 90, 'mute': 90, 'wipe': 20, 'slow': 60},
    'etcd': {
        'away': 90,
        'mute': 90,
        'wipe': 20,
        'slow': 60,
        'election': 3,
        'empty': 0,
    },
    'mc': {
        'away': 90,
        'mute': 90,
        'restart': 20,
        'flush': 0,
        'evict': 200,
        'slow': 60,
        'replace': 100,
    },
    'db': {
        'stall': 150,
        'unread': 300,
        'away': 60,
        'slow': 60,
        'fail': 60,
        'set_back': 310,
        'future': 3600,
    },
    'redis': {
        'away': 90,
        'mute': 90,
        'restart': 20,
        'snapshot': 60,
        'promote': 20,
        'flush': 20,
        'refuse': 90,
        'evict': 200,
        'step': 0,
        'slow': 60,
    },
}


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happens.

    :ivar at: seconds
    :ivar what: see HOST_EVENTS and FAULTS
    :ivar where: the number of a host, or of a server or cell
    :ivar size: seconds, mostly for which it lasts
    """

    at: float
    what: str
    where: int
    size: float


@dataclasses.dataclass(frozen=True)
class Asker:
    """A process that asks who is up.

    :ivar begins: when it starts
    :ivar interval: seconds between two questions of a thread
    :ivar host: the one that it asks about; None: all of them
    :ivar threads: so many ask
    :ivar clock: what its wall clock shows too much
    :ivar knows: whether it has access to the database
    :ivar chooses: whether it passes over unfit hosts
    """

    begins: float
    interval: float
    host: int | None = None
    threads: int = 1
    clock: float = 0.0
    knows: bool = True
    chooses: bool = False


@dataclasses.dataclass(frozen=True)
class Plan:
    """One history.

    :ivar seed: of what is left to chance
    :ivar options: the text of nova.conf
    :ivar settings: of the backend
    :ivar dead: the hosts that have been dead for days
    :ivar begins: when each host first starts, of those that come later
    :ivar ailments: what makes hosts unfit, see AILMENTS
    :ivar domains: the failure domain of each host that has one
    :ivar losses: see LOSSES
    :ivar crashes: see CRASHES
    """

    driver: str
    seed: int
    length: float
    hosts: int
    options: dict[str, float]
    settings: dict[str, Any]
    dead: frozenset[int]
    hosts_events: tuple[Event, ...]
    faults: tuple[Event, ...]
    askers: tuple[Asker, ...]
    begins: dict[int, float] = dataclasses.field(default_factory=dict)
    ailments: tuple[Event, ...] = ()
    domains: dict[int, str] = dataclasses.field(default_factory=dict)
    losses: tuple[Event, ...] = ()
    crashes: tuple[Event, ...] = ()

    def conf(self) -> str:
        """Return nova.conf."""
        given = self.options
        return (
            '[DEFAULT]\n'
            f'report_interval = {given["report_interval"]:.0f}\n'
            f'service_down_time = {given["service_down_time"]:.0f}\n'
            f'memcached_servers = {",".join(self.settings["servers"])}\n'
            '[servicegroup]\n'
            f'hold_time = {given["hold_time"]:.0f}\n'
            f'refresh_interval = {given["refresh_interval"]}\n'
            f'read_timeout = {given["read_timeout"]}\n'
            '[zookeeper]\naddress = zk:2181\n'
            f'session_timeout = {self.settings["session"]}\n'
            '[etcd]\naddress = etcd:2379\n'
            '[redis]\naddress = redis:6379\n'
            f'ttl = {self.settings["session"]}\n'
        )

    def __str__(self) -> str:
        lines = [
            f'{self.driver}, {self.hosts} hosts for {self.length:.0f} s',
            f'  options {self.options}, {self.settings}',
            f'  dead from the start: {sorted(self.dead)}',
            f'  first started at: {self.begins}',
            *(f'  {each}' for each in self.hosts_events),
            *(f'  {each}' for each in self.faults),
            *(f'  {each}' for each in self.askers),
            *(f'  {each}' for each in self.ailments),
            f'  domains: {self.domains}',
            *(f'  {each}' for each in self.losses),
            *(f'  {each}' for each in self.crashes),
        ]
        return '\n'.join(lines)


def make(driver: str, seed: int) -> Plan:
    """Return a history by chance."""
    chance = random.Random(seed)
    hosts = chance.choice((1, 2, 3, 4, 6, 10, 20))
    length = chance.choice((200.0, 600.0, 1500.0))
    dead = _dead(hosts, chance)
    made = Plan(
        driver,
        seed,
        length,
        hosts,
        _options(driver, chance),
        _settings(chance),
        dead,
        _host_events(hosts, length, chance),
        _faults(driver, length, chance),
        tuple(
            _asker(hosts, length, chance)
            for _ in range(chance.choice((1, 1, 2, 3)))
        ),
        _begins(hosts, dead, length, chance),
    )
    if driver == 'db':
        return made
    made = _placed(_ailing(made, random.Random(~seed)), seed)
    return dataclasses.replace(made, crashes=_crashes(made, seed))


def _crashes(made: Plan, seed: int) -> tuple[Event, ...]:
    """Return crashes of single hosts, and of most of a domain in a row."""
    chance = random.Random(f'crashes of {seed}')
    found = [
        _event(CRASHES, made.hosts, made.length, chance)
        for _ in range(chance.choice((0, 0, 1, 2, 4)))
    ]
    if made.domains and chance.random() < 0.3:
        first = _event(CRASHES, len(DOMAINS), made.length, chance)
        found += [
            dataclasses.replace(
                first,
                at=round(first.at + chance.uniform(0, 8), 1),
                where=host,
                size=round(chance.uniform(0, 1), 1),
            )
            for host, domain in made.domains.items()
            if domain == DOMAINS[first.where] and chance.random() < 0.9
        ]
    return tuple(sorted(found, key=lambda each: each.at))


def _placed(made: Plan, seed: int) -> Plan:
    """Return a history in which hosts may have domains, which may be lost."""
    chance = random.Random(f'domains of {seed}')
    if chance.random() < 0.5:
        return made
    kinds = dict.fromkeys(LOSSES, 200)
    losses = [
        _event(kinds, len(DOMAINS), made.length, chance)
        for _ in range(chance.choice((0, 1, 1, 2)))
    ]
    return dataclasses.replace(
        made,
        domains={
            host: chance.choice(DOMAINS)
            for host in range(made.hosts)
            if chance.random() < 0.8
        },
        losses=tuple(sorted(losses, key=lambda each: each.at)),
    )


def _ailing(made: Plan, chance: random.Random) -> Plan:
    """Return a history in which hosts are also unfit now and then."""
    found = [
        _event(AILMENTS, made.hosts, made.length, chance)
        for _ in range(chance.choice((0, 0, 1, 2, 4)))
    ]
    askers = [
        dataclasses.replace(each, chooses=chance.random() < 0.5)
        for each in made.askers
    ]
    return dataclasses.replace(
        made,
        askers=tuple(askers),
        ailments=tuple(sorted(found, key=lambda each: each.at)),
    )


def _options(driver: str, chance: random.Random) -> dict[str, float]:
    report = 10.0
    if driver == 'db' and chance.random() < 0.05:
        report = 0.0
    return {
        'report_interval': report,
        'service_down_time': chance.choice((60.0, 60.0, 30.0)),
        'hold_time': chance.choice((60.0, 60.0, 25.0, 120.0)),
        'refresh_interval': chance.choice((0.1, 1.0, 1.0, 1.0, 6.0, 60.0)),
        'read_timeout': chance.choice((0.5, 1.0, 2.0)),
    }


def _settings(chance: random.Random) -> dict[str, Any]:
    servers = chance.choice((1, 1, 2, 3))
    return {
        'session': chance.choice((4, 10, 10)),
        'tick': chance.choice((0.5, 2.0)),
        'servers': tuple(f'mc{number}:11211' for number in range(servers)),
        'cells': chance.choice((1, 1, 2)),
        'green': chance.random() < 0.2,
    }


def _dead(hosts: int, chance: random.Random) -> frozenset[int]:
    share = chance.choice((0.0, 0.0, 0.2, 1.0))
    return frozenset(host for host in range(hosts) if chance.random() < share)


def _begins(
    hosts: int, dead: frozenset[int], length: float, chance: random.Random
) -> dict[int, float]:
    share = chance.choice((0.0, 0.0, 0.3))
    return {
        host: round(chance.uniform(0, length), 1)
        for host in range(hosts)
        if host not in dead and chance.random() < share
    }


def _host_events(
    hosts: int, length: float, chance: random.Random
) -> tuple[Event, ...]:
    found = [
        _event(HOST_EVENTS, hosts, length, chance)
        for _ in range(chance.choice((0, 1, 3, 8)))
    ]
    if chance.random() < 0.1:
        at = chance.uniform(0, length)
        found += [Event(at, 'die', host, 0.0) for host in range(hosts)]
    return tuple(sorted(found, key=lambda each: each.at))


def _faults(
    driver: str, length: float, chance: random.Random
) -> tuple[Event, ...]:
    """Return faults, one after the other."""
    found: list[Event] = []
    end = 0.0
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        event = _event(FAULTS[driver], 3, length, chance)
        if chance.random() < 0.2:
            event = dataclasses.replace(event, at=end + chance.uniform(1, 30))
        found.append(event)
        end = event.at + event.size
    return tuple(sorted(found, key=lambda each: each.at))


def _event(
    kinds: dict[str, int], places: int, length: float, chance: random.Random
) -> Event:
    what = chance.choice(sorted(kinds))
    size = chance.uniform(0, 1) ** 2 * kinds[what]
    at = chance.uniform(0, 0.8 * length)
    return Event(round(at, 1), what, chance.randrange(places), round(size, 1))


def _asker(hosts: int, length: float, chance: random.Random) -> Asker:
    return Asker(
        round(chance.choice((0.0, 30.0, chance.uniform(0, length / 2))), 1),
        chance.choice((0.2, 1.0, 1.0, 7.0, 30.0, 90.0, 120.0)),
        chance.choice((None, None, None, chance.randrange(hosts))),
        chance.choice((1, 1, 3)),
        chance.choice((0.0, 0.0, 300.0, -300.0, 100.0)),
        chance.random() < 0.9,
    )
