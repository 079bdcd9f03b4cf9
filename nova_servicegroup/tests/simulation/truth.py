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

"""What is true of a history: when hosts lived, and were to be seen."""

import math

INFINITE = math.inf


class Timeline:
    """The times at which something was so: from, and until, in seconds."""

    __slots__ = ('spans',)

    def __init__(self) -> None:
        self.spans: list[list[float]] = []

    def begin(self, start: float, end: float = INFINITE) -> None:
        """Note that it is so from start to end, as far as it is known now."""
        if not self.spans or self.spans[-1][1] < start:
            self.spans.append([start, end])
        elif start < self.spans[-1][0]:
            self.spans[-1] = [start, end]
        else:
            self.spans[-1][1] = end

    def end(self, now: float) -> None:
        """Note that it is not so any more."""
        if not self.spans or self.spans[-1][1] <= now:
            return
        if self.spans[-1][0] >= now:
            self.spans.pop()
        else:
            self.spans[-1][1] = now

    def holds(self, when: float) -> bool:
        """Tell whether it was so at a time."""
        return self.since(when) is not None

    def since(self, when: float) -> float | None:
        """Return since when it was so at a time; None: it was not."""
        for start, end in reversed(self.spans):
            if start <= when:
                return start if when < end else None
        return None

    def last(self, when: float) -> float:
        """Return the last time, not after when, at which it was so."""
        for start, end in reversed(self.spans):
            if start <= when:
                return min(end, when)
        return -INFINITE

    def within(self, start: float, end: float) -> bool:
        """Tell whether it was ever so after start and before end."""
        return any(
            span[1] > start and span[0] < end for span in reversed(self.spans)
        )


def last_both(one: Timeline, other: Timeline, when: float) -> float:
    """Return the last time, not after when, at which both were so."""
    for start, end in reversed(one.spans):
        if start > when:
            continue
        found = other.last(min(end, when))
        if found >= start:
            return found
    return -INFINITE


class Host:
    """What is true of one host.

    :ivar seen: when it is registered, where a reader may find it
    :ivar sure: when it is registered where every reader finds it
    :ivar living: when its member renews as it should, since it has registered
    :ivar joined: when it has first registered since it was started
    """

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.seen = Timeline()
        self.sure = self.seen
        self.living = Timeline()
        self.joined = -INFINITE

    def begin(self, now: float) -> None:
        """Note that its member has registered, and lives."""
        if not self.living.holds(now):
            self.joined = now
            self.living.begin(now)


def is_mass(hosts: list[Host], when: float, width: float) -> bool:
    """Tell whether most hosts vanished about then, and three at least."""
    start, end = when - width, when + width
    gone = sum(
        any(start <= each[1] <= end for each in host.seen.spans)
        for host in hosts
    )
    size = sum(
        any(each[0] <= start < each[1] for each in host.seen.spans)
        for host in hosts
    )
    return gone >= 3 and 2 * gone > size
