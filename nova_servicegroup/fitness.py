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

"""Who of a group is of no use, as its members say, and is believed.

Pure: times are in seconds of one monotonic clock and are handed in.
"""

import collections
from collections.abc import Callable, Mapping, Set
import dataclasses
import math
from typing import NamedTuple

from nova_servicegroup import condition
from nova_servicegroup import evidence
from nova_servicegroup import membership

#: Seconds in which a fault that members share shows with all of them, or is
#: over with all: they check at about the same times of day.
_SPREAD = 45.0
#: Seconds for which one that fails may be the first of all that see a fault in
#: the same way: they check within three, and look each second at what has
#: become of it.
_MOMENT = 5.0

_NOBODY: frozenset[str] = frozenset()


class _Said(NamedTuple):
    """What a member says.

    :ivar first: when it was first seen; -inf: it may have been there for long
    :ivar earliest: since when it may have said so
    :ivar together: whether others began to fail the same at about that time
    """

    condition: condition.Condition
    first: float
    earliest: float
    together: bool = False

    def is_early(self, now: float) -> bool:
        """Tell whether more may follow those that have begun together."""
        return self.together and now - self.first <= 2 * _SPREAD


@dataclasses.dataclass(frozen=True)
class Changes:
    """What one reading has changed.

    :ivar unfit: the conditions of those that are of no use from now on
    :ivar fit: those that are of use again
    :ivar shared: the checks that are not believed from now on
    """

    unfit: Mapping[str, condition.Condition] = dataclasses.field(
        default_factory=dict
    )
    fit: Set[str] = _NOBODY
    shared: Set[str] = _NOBODY


class Fitness:
    """Which members of one group are of no use.

    Where most fail the same check, the fault is not theirs: nobody is passed
    over for it, until _SPREAD after a reading in which they are fewer. So
    neither are those who notice late that it is over. Where a few have begun
    to fail it together, they may be the first of many, or the last: they are
    not passed over for as long as that may be.

    :ivar unfit: the conditions of those that are believed, by host
    :ivar ignored: the checks that are not believed of all, by name
    :ivar passes_over: whether who asks passes over them, from the next reading
    :ivar usable: the members that are there and are not passed over
    """

    def __init__(self) -> None:
        self.unfit: Mapping[str, condition.Condition] = {}
        self.ignored: Set[str] = _NOBODY
        self.passes_over = False
        self.usable: Set[str] = _NOBODY
        self._said: dict[str, _Said] = {}
        # The checks that are not believed of anybody, and until when.
        self._shared: dict[str, float] = {}
        # When each host began to fail a check, of late.
        self._begun: dict[tuple[str, str], float] = {}
        # What is there at the first look may have been there for long.
        self._looked = -math.inf

    def has(self, host: str) -> bool:
        """Tell whether host is of no use."""
        return bool(self.unfit) and membership.canonical(host) in self.unfit

    def skips(self, host: str) -> bool:
        """Tell whether host is passed over, up or not."""
        return self.passes_over and self.has(host)

    def take(
        self,
        reading: evidence.Reading,
        is_held: Callable[[str], bool],
        now: float,
    ) -> Changes:
        """Take a reading.

        :param is_held: tells whether a host that it misses is up all the same
        """
        unfit, ignored = self.unfit, self.ignored
        if reading.unfit or self._said or self._shared:
            self._listen(reading, is_held, now)
            self._doubt(len(reading.present), now)
            self._gather(now)
            self._believe(now)
        self._looked = now
        self.usable = reading.present
        if self.passes_over and self.unfit:
            self.usable -= self.unfit.keys()
        return Changes(
            unfit={
                host: each
                for host, each in self.unfit.items()
                if host not in unfit or unfit[host][:2] != each[:2]
            },
            fit=(unfit.keys() & reading.present) - self._said.keys(),
            shared=self.ignored - ignored,
        )

    def lose(self, present: Set[str]) -> None:
        """Take note that a reading has failed.

        :param present: who is up without one; nobody, in a long outage
        """
        if not present:
            self.usable = present

    def _listen(
        self,
        reading: evidence.Reading,
        is_held: Callable[[str], bool],
        now: float,
    ) -> None:
        """Take what members say; those that are held say what they said."""
        first = now if now - self._looked <= _SPREAD else -math.inf
        said = {
            host: each
            for host, each in self._said.items()
            if host not in reading.present and is_held(host)
        }
        for host, each in reading.unfit.items():
            known = self._said.get(host)
            if known is None or known.condition[:2] != each[:2]:
                known = _Said(each, first, self._looked)
            said[host] = known
        self._said = said

    def _doubt(self, members: int, now: float) -> None:
        """Find out which checks fail by no fault of anybody."""
        shared = evidence.shared(
            [each.condition for each in self._said.values()], members
        )
        before = {
            check: min(until, now + _SPREAD)
            for check, until in self._shared.items()
            if now <= until
        }
        self._shared = before | dict.fromkeys(shared, math.inf)

    def _gather(self, now: float) -> None:
        """Find out who has begun to fail a check together with others."""
        young = {
            host: each
            for host, each in self._said.items()
            if each.condition.state == condition.DEGRADED
            and now - each.first <= _SPREAD
        }
        # Those count as well that do not fail it any more.
        self._begun = {
            which: first
            for which, first in self._begun.items()
            if now - first <= _SPREAD
        } | {
            (each.condition.reason, host): each.first
            for host, each in young.items()
        }
        begun = collections.Counter(check for check, _ in self._begun)
        for host, each in young.items():
            if begun[each.condition.reason] >= evidence.MASS_LOSS:
                self._said[host] = each._replace(together=True)

    def _believe(self, now: float) -> None:
        """Find out who is of no use."""
        early = {
            each.condition.reason
            for each in self._said.values()
            if each.is_early(now)
        }
        self.ignored = self._shared.keys() | early
        self.unfit = {
            host: each.condition
            for host, each in self._said.items()
            if self._is_believed(host, each, now)
        }

    def _is_believed(self, host: str, said: _Said, now: float) -> bool:
        if said.condition.state == condition.DRAINING:
            return True
        if said.condition.reason in self._shared or said.is_early(now):
            return False
        # What else fails in its place is no return.
        return host in self.unfit or now - said.earliest >= _MOMENT
