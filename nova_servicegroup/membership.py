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

"""Who is alive, given what the backend confirmed and when.

Pure: no I/O, no clock of its own. Every time is in seconds of one monotonic
clock of the observer and is handed in.
"""

import collections
from collections.abc import Iterable, Iterator, Set
import dataclasses
import math

#: Fewer members than this may all vanish at once without it being strange.
MASS_LOSS = 3

_NOBODY: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Changes:
    """The verdicts that one event changed, by host.

    :ivar up: confirmed, after having been down or unknown
    :ivar down: absent, and absence is evidence
    :ivar held: absent, but up until the hold time is over
    :ivar expired: down because the hold time is over
    """

    up: Set[str] = _NOBODY
    down: Set[str] = _NOBODY
    held: Set[str] = _NOBODY
    expired: Set[str] = _NOBODY


@dataclasses.dataclass(frozen=True)
class Reading:
    """What one read of a group confirmed.

    :ivar present: the hosts; an own set of the reader's
    :ivar emptied: the backend has forgotten even that the group exists
    :ivar incomplete: it may not know all members that were never seen
    :ivar vouched: hosts that are not present but may be alive all the same
    """

    present: Set[str]
    emptied: bool = False
    incomplete: bool = False
    vouched: Set[str] = _NOBODY


class Membership:
    """The members of one group as one observer may judge them.

    Absence from a confirmed membership means down. It does not while
    nothing can be confirmed, nor when it may be the backend that forgot: see
    ``confirm``. Then a member stays up until ``hold_time`` after its last
    proof of life.

    :param now: the start: before anything was ever confirmed, every host is
        presumed up until hold_time from here
    :param hold_time: seconds
    :param settle_time: seconds in which members that the backend dropped
        during an outage come back by themselves, and in which a mass loss
        may be spread out
    :param lag: seconds for which the backend may keep a dead member
    :param idle_time: an observer that asked nothing for longer than this,
        and then goes blind, knows as little as one that has just started
    :ivar present: the hosts that the backend confirmed last
    :ivar present_until: the time until which they are up
    """

    def __init__(
        self,
        now: float,
        hold_time: float,
        settle_time: float = 0.0,
        lag: float = 0.0,
        idle_time: float = 5.0,
    ) -> None:
        self._hold_time = hold_time
        self._settle_time = settle_time
        # What is held of a whole group that died is down no later than hold
        # time after its death, not after the backend's word of it.
        self._lag = min(lag, hold_time / 2)
        self._idle_time = idle_time
        self.present: Set[str] = _NOBODY
        # When each missing host that is held will be down, and when each
        # missing host was last proven alive.
        self._held: dict[str, float] = {}
        self._proofs: dict[str, float] = {}
        # Those of the held who are up only while somebody vouches for them.
        self._vouched: set[str] = set()
        self._losses: collections.deque[tuple[float, dict[str, float]]] = (
            collections.deque()
        )
        self._confirmed: float | None = None
        # When the backend was last asked, whatever came of it.
        self._asked = now
        self._blind_since: float | None = None
        self._settled = -math.inf
        self.present_until = math.inf
        self._unknown_until = now + hold_time
        # Who was found dead while others are still unknown.
        self._gone: set[str] = set()

    def is_up(self, host: str, now: float) -> bool:
        """Tell whether host is up; a few set look-ups."""
        if host in self.present:
            return now <= self.present_until
        if host in self._gone:
            return False
        return now <= self._held.get(host, self._unknown_until)

    def is_held(self, host: str) -> bool:
        """Tell whether host is missing but not down."""
        return host in self._held

    def proof(self, host: str) -> float | None:
        """Return when host was last proven alive."""
        if host in self.present:
            return self._confirmed
        return self._proofs.get(host)

    @property
    def confirmed(self) -> float | None:
        """When the backend last confirmed anything."""
        return self._confirmed

    @property
    def blind_since(self) -> float | None:
        """Since when there is no confirmed contact; None: there is."""
        return self._blind_since

    def __iter__(self) -> Iterator[str]:
        return iter([*self.present, *self._held])

    def __len__(self) -> int:
        return len(self.present) + len(self._held)

    def confirm(self, reading: Reading, now: float) -> Changes:
        """Take a membership that the backend just confirmed.

        Members that it misses are down, but held when

        - the backend turns out emptied (the caller can tell), or
        - more than half of the group and at least MASS_LOSS members
          vanished within settle_time, or
        - contact is back after an outage for less than settle_time, or
        - somebody vouches for them, and for as long as he does.
        """
        present = reading.present
        came = present - self.present
        lost = self.present - present
        holds = dict.fromkeys(lost, self._hold_until(now))
        self._miss(lost)
        self._settle(now)
        held = self._judge(present, holds, now, reading.emptied)
        held |= self._vouch(holds, held, reading.vouched)
        # Other threads ask meanwhile: whoever is up is always somewhere.
        self.present = present
        down = (lost - held) | self._see(reading, now)
        came_back = self._release(came)
        self._bury(down)
        return Changes(
            up=came - came_back, held=held, down=down, expired=self.expire(now)
        )

    def admit(self, host: str) -> None:
        """Take one more host that the backend just confirmed."""
        self.present = self.present | {host}

    def presume(self, host: str, now: float) -> None:
        """Take a host of which nothing can be learnt for now: up, at first."""
        self._held[host] = now + self._hold_time
        self._vouched.add(host)

    def lose(self, now: float) -> Changes:
        """Take note that nothing could be confirmed."""
        if self._blind_since is None:
            self.present_until = self._evidence(now) + self._hold_time
            if self._is_idle(now):
                self._presume_all(now)
            self._blind_since = now
        self._asked = now
        return Changes(expired=self.expire(now))

    def expire(self, now: float) -> Set[str]:
        """Return the hosts whose hold time has ended, once each."""
        over = {host for host, until in self._held.items() if until < now}
        for host in over:
            del self._held[host]
        if now > self.present_until and self.present:
            self._miss(self.present)
            over |= self.present
            self.present = _NOBODY
        self._bury(over)
        return over

    def _evidence(self, now: float) -> float:
        """Return from when on the present members' silence counts."""
        if self._confirmed is None or self._is_idle(now):
            return now
        return self._confirmed

    def _is_idle(self, now: float) -> bool:
        """Tell whether nobody has asked for long."""
        return (
            self._confirmed is not None
            and now - self._confirmed > self._idle_time
        )

    def _hold_until(self, now: float) -> float:
        """Return until when those that are missing now may be held."""
        if self._blind_since is None:
            return self._evidence(now) + self._hold_time
        if now - self._asked > self._idle_time:
            # They may have been there again while nobody asked.
            return max(self.present_until, now + self._settle_time)
        return self.present_until

    def _miss(self, hosts: Iterable[str]) -> None:
        """Keep the proofs of members that are no longer present."""
        if self._confirmed is not None:
            self._proofs.update(dict.fromkeys(hosts, self._confirmed))

    def _settle(self, now: float) -> None:
        """Give members time to come back if an outage ends."""
        if self._blind_since is not None and self._outage(now):
            self._settled = now + self._settle_time

    def _see(self, reading: Reading, now: float) -> Set[str]:
        """Note the contact; return who is gone although not just lost."""
        idle = self._is_idle(now)
        self._blind_since = None
        self.present_until = math.inf
        self._confirmed = self._asked = now
        if reading.emptied or reading.incomplete or now <= self._settled:
            if idle:
                self._presume_all(now)
            return _NOBODY
        self._unknown_until = -math.inf
        self._gone.clear()
        return self._abandon(reading.vouched)

    def _presume_all(self, now: float) -> None:
        """Take it that whoever was missing may have come since."""
        self._unknown_until = now + self._hold_time
        self._gone.clear()

    def _bury(self, hosts: Set[str]) -> None:
        """Tell the dead from those that nothing is known of."""
        if self._unknown_until > -math.inf:
            self._gone |= hosts

    def _outage(self, now: float) -> bool:
        """Tell whether contact was lost for long enough to lose members."""
        since = (
            self._blind_since if (self._confirmed is None) else self._confirmed
        )
        return since is not None and now - since > self._settle_time / 4

    def _judge(
        self,
        present: Set[str],
        holds: dict[str, float],
        now: float,
        emptied: bool,
    ) -> Set[str]:
        """Hold those of the lost whose absence is no evidence."""
        if holds:
            self._losses.append((now, holds))
        while self._losses and (self._losses[0][0] < now - self._settle_time):
            self._losses.popleft()
        if emptied or now <= self._settled:
            doubted = holds
        elif holds and self._is_mass_loss(present):
            doubted = self._recent_losses(present, self._lag)
        else:
            return _NOBODY
        self._held.update(doubted)
        return frozenset(doubted)

    def _vouch(
        self, holds: dict[str, float], held: Set[str], vouched: Set[str]
    ) -> Set[str]:
        """Hold those of the lost that somebody vouches for."""
        self._vouched -= held
        doubted = (holds.keys() & vouched) - held
        self._held.update({host: holds[host] for host in doubted})
        self._vouched |= doubted
        return doubted

    def _abandon(self, vouched: Set[str]) -> Set[str]:
        """Let go those for whom nobody vouches any more."""
        over = self._vouched - vouched
        self._vouched -= over
        return {host for host in over if self._held.pop(host, None)}

    def _is_mass_loss(self, present: Set[str]) -> bool:
        lost = len(self._recent_losses(present))
        return lost >= MASS_LOSS and lost > len(present)

    def _recent_losses(
        self, present: Set[str], lag: float = 0.0
    ) -> dict[str, float]:
        recent: dict[str, float] = {}
        for _, holds in self._losses:
            recent.update(holds)
        return {
            host: until - lag
            for host, until in recent.items()
            if host not in present
        }

    def _release(self, came: Set[str]) -> Set[str]:
        """Forget what was kept of those that came; return the held."""
        self._gone -= came
        for host in came:
            self._proofs.pop(host, None)
        return {host for host in came if self._held.pop(host, None)}
