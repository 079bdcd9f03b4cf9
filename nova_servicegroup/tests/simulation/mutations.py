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

"""Rules of the package that are broken on purpose.

The oracle must notice each: a checker that cannot fail checks nothing.
"""

from collections.abc import Callable
import importlib
from typing import Any, NamedTuple

from nova_servicegroup import evidence


class Mutation(NamedTuple):
    """A rule that is broken.

    :ivar driver: with which the oracle must notice it
    :ivar target: what is replaced, in the package:
        ``module:attribute.attribute``
    :ivar make: takes what is there, and returns what replaces it
    """

    driver: str
    target: str
    make: Callable[[Any], Any]


def _always(value: Any) -> Callable[[Any], Any]:
    """Return what replaces a function by one that returns a value."""
    return lambda _: lambda *args, **options: value


MUTATIONS: dict[str, Mutation] = {
    'zk_held_for_a_second': Mutation('zk', 'opts:hold_time', _always(1)),
    'zk_held_for_an_hour': Mutation('zk', 'opts:hold_time', _always(3600)),
    'mc_held_for_a_second': Mutation('mc', 'opts:hold_time', _always(1)),
    'db_held_for_a_second': Mutation('db', 'opts:hold_time', _always(1)),
    'zk_never_connects_again': Mutation(
        'zk',
        'drivers.common.backoff:backoff',
        _always(1e9),
    ),
    'zk_absence_is_always_evidence': Mutation(
        'zk', 'evidence:doubt', _always(None)
    ),
    'mc_absence_is_always_evidence': Mutation(
        'mc', 'evidence:doubt', _always(None)
    ),
    'zk_a_mass_is_lost_like_one': Mutation(
        'zk', 'evidence:MASS_LOSS', lambda _: 10**9
    ),
    'zk_the_dead_are_strangers': Mutation(
        'zk', 'membership:Membership._is_dead', _always(False)
    ),
    'zk_nobody_expires': Mutation(
        'zk', 'membership:Membership.expire', _always(frozenset())
    ),
    'zk_those_that_joined_anew_are_no_sign': Mutation(
        'zk',
        'drivers.common.roster:Roster._has_rejoined',
        _always(False),
    ),
    'mc_servers_never_forget': Mutation(
        'mc', 'drivers.mc.history:History._doubt', _always(None)
    ),
    'db_the_way_is_never_slow': Mutation(
        'db', 'drivers.db.ages:Judge._lateness', _always(0.0)
    ),
    'db_nobody_is_asked_for_an_answer_in_time': Mutation(
        'db', 'drivers.db.rules:Timing.silence', lambda _: 50.0
    ),
    'db_the_future_is_a_proof': Mutation(
        'db', 'drivers.db.ages:AHEAD', lambda _: 1e9
    ),
    'db_a_failed_read_says_that_all_are_gone': Mutation(
        'db',
        'membership:Membership.fail',
        lambda fail: (
            lambda members, now, begun=None: members.confirm(
                evidence.Reading(frozenset()), now
            )
        ),
    ),
}


def apply(name: str) -> None:
    """Break a rule, in this process."""
    module, _, path = MUTATIONS[name].target.partition(':')
    *way, last = path.split('.')
    owner: Any = importlib.import_module(f'nova_servicegroup.{module}')
    for each in way:
        owner = getattr(owner, each)
    setattr(owner, last, MUTATIONS[name].make(getattr(owner, last)))
