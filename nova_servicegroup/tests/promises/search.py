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

"""Looks for a history that refutes a promise, and shortens it."""

from collections.abc import Iterator, Sequence
import dataclasses
import time
from typing import Any

from nova_servicegroup.tests.promises import oracle
from nova_servicegroup.tests.promises import plan
from nova_servicegroup.tests.promises import world

#: Whether to ask what Nova never would, too.
ODD = True


def run(wanted: plan.Plan, make: Any) -> tuple[int, str | None]:
    """Run a history; return how many verdicts it had, and what it refuted."""
    made = world.World(wanted, make)
    made.odd = ODD
    try:
        made.run()
    except oracle.Violation as violation:
        return made.verdicts, str(violation)
    return made.verdicts, None


def shorten(wanted: plan.Plan, make: Any, rounds: int = 8) -> plan.Plan:
    """Return a history that still refutes, of as few parts as possible."""
    for _ in range(rounds):
        before = wanted
        for shorter in _shorter(wanted):
            if run(shorter, make)[1] is not None:
                wanted = shorter
                break
        if wanted == before:
            break
    return wanted


def _shorter(wanted: plan.Plan) -> Iterator[plan.Plan]:
    """Return histories with a part less."""
    for name in (
        'askers',
        'hosts_events',
        'faults',
        'ailments',
        'losses',
        'crashes',
    ):
        parts = getattr(wanted, name)
        for fewer in _fewer(parts):
            if fewer or name != 'askers':
                yield dataclasses.replace(wanted, **{name: fewer})
    for number, each in enumerate(wanted.askers):
        for simpler in ({'threads': 1}, {'clock': 0.0}, {'begins': 0.0}):
            askers = list(wanted.askers)
            askers[number] = dataclasses.replace(each, **simpler)
            if askers[number] != each:
                yield dataclasses.replace(wanted, askers=tuple(askers))
    if wanted.length > 100:
        yield dataclasses.replace(wanted, length=wanted.length / 2)


def _fewer(parts: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    half = len(parts) // 2
    if half > 1:
        yield tuple(parts[:half])
        yield tuple(parts[half:])
    for number in range(len(parts)):
        yield (*parts[:number], *parts[number + 1 :])


def search(
    driver: str, make: Any, seed: int, verdicts: int, seconds: float
) -> tuple[int, list[tuple[plan.Plan, str]]]:
    """Run histories; return how many verdicts, and what was refuted.

    :param verdicts: so many, at least
    :param seconds: of the real clock, at most
    """
    given, begun = 0, time.perf_counter()
    while given < verdicts and time.perf_counter() - begun < seconds:
        wanted = plan.make(driver, seed)
        count, refuted = run(wanted, make)
        given += count
        if refuted is not None:
            return given, [(wanted, refuted)]
        seed += 1
    return given, []
