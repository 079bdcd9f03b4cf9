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

"""Rules on unfit members and lost domains that are broken on purpose.

The oracle must notice each: a checker that cannot fail checks nothing.
"""

from collections.abc import Callable
import functools
import math
from typing import Any

from nova_servicegroup import domains
from nova_servicegroup.drivers.common import roster
from nova_servicegroup import evidence
from nova_servicegroup import fitness
from nova_servicegroup import losses


def _remember(
    self: fitness.Fitness, read: Callable[..., None], *how: Any
) -> None:
    """Read what members report, and keep what they reported before."""
    before = self._reports
    read(self, *how)
    self._reports = before | self._reports


def _await_nobody(
    self: losses.Losses, until: Callable[..., float], why: str, *how: Any
) -> float:
    """Return until when a host is held: not at all if it is awaited."""
    return -math.inf if why == domains.AWAITED else until(self, why, *how)


#: What is replaced, and what makes of it what replaces it.
MUTATIONS: dict[str, tuple[object, str, Callable[[Any], Any]]] = {
    'no_fault_is_shared': (
        evidence,
        'shared',
        lambda _: lambda *how: frozenset(),
    ),
    'a_shared_fault_ends_for_all_at_once': (fitness, '_SPREAD', lambda _: 0.0),
    'nobody_is_believed': (
        fitness.Fitness,
        '_believe',
        lambda _: lambda self, now: None,
    ),
    'nobody_is_forgotten': (
        fitness.Fitness,
        '_read_reports',
        lambda read: functools.partialmethod(_remember, read),
    ),
    'no_domain_is_lost': (
        domains.Domains,
        'doubts',
        lambda _: lambda self, *how: {},
    ),
    'the_rest_of_a_domain_is_not_awaited': (
        losses.Losses,
        '_until',
        lambda until: functools.partialmethod(_await_nobody, until),
    ),
    'no_agent_is_believed': (
        roster.Roster,
        'take_ended',
        lambda _: lambda self: frozenset(),
    ),
    'agents_are_believed_for_ever': (
        roster.Roster,
        '_find_ended',
        lambda _: (
            lambda self, gone: set(map(roster._host_of, self._marks.ended))
        ),
    ),
    'everybody_passes_over_them': (
        fitness.Fitness,
        'passes_over',
        lambda _: property(lambda self: True, lambda self, value: None),
    ),
}


def apply(name: str) -> None:
    """Break a rule, in this process."""
    owner, attribute, make = MUTATIONS[name]
    setattr(owner, attribute, make(getattr(owner, attribute, None)))
