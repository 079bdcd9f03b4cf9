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

"""Looks for a history that breaks a promise, and shortens it."""

from collections.abc import Iterator
import dataclasses
import gc
from typing import Any, NamedTuple

from nova_servicegroup.tests.simulation import chance
from nova_servicegroup.tests.simulation import oracle
from nova_servicegroup.tests.simulation import plan as plans
from nova_servicegroup.tests.simulation import virtual
from nova_servicegroup.tests.simulation import worlds


#: Kinds of violations that are of no interest.
IGNORED: set[str] = set()


class Found(NamedTuple):
    """A history that breaks a promise.

    :ivar plan: the shortest that was found
    :ivar first: the one that was found first
    """

    plan: plans.Plan
    first: plans.Plan
    violation: oracle.Violation


def run(
    plan: plans.Plan, trace: bool = False
) -> tuple[oracle.Violation | None, int]:
    """Run one history; return what it broke, and the number of verdicts."""
    world = worlds.make(plan)
    world.oracle.trace = trace
    world.oracle.ignored = frozenset(IGNORED)
    found = world.run()
    return found, world.oracle.verdicts


def search(
    driver: str,
    first: int,
    verdicts: int,
    seconds: float,
    shrink: bool = True,
) -> tuple[Found | None, int, int]:
    """Run histories until a promise is broken, or there were enough.

    :param first: the seed of the first history; the others follow
    :param verdicts: so many are enough
    :param seconds: so long, at most
    :returns: what was found, the numbers of verdicts and of histories
    """
    done = histories = 0
    begun = virtual.monotonic()
    while done < verdicts and virtual.monotonic() - begun < seconds:
        plan = chance.make(driver, first + histories)
        violation, count = run(plan)
        done, histories = done + count, histories + 1
        if violation is not None:
            return (
                _found(plan, violation, shrink),
                done,
                histories,
            )
        if histories % 10 == 0:
            gc.collect()
    return None, done, histories


def _found(
    plan: plans.Plan, violation: oracle.Violation, shrink: bool
) -> Found:
    if not shrink:
        return Found(plan, plan, violation)
    shortest, violation = shorten(plan, violation)
    return Found(shortest, plan, violation)


def shorten(
    plan: plans.Plan, violation: oracle.Violation, attempts: int = 300
) -> tuple[plans.Plan, oracle.Violation]:
    """Return the shortest history that breaks the same promise."""
    left, shorter = attempts, True
    while shorter:
        shorter = False
        for candidate in _shorter(plan):
            if left <= 0:
                return plan, violation
            left -= 1
            found, _ = run(candidate)
            if found is not None and found.kind == violation.kind:
                plan, violation, shorter = candidate, found, True
                break
    return plan, violation


def _shorter(plan: plans.Plan) -> Iterator[plans.Plan]:
    """Return histories with less in them, those with the least first."""
    replace = dataclasses.replace
    for field in ('happenings', 'faults', 'askers', 'dead', 'strangers'):
        least = 1 if field == 'askers' else 0
        for part in _parts(getattr(plan, field), least):
            yield replace(plan, **{field: part})
    if plan.hosts > 1:
        for hosts in (plan.hosts // 2, plan.hosts - 1):
            yield replace(
                plan,
                hosts=hosts,
                dead=tuple(each for each in plan.dead if each < hosts),
                strangers=tuple(h for h in plan.strangers if h < hosts),
                happenings=tuple(
                    each for each in plan.happenings if each.where < hosts
                ),
            )
    for number, asker in enumerate(plan.askers):
        for simpler in _simpler(asker):
            askers = list(plan.askers)
            askers[number] = simpler
            yield replace(plan, askers=tuple(askers))
    for share in (0.5, 0.9):
        yield replace(plan, length=round(plan.length * share, 1))


def _parts(whole: tuple[Any, ...], least: int) -> Iterator[tuple[Any, ...]]:
    """Return parts of a sequence: halves, and all but one."""
    size = len(whole)
    if size > least and least == 0:
        yield ()
    if size > 3:
        yield whole[: size // 2]
        yield whole[size // 2 :]
    if size > max(1, least):
        for number in range(size):
            yield whole[:number] + whole[number + 1 :]


def _simpler(asker: plans.Asker) -> Iterator[plans.Asker]:
    default = plans.Asker()
    for name in ('pauses', 'green', 'threads', 'clock', 'plain', 'access'):
        value = getattr(default, name)
        if getattr(asker, name) != value:
            yield dataclasses.replace(asker, **{name: value})
