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

"""How old heartbeats are, and what their age is worth.

Pure: no I/O, no clock of its own. ``now`` is the observer's monotonic clock,
and a heartbeat a time by the clock of whoever wrote it.
"""

from collections.abc import Set
import dataclasses
import math

from nova_servicegroup import evidence
from nova_servicegroup import membership
from nova_servicegroup import services

LATE = 'the heartbeats of most are late'

#: Seconds in which a service is connected again to a message queue that is
#: back.
_RECONNECT = 30.0
#: The table has whole seconds, and to gather heartbeats takes another.
_SLACK = 2.0
#: A heartbeat may be so far in the future: clocks differ (seconds).
AHEAD = 5.0


@dataclasses.dataclass(frozen=True)
class Rules:
    """When a heartbeat is late, in seconds.

    :ivar interval: between two heartbeats
    :ivar down_time: after which a host is down
    :ivar hold_time: for which it may be held after that
    """

    interval: float
    down_time: float
    hold_time: float

    @property
    def late(self) -> float:
        """The age of a heartbeat that is late, though not too late."""
        return min(2 * self.interval + _SLACK, self.down_time / 2)

    @property
    def longest(self) -> float:
        """The age after which nothing speaks for a host any more."""
        return self.down_time + self.hold_time

    @property
    def settle_time(self) -> float:
        """The time after which all heartbeats come again that have stopped."""
        return min(_RECONNECT + 2 * self.interval, self.hold_time)


class Ages:
    """The ages of the heartbeats of one group in one cell.

    A heartbeat is as old as its time says, by the database's clock. But one
    that came since the last look is no older than that, whatever clock has
    written it; and none is younger for a clock that went back.
    """

    def __init__(self) -> None:
        #: The hosts that have left.
        self.left: set[str] = set()
        #: The heartbeats that were in the future when they came, by host.
        self.ahead: dict[str, float] = {}
        # The heartbeat of each record, and when it came, by the observer's
        # clock. Several may be of one host: its name in capitals, too.
        self._came: dict[tuple[str, str], tuple[float, float]] = {}
        self._looked_at = -math.inf

    def take(
        self, heartbeats: services.Heartbeats, now: float
    ) -> dict[str, float]:
        """Return the age of each host's heartbeat in seconds.

        :param now: when the heartbeats were read
        """
        came: dict[tuple[str, str], tuple[float, float]] = {}
        ages: dict[str, float] = {}
        ahead: dict[str, float] = {}
        left: set[str] = set()
        for number, host, beat in heartbeats.rows:
            if beat is not None and services.has_left(beat):
                left.add(membership.canonical(host))
            elif beat is not None:
                record = number, host
                at = self._time(record, beat, heartbeats.now, now)
                came[record] = beat, at
                name = membership.canonical(host)
                ages[name] = min(now - at, ages.get(name, math.inf))
                if beat > heartbeats.now + AHEAD or beat == self.ahead.get(
                    name
                ):
                    ahead[name] = beat
        self._came, self._looked_at, self.ahead = came, now, ahead
        self.left = left - ages.keys()
        return ages

    def _time(
        self, record: tuple[str, str], beat: float, wall: float, now: float
    ) -> float:
        """Return when a heartbeat came, by the observer's clock."""
        known = self._came.get(record)
        if known is not None and known[0] == beat:
            return known[1]
        return max(now - max(0.0, wall - beat), self._looked_at)


class Judge:
    """Turns the heartbeats of one group in one cell into readings.

    Where most heartbeats are late, and three at least, it is their way that is
    slow: the database, the conductor, the message queue. Then nobody's
    lateness is evidence, until all had time to come through again. Who is dead
    for longer than that does not count.

    :ivar ages: of the heartbeats, by host, in seconds, as they were read
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.ages: dict[str, float] = {}
        self._ages = Ages()
        self._late_until = -math.inf

    def take(
        self, heartbeats: services.Heartbeats, now: float
    ) -> evidence.Reading:
        """Return what the heartbeats prove.

        :param now: when they were read
        """
        self.ages = self._ages.take(heartbeats, now)
        rules, ages = self.rules, self.ages.items()
        late = self._lateness()
        if late > rules.late:
            # The longer it lasts, the longer services wait to connect again.
            settled = now + min(late, rules.settle_time)
            self._late_until = max(self._late_until, settled)
        present = {host for host, age in ages if age <= rules.down_time}
        missing = {
            host: rules.longest - age
            for host, age in ages
            if rules.down_time < age <= rules.longest
        }
        if missing and now <= self._late_until:
            return evidence.Reading(present, LATE, missing, left=self.left)
        return evidence.Reading(present, left=self.left)

    @property
    def left(self) -> Set[str]:
        """The hosts that have left."""
        return self._ages.left

    @property
    def ahead(self) -> dict[str, float]:
        """The heartbeats that were in the future when they came, by host."""
        return self._ages.ahead

    def _lateness(self) -> float:
        """Return the age that more than half exceed, and three at least."""
        longest = self.rules.longest
        recent = sorted(age for age in self.ages.values() if age <= longest)
        most = max(evidence.MASS_LOSS, len(recent) // 2 + 1)
        return recent[-most] if len(recent) >= most else 0.0
