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

"""Histories by chance."""

import dataclasses
import random
from typing import Any

from nova_servicegroup.tests.simulation import plan

#: What may happen to a host, with the seconds that it takes at most.
HOST_EVENTS = {
    'die': 0,
    'leave': 0,
    'restart': 20,
    'revive': 0,
    'stall': 200,
    'cut': 60,
}
#: What may happen to the backend of each driver, and how long at most.
FAULTS = {
    'zk': {
        'away': 90,
        'cut': 60,
        'wipe': 20,
        'delete': 0,
        'slow': 60,
        'lone': 90,
        'split': 60,
    },
    'mc': {
        'away': 90,
        'mute': 90,
        'restart': 20,
        'flush': 0,
        'evict': 200,
        'slow': 60,
        'replace': 120,
        'lone': 90,
    },
    'db': {
        'stall': 150,
        'unread': 300,
        'batch': 60,
        'away': 90,
        'slow': 60,
        'back': 310,
        'future': 3600,
        'clock': 300,
    },
}


#: What the clock of a conductor shows too much that writes heartbeats; None:
#: the database's clock is used.
_AHEAD = (None, None, None, None, 0.0, 30.0, -30.0, 200.0, -200.0)


def make(driver: str, seed: int) -> plan.Plan:
    """Return a history by chance."""
    chance = random.Random(seed)
    hosts = chance.choice((1, 2, 3, 4, 6, 10, 20))
    interval = chance.choice((0.2, 1.0, 1.0, 7.0, 30.0, 90.0, 120.0))
    length = min(chance.choice((300.0, 800.0, 2000.0)), 700 * interval)
    return plan.Plan(
        driver,
        seed,
        max(150.0, length),
        hosts,
        _options(driver, chance),
        _settings(chance),
        _some(hosts, (0.0, 0.0, 0.2, 1.0), chance),
        _some(hosts, (0.0, 0.0, 0.1), chance),
        _happenings(hosts, length, chance),
        _faults(driver, length, chance),
        _askers(hosts, length, interval, chance),
    )


def _options(
    driver: str, chance: random.Random
) -> tuple[tuple[str, float], ...]:
    report = chance.choice((10, 10, 5))
    if driver == 'db' and chance.random() < 0.05:
        report = 0
    return (
        ('report_interval', report),
        ('service_down_time', chance.choice((60, 60, 30))),
        ('hold_time', chance.choice((60, 60, 25, 120))),
        ('refresh_interval', chance.choice((0.1, 1.0, 1.0, 1.0, 6.0, 60.0))),
        ('read_timeout', chance.choice((0.5, 1.0, 2.0))),
    )


def _settings(chance: random.Random) -> tuple[tuple[str, Any], ...]:
    return (
        ('session', chance.choice((4, 10, 10))),
        ('tick', chance.choice((0.5, 2.0))),
        ('servers', chance.choice((1, 1, 2, 3))),
        ('cells', chance.choice((1, 1, 2))),
        ('mixed', chance.random() < 0.2),
        ('ahead', chance.choice(_AHEAD)),
    )


def _some(
    hosts: int, shares: tuple[float, ...], chance: random.Random
) -> tuple[int, ...]:
    share = chance.choice(shares)
    return tuple(each for each in range(hosts) if chance.random() < share)


def _happenings(
    hosts: int, length: float, chance: random.Random
) -> tuple[plan.Event, ...]:
    found = [
        _happens(HOST_EVENTS, hosts, length, chance)
        for _ in range(chance.choice((0, 1, 3, 8)))
    ]
    if chance.random() < 0.15:
        at, share = chance.uniform(0, 0.7 * length), chance.uniform(0.3, 1)
        found += [
            plan.Event(round(at + chance.uniform(0, 2), 2), 'die', host)
            for host in range(hosts)
            if chance.random() < share
        ]
    return tuple(sorted(found, key=lambda each: each.at))


def _faults(
    driver: str, length: float, chance: random.Random
) -> tuple[plan.Event, ...]:
    found: list[plan.Event] = []
    end = 0.0
    for _ in range(chance.choice((0, 1, 1, 2, 4, 8))):
        event = _happens(FAULTS[driver], 3, length, chance)
        if chance.random() < 0.3:
            at = round(end + chance.uniform(1, 30), 1)
            event = dataclasses.replace(event, at=at)
        found.append(event)
        end = event.at + event.size
    return tuple(sorted(found, key=lambda each: each.at))


def _happens(
    kinds: dict[str, int], places: int, length: float, chance: random.Random
) -> plan.Event:
    what = chance.choice(sorted(kinds))
    size = chance.uniform(0, 1) ** 2 * kinds[what]
    at = chance.uniform(0, 0.9 * length)
    return plan.Event(
        round(at, 1),
        what,
        chance.randrange(places),
        round(size, 1),
        round(chance.random(), 2),
    )


def _askers(
    hosts: int, length: float, interval: float, chance: random.Random
) -> tuple[plan.Asker, ...]:
    return tuple(
        _make_asker(hosts, length, interval, chance)
        for _ in range(chance.choice((1, 1, 2, 3)))
    )


def _make_asker(
    hosts: int, length: float, shortest: float, chance: random.Random
) -> plan.Asker:
    intervals = [
        each for each in (0.2, 1.0, 7.0, 30.0, 90.0, 120.0) if each >= shortest
    ]
    pauses: tuple[tuple[float, float], ...] = ()
    if chance.random() < 0.25:
        at = round(chance.uniform(0, length), 1)
        pauses = ((at, chance.choice((8.0, 40.0, 200.0, 500.0))),)
    return plan.Asker(
        round(chance.choice((0.0, 30.0, chance.uniform(0, length / 2))), 1),
        chance.choice(intervals),
        chance.choice((None, None, None, chance.randrange(hosts))),
        chance.choice((1, 1, 1, 3, 6)),
        chance.choice((0.0, 0.01, 0.1, 0.3)),
        pauses,
        chance.random() < 0.15,
        chance.choice((0.0, 0.0, 300.0, -300.0, 100.0)),
        chance.random() < 0.9,
        chance.random() < 0.2,
        chance.random() < 0.1,
    )
