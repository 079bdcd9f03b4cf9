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

from collections.abc import Iterable
import dataclasses
import math

#: So many hosts make a fleet.
SMALLEST = 3
#: How far most are behind is found out no more often (seconds).
_SORT_INTERVAL = 1.0


@dataclasses.dataclass(slots=True)
class _Host:
    """What is known of one heartbeat.

    :ivar looked_at: when it was last looked at
    :ivar behind: how far it was behind the freshest then
    :ivar in_time: whether it was young enough when it was first seen
    :ivar down: whether it was seen to become too old after that
    """

    beat: float
    looked_at: float
    behind: float
    in_time: bool
    down: bool = False


class Fleet:
    """The hosts of one group in one cell.

    Where most hosts are late, it is the way of the heartbeats that is slow:
    the database, the conductor, the message queue. Then the time by which more
    than half of them are late, and three at least, is not counted, up to the
    hold time. Where only some heartbeats get through, it is by chance that a
    host is late for longer than most. So the time is multiplied by the number
    of heartbeats that a host alone may miss.

    :param interval: seconds between two heartbeats of a host
    :param down_time: seconds after which a host that is late alone is down
    :param hold_time: seconds
    """

    def __init__(
        self, interval: float, down_time: float, hold_time: float
    ) -> None:
        self._interval = interval
        self._down_time = down_time
        self._hold_time = hold_time
        # Hosts that beat together let that much pass, and a bit more.
        self._usual = min(2 * interval, down_time / 2)
        # Who is behind for longer is dead, whatever the others are.
        self._longest = down_time + hold_time
        # Several threads may ask at once; each copies it before it goes
        # through it.
        self._seen: dict[str, _Host] = {}
        # How far most are behind, since when most were looked at, and when
        # that was found out.
        self._behind = 0.0
        self._looked_at = -math.inf
        self._sorted_at = -math.inf
        # When all had to be looked at.
        self._must_look_at = -math.inf
        self._forgiven = 0.0
        self._forgiven_until = -math.inf
        # Who has not got through again since all heartbeats stood still, and
        # the freshest one then.
        self._awaited: set[str] = set()
        self._stalled_at = -math.inf
        self._freshest = -math.inf
        # When the freshest was first seen, how old it was then, and when it
        # was last seen to be the same: who does not look sees no stall.
        self._moved_at = 0.0
        self._confirmed_at = 0.0
        self._age = 0.0
        # What the observer's clock shows more than the writers'.
        self._error: float | None = None

    def take(self, host: str, beat: float, wall: float, now: float) -> None:
        """Take note of a host's heartbeat."""
        known = self._seen.get(host)
        ahead = beat - self._freshest
        behind = -ahead if ahead < 0 else 0.0
        looked_at = -math.inf if known is None else known.looked_at
        if known is None or known.beat != beat:
            in_time = abs(wall - beat) <= self._down_time
            self._seen[host] = _Host(beat, now, behind, in_time)
        else:
            known.looked_at, known.behind = now, behind
        if ahead == 0:
            self._confirmed_at = now
        elif ahead > 0:
            self._move(beat, wall, now, now - looked_at <= self._interval)
        if self._awaited and beat > self._stalled_at:
            self._awaited.discard(host)
            if not self._awaited:
                self._forgiven = 0.0

    def must_look(self, host: str, beat: float, now: float) -> bool:
        """Tell whether to look at the others before a heartbeat is late.

        Who has not looked at most of them cannot tell a dead host from a
        stall. It can where the host was down before, or is dead for so long
        that no stall would matter. There are many others, so this is true no
        more than once in an interval; of too few to be a fleet, once.
        """
        if now - self._must_look_at < self._interval:
            return False
        must = self._is_unsure(host, beat, now)
        if must:
            self._must_look_at = now
        return must

    def _is_unsure(self, host: str, beat: float, now: float) -> bool:
        if len(self._seen) < SMALLEST:
            return self._must_look_at == -math.inf
        if self._freshest - beat > self._longest:
            return False
        known = self._seen[host]
        if known.down and known.beat == beat:
            return False
        return now - self._most_looked_at(now) > self._interval

    def looked(self) -> None:
        """Take note that all others were looked at."""
        self._sorted_at = -math.inf

    def age(self, host: str, beat: float, wall: float, now: float) -> float:
        """Return the seconds that count against a heartbeat.

        Infinite where there is no fleet to compare with. Nothing is forgiven
        to a host that was seen to go down, until its next heartbeat: that the
        others get late as well does not bring it back.
        """
        if len(self._seen) < SMALLEST:
            return math.inf
        seen_at = min(self._confirmed_at, self._most_looked_at(now))
        late = self._late(wall, max(seen_at, self._moved_at))
        forgiven = self._forgive(late + self._most_behind(now), now)
        # Another thread may know of a newer one.
        known = self._seen[host]
        same = known.beat == beat
        if same and known.down:
            forgiven = 0.0
        behind = max(0.0, self._freshest - beat)
        age = max(0.0, behind + self._late(wall, now) - forgiven)
        if same and known.in_time:
            known.down = age > self._down_time
        return age

    def _forgive(self, late: float, now: float) -> float:
        """Return the seconds that do not count, where most are so late.

        And for as long after that: when heartbeats get through again, not all
        do so at once, since connecting anew backs off.
        """
        missed = max(1.0, self._down_time / self._interval)
        excess = max(0.0, late - self._usual)
        forgiven = min(missed * excess, self._hold_time)
        if forgiven >= self._forgiven or now >= self._forgiven_until:
            self._forgiven = forgiven
            settle_time = max(2 * self._interval, min(late, self._hold_time))
            self._forgiven_until = now + settle_time
        return self._forgiven

    def _most_behind(self, now: float) -> float:
        """Return the seconds by which most are behind the freshest."""
        self._sort(now)
        return self._behind

    def _most_looked_at(self, now: float) -> float:
        """Return since when most were looked at."""
        self._sort(now)
        return self._looked_at

    def _sort(self, now: float) -> None:
        if now - self._sorted_at < _SORT_INTERVAL:
            return
        self._sorted_at = now
        alive = [
            each
            for each in list(self._seen.values())
            if max(each.behind, now - each.looked_at) <= self._longest
        ]
        most = max(SMALLEST, len(alive) // 2 + 1)
        self._behind = _least((each.behind for each in alive), most, 0.0)
        self._looked_at = _least(
            (each.looked_at for each in alive), most, -math.inf
        )

    def _move(
        self, beat: float, wall: float, now: float, watched: bool
    ) -> None:
        if watched:
            self._end_stall(self._late(wall, self._confirmed_at), now)
            # It came since the last look, so it is as old as that at most.
            self._error, self._age = wall - beat, 0.0
        elif self._error is not None:
            self._age = max(0.0, wall - beat - self._error)
        elif 0 <= wall - beat <= 2 * self._interval:
            # The clocks seem to agree.
            self._age = wall - beat
        else:
            self._age = 0.0
        self._freshest = beat
        self._moved_at = self._confirmed_at = now

    def _end_stall(self, late: float, now: float) -> None:
        """Take note that heartbeats get through again, if they did not."""
        if late > self._usual and self._forgive(late, now):
            self._stalled_at = self._freshest
            self._awaited = {
                host
                for host, each in list(self._seen.items())
                if self._freshest - each.beat <= self._longest
            }

    def _late(self, wall: float, now: float) -> float:
        """Return the seconds since the freshest heartbeat was written."""
        unchanged = now - self._moved_at
        if self._error is None and unchanged > 2 * self._interval:
            # It was never seen to change, so it is old, or would have.
            return max(unchanged, wall - self._freshest)
        return unchanged + self._age


def _least(values: Iterable[float], count: int, default: float) -> float:
    """Return what so many values are no less than.

    :param default: where there are not so many
    """
    found = sorted(values, reverse=True)
    return found[count - 1] if len(found) >= count else default
