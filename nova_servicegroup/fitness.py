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

"""Decides which members of a group are unfit: alive, but unable to work.

Each member reports its own condition; this module decides whether to believe
it. Pure: times are in seconds of one monotonic clock and are handed in.
"""

import collections
from collections.abc import Callable, Mapping, Set
import dataclasses
import math
from typing import NamedTuple

from nova_servicegroup import condition
from nova_servicegroup import evidence
from nova_servicegroup import membership

#: Seconds within which a shared fault appears on all members, or is over on
#: all of them: they run their checks at about the same times of day.
_SPREAD = 45.0
#: Seconds for which a failing member may be the first of many with the same
#: fault: all run a check within three seconds, and look at its result each
#: second.
_FIRST_WAIT = 5.0

_NO_HOSTS: frozenset[str] = frozenset()

#: Returns whether a missing host is held.
_IsHeld = Callable[[str], bool]


class _Report(NamedTuple):
    """The condition that a member reports.

    :ivar first: when it was first read; -inf: it may be much older
    :ivar earliest: the earliest time at which the member may have set it
    :ivar together: whether others began to fail the same check at that time
    """

    condition: condition.Condition
    first: float
    earliest: float
    together: bool = False

    def is_early(self, now: float) -> bool:
        """Return whether more members may follow those that began together."""
        return self.together and now - self.first <= 2 * _SPREAD


@dataclasses.dataclass(frozen=True)
class Changes:
    """What one reading has changed.

    :ivar unfit: the conditions of members that are unfit from now on, by host
    :ivar fit: the hosts that are fit again
    :ivar shared: the checks that are ignored from now on
    """

    unfit: Mapping[str, condition.Condition] = dataclasses.field(
        default_factory=dict
    )
    fit: Set[str] = _NO_HOSTS
    shared: Set[str] = _NO_HOSTS


class Fitness:
    """The unfit members of one group.

    Where most members fail the same check, the fault is not theirs: the check
    is ignored until _SPREAD after a reading in which fewer fail it, so that
    members that notice late that the fault is over are not unfit either.
    Members that began to fail a check together, though only a few, may be the
    first or the last of many: they stay fit for as long as that is possible.

    :ivar unfit: the conditions of unfit members, by host
    :ivar ignored: the checks that are ignored on at least some members
    :ivar passes_over: whether unfit members are passed over: reported as down.
        Takes effect with the next reading
    :ivar usable: the members that are present and not passed over
    """

    def __init__(self) -> None:
        self.unfit: Mapping[str, condition.Condition] = {}
        self.ignored: Set[str] = _NO_HOSTS
        self.passes_over = False
        self.usable: Set[str] = _NO_HOSTS
        self._reports: dict[str, _Report] = {}
        # Until when each check with a shared fault is ignored on all members.
        self._shared: dict[str, float] = {}
        # When a host began to fail a check, by check and host; recent ones.
        self._begun: dict[tuple[str, str], float] = {}
        # A condition in the first reading may be of any age.
        self._last_read = -math.inf

    def is_unfit(self, host: str) -> bool:
        """Return whether host is unfit."""
        return bool(self.unfit) and membership.canonical(host) in self.unfit

    def is_passed_over(self, host: str) -> bool:
        """Return whether host is passed over, up or not."""
        return self.passes_over and self.is_unfit(host)

    def update(
        self, reading: evidence.Reading, is_held: _IsHeld, now: float
    ) -> Changes:
        """Apply a reading."""
        unfit, ignored = self.unfit, self.ignored
        if reading.unfit or self._reports or self._shared:
            self._read_reports(reading, is_held, now)
            self._find_shared(len(reading.present), now)
            self._find_together(now)
            self._believe(now)
        self._last_read = now
        self.usable = reading.present
        if self.passes_over and self.unfit:
            self.usable -= self.unfit.keys()
        new = {
            host: each
            for host, each in self.unfit.items()
            if host not in unfit or unfit[host][:2] != each[:2]
        }
        fit = (unfit.keys() & reading.present) - self._reports.keys()
        return Changes(new, fit, self.ignored - ignored)

    def fail(self, present: Set[str]) -> None:
        """Apply a read that failed.

        :param present: the members that are still up; none, in a long outage
        """
        if not present:
            self.usable = present

    def _read_reports(
        self, reading: evidence.Reading, is_held: _IsHeld, now: float
    ) -> None:
        """Update the reports; held members keep the report they had."""
        is_new = now - self._last_read <= _SPREAD
        reports = {
            host: each
            for host, each in self._reports.items()
            if host not in reading.present and is_held(host)
        }
        for host, each in reading.unfit.items():
            known = self._reports.get(host)
            if known is None or known.condition[:2] != each[:2]:
                first = now if is_new else -math.inf
                known = _Report(each, first, self._last_read)
            reports[host] = known
        self._reports = reports

    def _find_shared(self, members: int, now: float) -> None:
        """Update the checks with a shared fault.

        :param members: the size of the group
        """
        shared = evidence.shared(
            [each.condition for each in self._reports.values()], members
        )
        before = {
            check: min(until, now + _SPREAD)
            for check, until in self._shared.items()
            if now <= until
        }
        self._shared = before | dict.fromkeys(shared, math.inf)

    def _find_together(self, now: float) -> None:
        """Mark the reports of members that began to fail a check together."""
        young = {
            host: each
            for host, each in self._reports.items()
            if each.condition.state == condition.DEGRADED
            and now - each.first <= _SPREAD
        }
        # Members that do not fail the check any more count as well.
        self._begun = {
            key: first
            for key, first in self._begun.items()
            if now - first <= _SPREAD
        } | {
            (each.condition.reason, host): each.first
            for host, each in young.items()
        }
        begun = collections.Counter(check for check, _ in self._begun)
        for host, each in young.items():
            if begun[each.condition.reason] >= evidence.MASS_LOSS:
                self._reports[host] = each._replace(together=True)

    def _believe(self, now: float) -> None:
        """Update the unfit members from the reports that are believed."""
        early = {
            each.condition.reason
            for each in self._reports.values()
            if each.is_early(now)
        }
        self.ignored = self._shared.keys() | early
        self.unfit = {
            host: each.condition
            for host, each in self._reports.items()
            if self._is_believed(host, each, now)
        }

    def _is_believed(self, host: str, report: _Report, now: float) -> bool:
        if report.condition.state != condition.DEGRADED:
            return True
        if report.condition.reason in self._shared or report.is_early(now):
            return False
        # A member that now fails another check has not become fit meanwhile.
        return host in self.unfit or now - report.earliest >= _FIRST_WAIT
