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


"""The clock of a fleet: how late everybody is.

Pure: no I/O, no clock of its own. A heartbeat is a time in seconds, by the
clock of whoever wrote it; ``wall`` is the observer's own clock of that kind,
which may be wrong; ``now`` is its monotonic clock, which alone counts.
"""

import math

#: So many hosts make a fleet.
SMALLEST = 3


class Fleet:
    """The hosts of one group in one cell.

    Where no heartbeat at all arrives, it is the way of the heartbeats that is
    slow: the database, the conductor, the message queue. Then the time for
    which the freshest one has not changed is not counted, up to the hold time.

    :param interval: seconds between two heartbeats of a host
    :param hold_time: seconds
    """

    def __init__(self, interval: float, hold_time: float) -> None:
        self._interval = interval
        self._hold_time = hold_time
        # The heartbeat of each host, and when it was last looked at.
        self._seen: dict[str, tuple[float, float]] = {}
        self._freshest = -math.inf
        # When the freshest was first seen, and how old it was then.
        self._moved_at = 0.0
        self._age = 0.0
        # What the observer's clock shows more than the writers'.
        self._error: float | None = None

    def take(self, host: str, beat: float, wall: float, now: float) -> None:
        """Take note of a host's heartbeat."""
        before = self._seen.get(host)
        self._seen[host] = beat, now
        if beat > self._freshest:
            watched = before and now - before[1] <= self._interval
            self._move(beat, wall, now, bool(watched))

    def age(self, beat: float, wall: float, now: float) -> float:
        """Return the seconds that count against a heartbeat.

        Infinite where there is no fleet to compare with.
        """
        if len(self._seen) < SMALLEST:
            return math.inf
        late = self._late(wall, now)
        on_time = min(late, self._interval)
        counted = max(0.0, late - self._interval - self._hold_time)
        return max(0.0, self._freshest - beat) + on_time + counted

    def _move(
        self, beat: float, wall: float, now: float, watched: bool
    ) -> None:
        if watched:
            # It came since the last look, so it is as old as that at most.
            self._error, self._age = wall - beat, 0.0
        elif self._error is not None:
            self._age = max(0.0, wall - beat - self._error)
        elif 0 <= wall - beat <= 2 * self._interval:
            # The clocks seem to agree.
            self._age = wall - beat
        else:
            self._age = 0.0
        self._freshest, self._moved_at = beat, now

    def _late(self, wall: float, now: float) -> float:
        """Return the seconds since the freshest heartbeat was written."""
        unchanged = now - self._moved_at
        if self._error is None and unchanged > 2 * self._interval:
            # It was never seen to change, so it is old, or would have.
            return max(unchanged, wall - self._freshest)
        return unchanged + self._age
