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

"""Comparing what Nova's tests say with the package and without it."""

from collections.abc import Collection, Mapping
import dataclasses

PASSED, FAILED, SKIPPED = 'passed', 'failed', 'skipped'


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How one test ended.

    :ivar status: PASSED, FAILED or SKIPPED
    :ivar told: what a failed one has printed
    """

    status: str
    told: str = ''


def ended(outcomes: Mapping[str, Outcome], *statuses: str) -> list[str]:
    """Return the names of the tests that have ended so."""
    return sorted(
        name for name, each in outcomes.items() if each.status in statuses
    )


def differences(
    package: Mapping[str, Outcome],
    without: Mapping[str, Outcome],
    insides: Collection[str],
) -> list[str]:
    """Return a line for each test that did not end as it should.

    :param package: the outcomes with the package
    :param without: those without it, of all that have not passed, at least
    :param insides: the tests that are to fail with it, and only with it
    """
    lines = (
        _line(name, package.get(name), without.get(name), name in insides)
        for name in sorted({*package, *without, *insides})
    )
    return [line for line in lines if line]


def _line(
    name: str, ours: Outcome | None, stock: Outcome | None, inside: bool
) -> str:
    if ours is None:
        return f'{name} is not there'
    if stock is None:
        # Nobody asks without the package about what passes with it.
        asked = inside or ours.status != PASSED
        return f'{name} was not run without the package' if asked else ''
    ended = f'{name} {ours.status}, and {stock.status} without the package'
    if not inside:
        same = ours.status == stock.status != FAILED
        return '' if same else ended
    if ours.status == PASSED:
        return f'{ended}: take it off the list in insides.py'
    return '' if (ours.status, stock.status) == (FAILED, PASSED) else ended
