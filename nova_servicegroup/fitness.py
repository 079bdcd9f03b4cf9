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
#: Seconds for which one that fails may be the first of all: they check within
#: three, and look each second at what has become of it.
_MOMENT = 5.0

_NOBODY: frozenset[str] = frozenset()


class _Said(NamedTuple):
    """What a member says.

    :ivar first: when it was first seen
    :ivar earliest: since when it may have said so
    """

    condition: condition.Condition
    first: float
    earliest: float


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

    Where many fail the same check, the fault is not theirs: nobody is passed
    over for it, until _SPREAD after a reading in which they are fewer. So
    neither are those who notice late that it is over.

    :ivar unfit: the conditions of those that are believed, by host
    :ivar passes_over: whether who asks passes over them, from the next reading
    :ivar usable: the members that are there and are not passed over
    """

    def __init__(self) -> None:
        self.unfit: Mapping[str, condition.Condition] = {}
        self.passes_over = False
        self.usable: Set[str] = _NOBODY
        self._said: dict[str, _Said] = {}
        # The checks that are not believed, and until when.
        self._shared: dict[str, float] = {}
        # What is there at the first look may have been there for long.
        self._looked = -math.inf

    @property
    def ignored(self) -> tuple[str, ...]:
        """The checks that are not believed, by name."""
        return tuple(sorted(self._shared))

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
        self._said = self._listen(reading, is_held, now)
        self._looked = now
        unfit, shared = self.unfit, self._shared
        self._doubt(len(reading.present), now)
        self.unfit = self._believed(now)
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
            shared=self._shared.keys() - shared.keys(),
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
    ) -> dict[str, _Said]:
        """Return what members say; those that are held say what they said."""
        first = now if math.isfinite(self._looked) else self._looked
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
        return said

    def _doubt(self, members: int, now: float) -> None:
        """Find out which checks fail by no fault of who fails them."""
        shared = evidence.shared(
            [each.condition for each in self._said.values()],
            [
                each.condition
                for each in self._said.values()
                if now - each.first <= _SPREAD
            ],
            members,
        )
        before = {
            check: min(until, now + _SPREAD)
            for check, until in self._shared.items()
            if now <= until
        }
        self._shared = before | dict.fromkeys(shared, math.inf)

    def _believed(self, now: float) -> dict[str, condition.Condition]:
        return {
            host: each.condition
            for host, each in self._said.items()
            if each.condition.state == condition.DRAINING
            or (
                each.condition.reason not in self._shared
                # What else fails in its place is no return.
                and (host in self.unfit or now - each.earliest >= _MOMENT)
            )
        }
