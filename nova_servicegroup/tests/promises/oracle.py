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

"""The oracle: it knows the truth, and what was promised.

Written from the promises alone:

1. A live member is not called down until hold_time after the last moment at
   which anybody could have had a proof of its life.
2. A dead one is down within the bound of its driver while the backend is
   well, and stays down until it registers again; after an outage it is down
   hold_time after that.
3. Whoever asks, about whatever and how often: the same verdict, never an
   error, and no wait longer than read_timeout.
4. A failure domain of which more than half is lost together is held as a
   whole. To know that, a host of a domain that stands alone is held for half
   of the time in which live members are back, and a second, from the reading
   that misses it.
5. One whose agent has ended its membership is down with the next reading,
   whatever else is lost of its domain; but not if most of the group is lost.

Where nobody could know, it allows what is named here as an allowance.
"""

import dataclasses
import math
from typing import Any

#: Seconds by which the simulation's own samples are coarse.
EPSILON = 0.6
#: Seconds that two who do something in one moment are apart, at most.
INSTANT = 0.1
#: A process knows what happened for so long after its last question.
INTEREST = 300.0
#: Whoever failed tries again after so many seconds, at most.
RETRY = 5.0
#: Those that asked so long ago have just looked.
IDLE = 5.0


class Violation(Exception):
    """A promise was broken."""


@dataclasses.dataclass
class Host:
    """The truth about one host.

    :ivar alive: whether its process runs and renews
    :ivar dead_at: when it died; None: it lives
    :ivar since: when it was registered; None: it is not
    :ivar joined: when it was last registered anew
    :ivar proof: when it was last registered where it could be read
    :ivar registered: when it was last registered
    :ivar lost: when it was last lost, by whoever's fault
    :ivar losses: when it was ever lost
    :ivar cell: each is judged for itself
    :ivar domain: what it may be lost together with
    :ivar left: whether it said that it leaves when it was last stopped
    :ivar ended: when its agent last ended its membership
    """

    name: str
    alive: bool
    dead_at: float | None = None
    since: float | None = None
    joined: float = -math.inf
    proof: float = -math.inf
    registered: float = -math.inf
    lost: float = -math.inf
    losses: list[float] = dataclasses.field(default_factory=list, repr=False)
    cell: str | None = None
    domain: str | None = None
    left: bool = False
    ended: float = -math.inf

    @property
    def is_ended(self) -> bool:
        """Tell whether it is dead, and its agent has ended its membership."""
        return self.dead_at is not None and self.ended >= self.dead_at

    def sample(self, registered: bool, readable: bool, now: float) -> None:
        """Note whether it is registered now."""
        if registered:
            if self.since is None:
                self.since = self.joined = now
            self.registered = now
            self.proof = now if readable else self.proof
        elif self.since is not None:
            self.since, self.lost = None, now
            self.losses.append(now)


@dataclasses.dataclass
class Process:
    """What one asking process can know.

    :ivar begun: when it started
    :ivar lag: the seconds between two reads, at most
    :ivar read: when the backend last answered it; None: never
    :ivar first: when it did so first
    :ivar resumed: when it did so first after it had not for longer than
        between two reads
    :ivar asked: when it was last asked
    :ivar gap: when a long time without reads last ended
    :ivar downs: when it last called each host down
    :ivar unseen: those that it was asked about before they ever came
    :ivar clock: what its own clock shows too much, if it has no other
    """

    begun: float
    lag: float
    read: float | None = None
    first: float | None = None
    resumed: float = -math.inf
    asked: float | None = None
    gap: float = -math.inf
    downs: dict[str, float] = dataclasses.field(default_factory=dict)
    unseen: set[str] = dataclasses.field(default_factory=set)
    clock: float | None = None

    def answered(self, now: float) -> None:
        """Note that the backend has answered it."""
        if self.first is None:
            self.first = now
        if self.read is None or now - self.read > self.lag:
            self.resumed = now
        self.read = now

    def ask(self, now: float, longest: float) -> None:
        """Note that it is asked."""
        before = self.begun if self.asked is None else self.asked
        if now - before > longest:
            self.gap = now
        self.asked = now


class Oracle:
    """Checks verdicts.

    :param bound: seconds in which the backend gives up who has died
    :param rejoin: seconds in which a live member is back that was lost
    :param green: whether nothing runs between questions
    :ivar disturbed: when the backend was last not well
    :ivar unreadable: when it could last not be read
    """

    def __init__(
        self,
        options: dict[str, float],
        bound: float,
        rejoin: float,
        green: bool,
    ) -> None:
        self.hold = options['hold_time']
        self.refresh = options['refresh_interval']
        self.timeout = options['read_timeout']
        self.bound = bound
        self.rejoin = rejoin
        self.green = green
        self.hosts: dict[str, Host] = {}
        self.disturbed = -math.inf
        self.began = -math.inf
        self.unreadable = -math.inf
        self.lag = self.refresh + 2 * self.timeout + EPSILON

    def disturb(self, now: float) -> None:
        """Note that the backend is not well."""
        if now - self.disturbed > self.lag:
            self.began = now
        self.disturbed = now

    def is_readable(self, well: bool, now: float) -> bool:
        """Tell whether the backend can be read, and by whoever rests, too."""
        if not well:
            self.unreadable = now
        return now - self.unreadable > RETRY

    @property
    def longest_gap(self) -> float:
        """Seconds after which a process that nobody asks knows nothing."""
        return IDLE if self.green else INTEREST

    def check(self, process: Process, name: str, up: bool, now: float) -> None:
        """Check a verdict.

        :raises Violation: it breaks a promise
        """
        host = self.hosts[name]
        if process.clock:
            # It is wrong, and there is nothing else to go by.
            return
        if up:
            self._check_up(process, host, now)
        else:
            if host.alive:
                self._check_down(process, host, now)
            self._check_held(process, host, now)
            process.downs[name] = now
        if host.registered == -math.inf:
            process.unseen.add(name)

    def _check_down(self, process: Process, host: Host, now: float) -> None:
        """Promise 1."""
        if now > host.proof + self.hold - EPSILON:
            return
        since = now if host.since is None else host.since
        newcomer = self._is_new(process, host) and self._is_read(process, now)
        if newcomer and now - since <= INSTANT:
            return
        for allowance in (
            ()
            if newcomer
            else (
                self._joined_after_the_last_read,
                self._was_down_and_not_read_since,
                self._first_look_among_returns,
                self._nothing_known_of_a_gap,
                self._two_are_no_mass,
            )
        ):
            if allowance(process, host, now):
                return
        raise Violation(
            f'{now:.1f} s: {host.name} lives and is called down; '
            f'{host}, {process}, disturbed until {self.disturbed:.1f}'
        )

    def _joined_after_the_last_read(
        self, process: Process, host: Host, now: float
    ) -> bool:
        """A join is seen by the next read, or the one after that."""
        since = now if host.since is None else host.since
        fresh = now - since <= self.lag and not self._was_lost(host, now)
        unread = process.read is None or process.read < since
        return fresh or (
            unread
            and not self._was_lost(host, since)
            and process.read is not None
            and since - process.read <= max(IDLE, 2 * self.refresh) + EPSILON
        )

    def _is_new(self, process: Process, host: Host) -> bool:
        """Tell whether it was never lost, nor asked about before it came."""
        asked = host.name in process.downs or host.name in process.unseen
        return host.lost == -math.inf and not asked

    def _is_read(self, process: Process, now: float) -> bool:
        """Tell whether the backend is well, and was for a process."""
        return (
            process.first is not None
            and max(process.resumed, self.disturbed) <= now - self.lag
        )

    def _was_lost(self, host: Host, now: float) -> bool:
        """Tell whether it was registered until a moment ago."""
        return now - host.lost <= self.rejoin and host.lost > -math.inf

    def _was_down_and_not_read_since(
        self, process: Process, host: Host, now: float
    ) -> bool:
        """A process cannot know better before it reads again."""
        told = process.downs.get(host.name)
        if told is None:
            return False
        since = now if host.since is None else host.since
        since = max(since, min(self.disturbed, now - self.lag))
        unread = process.read is None or process.read < since + EPSILON
        # What is answered too late for one read is taken by the next one.
        return unread or now - process.resumed <= self.lag

    def _first_look_among_returns(
        self, process: Process, host: Host, now: float
    ) -> bool:
        """Nothing tells a new process who has yet to join again."""
        return (
            host.since is None or now - host.since <= self.lag
        ) and process.begun + self.lag > self.began

    def _nothing_known_of_a_gap(
        self, process: Process, host: Host, now: float
    ) -> bool:
        """Nobody has asked while something happened."""
        return (
            host.since is None or now - host.since <= self.lag
        ) and process.gap + self.lag > self.began

    def _two_are_no_mass(
        self, process: Process, host: Host, now: float
    ) -> bool:
        """Of two, one that is back and one that is not tell nothing."""
        known = sum(
            each.registered > self.began - self.rejoin
            for each in self.hosts.values()
            if each.cell == host.cell
        )
        return known < 3 and self._was_lost(host, now)

    def _check_held(self, process: Process, host: Host, now: float) -> None:
        """Promise 4, and the exception of 5."""
        if host.is_ended:
            return
        told = process.downs.get(host.name, -math.inf)
        unseen = host.joined <= told < host.lost
        if unseen or now >= host.lost + self.hold:
            return
        domain = [
            each
            for each in self.hosts.values()
            if each.domain is not None and each.domain == host.domain
        ]
        lost = [
            each
            for each in domain
            if each.since is None
            and not each.left
            and abs(host.lost - each.lost)
            <= self.rejoin / 2 - self.lag - EPSILON
        ]
        if (
            len(lost) >= 3
            and 2 * len(lost) > len(domain)
            and self._has_watched(process, lost, now)
        ):
            raise Violation(
                f'{now:.1f} s: {host.name} is called down, though it was lost '
                f'with its domain; {host}, {process}, disturbed until '
                f'{self.disturbed:.1f}'
            )

    def _has_watched(
        self, process: Process, lost: list[Host], now: float
    ) -> bool:
        """Tell whether a process has seen hosts until they were lost."""
        before = min(each.lost for each in lost) - self.lag
        return (
            process.first is not None
            and max(process.first, process.resumed, process.gap) < before
            and self.disturbed < before - self.rejoin
        )

    def _check_up(self, process: Process, host: Host, now: float) -> None:
        """Promise 2."""
        told = process.downs.get(host.name)
        if told is not None and host.registered < told - self.lag:
            raise Violation(
                f'{now:.1f} s: {host.name} was called down at {told:.1f} s, '
                f'has not come back and is up; {host}, {process}'
            )
        if host.dead_at is None or self._is_disturbed(now):
            return
        deadline = self._deadline(process, host)
        if now > deadline:
            raise Violation(
                f'{now:.1f} s: {host.name} is dead and up; it should be down '
                f'by {deadline:.1f} s; {host}, {process}, disturbed until '
                f'{self.disturbed:.1f}'
            )
        process.downs.pop(host.name, None)

    def _is_disturbed(self, now: float) -> bool:
        return now - self.disturbed <= EPSILON

    def _deadline(self, process: Process, host: Host) -> float:
        died = host.dead_at or 0.0
        found = [host.ended if host.is_ended else died + self.bound]
        if host.domain is not None and not host.is_ended:
            found.append(died + self.bound + 1.5 * self.rejoin + 1)
        if process.clock is not None:
            found.append(died + self.bound + self.hold)
        if self.disturbed > died - self.rejoin:
            found.append(self.disturbed + max(self.hold, self.bound))
        if self._is_of_mass(host):
            found.append(died + self.bound + self.rejoin + self.hold)
        if process.begun > self.began > -math.inf or process.first is None:
            found.append(process.begun + self.hold)
        if process.gap > died and self._is_lost_unseen(process, host):
            found.append(process.gap + self.hold)
        return max(found) + self.lag

    def _is_lost_unseen(self, process: Process, host: Host) -> bool:
        """Members that were lost one by one look like a mass, once."""
        return (
            sum(
                each.lost > process.gap - 10 * INTEREST
                for each in self.hosts.values()
            )
            >= 3
        )

    def _is_of_mass(self, host: Host) -> bool:
        """Tell whether most of the group was lost together with it."""
        window = self.rejoin + self.lag + EPSILON
        groups = [list(self.hosts.values())]
        if host.domain is not None and not host.is_ended:
            groups.append([e for e in groups[0] if e.domain == host.domain])
        for group in groups:
            lost = sum(
                any(abs(at - host.lost) <= window for at in each.losses)
                for each in group
            )
            left = sum(each.since is not None for each in group)
            if lost >= 3 and lost > left - lost:
                return True
        return False


def check_call(call: Any, now: Any, longest: float, what: str) -> bool:
    """Return the verdict of a call that must not fail, nor take long.

    :raises Violation: it does
    """
    begun = now()
    try:
        verdict = call()
    except Violation:
        raise
    except Exception as error:
        raise Violation(f'{what} raised {error!r}') from error
    taken = now() - begun
    if taken > longest:
        raise Violation(f'{begun:.1f} s: {what} took {taken:.2f} s')
    if not isinstance(verdict, bool):
        raise Violation(f'{what} returned {verdict!r}')
    return verdict
