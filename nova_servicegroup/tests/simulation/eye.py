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

"""What the oracle knows of one process that asks."""

import dataclasses
import math

from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import truth

#: Without questions for so long, a process may lose what it knew (seconds).
IDLE = 300.0
#: Where no thread runs between questions, a process has lost count of a
#: continuous outage after so long.
GREEN_IDLE = 5.0
#: So often may it presume anew, without a read that succeeded between.
_ANEW = 2
#: Seconds between two reads that are late.
_LATE_REFRESH = 1.0


@dataclasses.dataclass(frozen=True)
class Rules:
    """What the options of a history promise, in seconds.

    :ivar spread: between the first and the last that vanish, of hosts that
        are lost together
    :ivar slack: what a read may take
    """

    hold: float
    refresh: float
    timeout: float
    spread: float
    slack: float


class Eye:
    """One process that asks.

    :ivar ready: when it reads without fail, if it reads
    :ivar seen_at: when what it has read last showed each host
    :ivar down_at: when it has called each host down that no read has shown
        since
    :ivar protected: until when those are held that were lost together
    :ivar first_ask: its first question
    :ivar read_at: for when its last successful read holds; None: there was
        none
    :ivar blind_from: its first question in the outage that there is
    :ivar times: of all questions
    :ivar reads: for when each successful read holds
    :ivar gap: between its last two questions
    :ivar no_group: whether it has ever found no group
    :ivar count: of all answers that it has got
    :ivar present: all that were seen when it has read last
    :ivar asked_at: when it has last read for each host, where a read is for
        some hosts only
    :ivar first_asked: when it was first asked about each host
    """

    def __init__(self, process: kernel.Process, hosts: int) -> None:
        self.process = process
        self.ready = truth.Timeline()
        self.seen_at = [-math.inf] * hosts
        self.down_at: dict[int, float] = {}
        self.protected: dict[int, float] = {}
        self.answers: dict[int, tuple[float, int, bool]] = {}
        self.first_ask = math.inf
        self.last_ask = -math.inf
        self.times: list[float] = []
        self.reads: list[float] = []
        self.gap = 0.0
        self.longest_gap = 0.0
        self.read_at: float | None = None
        self.blind_from: float | None = None
        self.no_group = False
        self.count = 0
        self.present: frozenset[int] = frozenset()
        self._anew: list[float] = []
        self.asked_at: dict[int, float] = {}
        self.first_asked: dict[int, float] = {}
        self._times: dict[str, list[tuple[float, float]]] = {}
        self._late: dict[str, list[tuple[float, float]]] = {}
        self._parts: dict[str, frozenset[int]] = {}

    def ask(self, now: float) -> None:
        """Note the beginning of a question."""
        if self.first_ask == math.inf:
            self.first_ask = now
        self.gap = now - max(self.last_ask, self.first_ask)
        self.longest_gap = max(self.longest_gap, self.gap)
        idle = GREEN_IDLE if self.process.green else IDLE
        if self.gap > idle:
            self._anew.append(now)
        self.last_ask = now
        self.times.append(now)
        if self.ready.holds(now):
            self.blind_from = None
        elif self.blind_from is None:
            self.blind_from = now

    def asked(self, now: float) -> None:
        """Note the end of a question."""
        self.last_ask = max(self.last_ask, now)

    def blind_since(self, now: float) -> float:
        """Return when it may have taken itself for blind, at the latest."""
        found = now if self.blind_from is None else self.blind_from
        return max(found, self.unknown_since())

    def unknown_since(self) -> float:
        """Return when it may have begun to presume, at the latest."""
        found = self.first_ask
        if self._anew:
            found = max(found, self._anew[min(_ANEW, len(self._anew) - 1)])
        return found

    def union(
        self,
        hosts: frozenset[int],
        source: str,
        asked: frozenset[int] | None = None,
    ) -> frozenset[int]:
        """Return whom all sources show, with what one of them shows now.

        :param source: which server has answered, of several
        :param asked: those that it was asked for; None: all
        """
        if asked is not None:
            hosts |= self._parts.get(source, frozenset()) - asked
        self._parts[source] = hosts
        return frozenset().union(*self._parts.values())

    def read(
        self,
        issued: float,
        valid: float,
        now: float,
        hosts: frozenset[int],
        present: frozenset[int],
        source: str,
        confirmed: bool,
    ) -> None:
        """Note a successful read.

        :param issued: when it was asked for
        :param valid: for when it holds
        :param now: when the process has taken it
        :param hosts: those that it shows
        :param present: with those that other reads have shown
        :param confirmed: whether there is a group
        """
        self.read_at = valid
        self.reads.append(valid)
        self.present = present
        if confirmed:
            self._anew.clear()
        self.count += 1
        self._times.setdefault(source, []).append((issued, now))
        for number in hosts:
            self.seen_at[number] = valid
            self.down_at.pop(number, None)
            self.protected.pop(number, None)

    def take_late(self, source: str, issued: float, now: float) -> None:
        """Note a read that may have come too late to be of use.

        Then there may be another one, but not at once.
        """
        self.count += 1
        self._late.setdefault(source, []).append((issued, now))

    def fail(self) -> None:
        """Note a read that failed."""
        self.count += 1

    def is_too_frequent(self, refresh: float, source: str) -> bool:
        """Tell whether there were too many reads in a refresh_interval.

        One more than one there may be, for a host that nobody has ever asked
        about.
        """
        late = self._late.get(source, [])
        return _is_dense(self._times.get(source, []), refresh) or _is_dense(
            late, min(refresh, _LATE_REFRESH)
        )


def _is_dense(times: list[tuple[float, float]], refresh: float) -> bool:
    """Tell whether the last three reads were within one refresh_interval.

    Forgets all but those.

    :param times: when they were issued, and when they came
    """
    if len(times) < 3:
        return False
    del times[:-3]
    first, last = times[0], times[-1]
    return (
        last[0] - first[0] < 0.9 * refresh
        and last[1] - first[1] < 0.9 * refresh
    )
