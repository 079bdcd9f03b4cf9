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

"""Ages of heartbeats, and the readings that they give.

Pure: no I/O, no clock of its own. ``now`` is the observer's monotonic clock,
and a heartbeat a time by the clock of its writer.
"""

from collections.abc import Iterable
import dataclasses
import math

from nova_servicegroup import evidence
from nova_servicegroup import membership
from nova_servicegroup import services

LATE = 'the heartbeats of most are late'

#: The longest time in which a service connects again to a message queue that
#: is back (seconds).
_RECONNECT = 30.0
#: The table holds whole seconds, and collecting heartbeats takes another one.
_SLACK = 2.0
#: A heartbeat may be this far in the future, since clocks differ (seconds).
AHEAD = 5.0


@dataclasses.dataclass(frozen=True)
class Limits:
    """When a heartbeat is late, in seconds.

    :ivar interval: the time between two heartbeats
    :ivar down_time: the age of a heartbeat after which a host is down
    :ivar hold_time: the time for which a host may be held after that
    """

    interval: float
    down_time: float
    hold_time: float

    @property
    def late(self) -> float:
        """The age of a heartbeat that is late, though its host is not down."""
        return min(2 * self.interval + _SLACK, self.down_time / 2)

    @property
    def longest(self) -> float:
        """The age after which no host is held any more."""
        return self.down_time + self.hold_time

    @property
    def settle_time(self) -> float:
        """The time in which all heartbeats come again after an outage."""
        return _RECONNECT + 2 * self.interval


class Ages:
    """Ages of the heartbeats of one group in one cell.

    A heartbeat is as old as its time says, by the database's clock. But one
    that came since the last reading is no older than that, whatever clock has
    written it; and none gets younger when a clock goes back. A heartbeat of a
    host that is dead for long counts only if it is newer than the last one: an
    older one comes with a backup from which the database was restored.

    :param longest: the age after which a host is dead for long
    :ivar by_host: the ages in seconds, when they were read
    :ivar left: the hosts that have left
    :ivar since: the seconds from the reading before to the last one; infinity
        if there is no other
    :ivar ahead: the heartbeats that were in the future when they came, by host
    """

    def __init__(self, longest: float = math.inf) -> None:
        self._longest = longest
        self.by_host: dict[str, float] = {}
        self.left: set[str] = set()
        self.since = math.inf
        self.ahead: dict[str, float] = {}
        # The heartbeat of each record, and when it came, by the observer's
        # clock. Several records may be of one host, in upper and lower case.
        self._came: dict[tuple[str, str], tuple[float, float]] = {}
        self._read_at = -math.inf

    def update(
        self, heartbeats: services.Heartbeats, now: float
    ) -> dict[str, float]:
        """Return the age of each host's heartbeat in seconds.

        :param now: when the heartbeats were read
        """
        came: dict[tuple[str, str], tuple[float, float]] = {}
        ages: dict[str, float] = {}
        ahead: dict[str, float] = {}
        left: set[str] = set()
        for uuid, name, beat in heartbeats.rows:
            host = membership.canonical(name)
            if beat is not None and services.has_left(beat):
                left.add(host)
            elif beat is not None:
                at = self._arrival((uuid, name), beat, heartbeats.now, now)
                came[uuid, name] = beat, at
                ages[host] = min(now - at, ages.get(host, math.inf))
                in_future = beat > heartbeats.now + AHEAD
                if in_future or beat == self.ahead.get(host):
                    ahead[host] = beat
        self.since = now - self._read_at
        self._came, self._read_at, self.ahead = came, now, ahead
        self.by_host, self.left = ages, left - ages.keys()
        return ages

    def _arrival(
        self, record: tuple[str, str], beat: float, wall: float, now: float
    ) -> float:
        """Return when a heartbeat came, by the observer's clock.

        :param wall: the database's time
        """
        known = self._came.get(record)
        if known is not None:
            last, at = known
            was_dead = self._read_at - at > self._longest
            if beat == last or (was_dead and beat < last <= wall):
                return at
        return max(now - max(0.0, wall - beat), self._read_at)


class Judge:
    """Turns the heartbeats of one group in one cell into readings.

    When most heartbeats are late, and at least three, their common path is
    slow: the database, the conductor, the message queue. Then lateness is no
    evidence, until all have had time to come again. Hosts that have been dead
    for longer than that do not count.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.ages = Ages(limits.longest)
        self._late_until = -math.inf
        # The lateness in the last reading; infinity: there was none.
        self._late = math.inf

    def update(
        self, heartbeats: services.Heartbeats, now: float
    ) -> evidence.Reading:
        """Return the reading that heartbeats give.

        :param now: when they were read
        """
        ages = self.ages.update(heartbeats, now).items()
        limits, left = self.limits, self.ages.left
        were_late = self._late > limits.late
        self._settle(now)
        present = {host for host, age in ages if age <= limits.down_time}
        missing = {
            host: limits.longest - age
            for host, age in ages
            if limits.down_time < age <= limits.longest
        }
        if missing and now <= self._late_until:
            # Late at each reading, a host would be held and down in turn.
            renewed = set() if were_late else self._renewed(missing)
            return evidence.Reading(
                present, LATE, missing, left=left, renewed=renewed
            )
        return evidence.Reading(present, left=left)

    def _settle(self, now: float) -> None:
        """Give all time to come again while most are late, and after that."""
        limits, since = self.limits, self.ages.since
        before, self._late = self._late, self._lateness()
        lasted = self._late
        if lasted <= limits.late < before and since <= limits.longest:
            # Most may have been late until just now.
            lasted = before + since
        if lasted > limits.late:
            # The longer it lasts, the longer services wait to connect again.
            settled = now + min(lasted, limits.settle_time)
            self._late_until = max(self._late_until, settled)

    def _renewed(self, hosts: Iterable[str]) -> set[str]:
        """Return which hosts had a heartbeat since the reading before."""
        ages = self.ages
        return {host for host in hosts if ages.by_host[host] < ages.since}

    def _lateness(self) -> float:
        """Return the age that more than half exceed, and at least three."""
        longest = self.limits.longest
        ages = self.ages.by_host.values()
        recent = sorted(age for age in ages if age <= longest)
        most = max(evidence.MASS_LOSS, len(recent) // 2 + 1)
        return recent[-most] if len(recent) >= most else 0.0
