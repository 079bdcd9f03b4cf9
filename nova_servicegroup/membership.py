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

"""The core: who is up, given what was read of a group and when.

Pure: no I/O, no clock of its own. Every time is in seconds of one monotonic
clock of the observer and is handed in. A host is one of

- *present*: the last confirmed reading has it. Up, and while nothing can be
  read until ``Contact.present_until``.
- *missing*: it was present once, or was found absent when it was asked about.
  Up (*held*) until ``Missing.until``, then down until a reading has it.
- *unknown*: neither. Up until ``unknown_until``: see ``Membership``.

``evidence.doubt`` is the only place that says why absence may be no evidence.
"""

from collections.abc import Iterator, Set
import math

from nova_servicegroup import evidence

#: Because nobody has asked for long, a blindness begins anew so many times,
#: and so many times is a missing host held anew.
_RENEWED = 2
#: Seconds after which a dead host is forgotten.
_FORGET = 86400.0

_NOBODY: frozenset[str] = frozenset()


def canonical(host: str) -> str:
    """Return what hosts are compared by: as Nova's databases, without case."""
    return host.lower()


class Membership:
    """The members of one group as one observer may judge them.

    ``unknown_until`` is hold_time from the start, until the first complete
    reading. An observer that goes blind after nobody has asked for
    idle_time has missed whoever came meanwhile, so it presumes that the
    unknown are up, and those held too; never those that it has found dead.

    :param now: the start
    :param hold_time: seconds for which a host is up without evidence
    :param settle_time: seconds in which members that the backend dropped in
        an outage are back; losses within it are one loss
    :param idle_time: seconds
    :ivar present: the hosts that the backend confirmed last
    """

    def __init__(
        self,
        now: float,
        hold_time: float,
        settle_time: float = 0.0,
        idle_time: float = 5.0,
    ) -> None:
        self._hold_time = hold_time
        self._settle_time = min(settle_time, hold_time)
        self._idle_time = idle_time
        self.present: Set[str] = _NOBODY
        self.missing: dict[str, evidence.Missing] = {}
        self._held: set[str] = set()
        self.contact = evidence.Contact(now)
        self._unknown_until = now + hold_time

    def is_up(self, host: str, now: float) -> bool:
        """Tell whether host is up; a few look-ups."""
        if host in self.present:
            return now <= self.contact.present_until
        missing = self.missing.get(host)
        if missing is not None:
            return now <= missing.until
        # It may have become present since it was looked for there.
        return now <= self._unknown_until or host in self.present

    def knows(self, host: str) -> bool:
        """Tell whether host is present or missing."""
        return host in self.present or host in self.missing

    def recall(self, host: str, now: float) -> bool | None:
        """Tell whether host is up; None: judge must be asked."""
        known = self.knows(host)
        up = known and self.is_up(host, now)
        return up if up or self._is_dead(host) else None

    def judge(
        self, host: str, now: float, stale: bool = False, unread: bool = False
    ) -> bool:
        """Tell whether host is up, and remember who was found absent.

        :param stale: there is no reading that is young enough, since one that
            is under way takes too long: only who is dead already is down
        :param unread: the last reading is no evidence on one that is unknown
        """
        dead = self._is_dead(host)
        if dead or stale:
            return not dead
        if self.knows(host):
            return self.is_up(host, now)
        found = self._doubt_of_unknown(now, unread)
        if found is None:
            self._bury({host}, now)
            return False
        self._hold({host: found}, now)
        return True

    def _doubt_of_unknown(
        self, now: float, unread: bool
    ) -> tuple[str, float] | None:
        if unread:
            return evidence.UNREAD, now + self._hold_time
        until = max(self._unknown_until, self.contact.unsettled_until(now))
        return (evidence.UNSETTLED, until) if now <= until else None

    def _is_dead(self, host: str) -> bool:
        return host in self.missing and host not in self._held

    def is_in_doubt(self, now: float) -> bool:
        """Tell whether anybody is up without evidence."""
        contact = self.contact
        blind = contact.blind_since is not None
        return blind or bool(self._held) or not contact.is_settled(now)

    def is_held(self, host: str) -> bool:
        """Tell whether host is missing but not down."""
        return host in self._held

    def reason(self, host: str) -> str | None:
        """Return why a host that is not present is held, or was."""
        missing = self.missing.get(host)
        if missing is not None:
            return missing.reason
        return evidence.BLIND if self.contact.blind_since is not None else None

    def proof(self, host: str) -> float | None:
        """Return when host was last confirmed."""
        if host in self.present:
            return self.contact.confirmed
        missing = self.missing.get(host)
        return None if missing is None else missing.proof

    def __iter__(self) -> Iterator[str]:
        return iter([*self.present, *self._held])

    def __len__(self) -> int:
        return len(self.present) + len(self._held)

    def confirm(
        self,
        reading: evidence.Reading,
        now: float,
        begun: float | None = None,
    ) -> evidence.Changes:
        """Take a reading; see doubt for who of those that it misses is held.

        Other threads ask meanwhile, so every host is in one place at least.

        :param begun: when it began; default: now
        """
        expired = self.expire(now)
        came = reading.present - self.present
        lost = self.present - reading.present
        lost |= self._held & reading.left
        self._settle(reading, now)
        doubts = self._doubts(reading, lost - reading.left, now)
        down = lost - doubts.keys()
        self._bury(down, now)
        self._hold(doubts, now)
        self.present = reading.present
        # Neither those that were held nor those that nobody saw expire.
        back = came & (self._held | expired)
        self._held -= came
        for host in came:
            self.missing.pop(host, None)
        self._know(now, now if begun is None else begun)
        return evidence.Changes(
            up=came - back,
            down=down,
            held={host: reason for host, (reason, _) in doubts.items()},
            expired=expired - came,
        )

    def lose(self, now: float, begun: float | None = None) -> evidence.Changes:
        """Take note that nothing could be read.

        :param begun: when the read began that has failed
        """
        contact = self.contact
        idle = now - contact.asked > self._idle_time
        expired = _NOBODY if idle else self.expire(now)
        if contact.blind_since is None or (
            idle and contact.restarts < _RENEWED
        ):
            since = now if begun is None else begun
            contact.lose(since, since + self._hold_time)
            if idle:
                self._presume(now)
        contact.asked = now
        return evidence.Changes(expired=expired | self.expire(now))

    def expire(self, now: float) -> Set[str]:
        """Return the hosts that were held for long enough, once each.

        To be asked after a reading, as judge is.
        """
        over = {host for host in self._held if self.missing[host].until < now}
        self._held -= over
        until = self.contact.present_until
        if now > until and self.present:
            over |= self.present
            for host in self.present:
                self._miss(host, until, evidence.BLIND, now)
            self.present = _NOBODY
        return over

    def _presume(self, now: float) -> None:
        """Take it that whoever is not known to be dead may be alive."""
        self._unknown_until = until = now + self._hold_time
        for host in self._held:
            each = self.missing[host]
            if each.renewed < _RENEWED:
                self.missing[host] = each._replace(
                    until=until, renewed=each.renewed + 1
                )

    def _settle(self, reading: evidence.Reading, now: float) -> None:
        """Give members time to come back if an outage ends, or a doubt."""
        contact, settled = self.contact, now + self._settle_time
        if contact.outage(now) > self._settle_time / 4:
            contact.held_until = max(contact.present_until, settled)
            contact.settled = contact.doubtful = settled
        if not reading.complete:
            if now > contact.doubtful:
                contact.held_until = now + self._hold_time
                if now - contact.asked > self._idle_time:
                    self._presume(now)
            contact.doubtful = settled

    def _doubts(
        self, reading: evidence.Reading, lost: Set[str], now: float
    ) -> dict[str, tuple[str, float]]:
        """Return who is held from now on: the reason, and until when."""
        doubts: dict[str, tuple[str, float]] = {}
        latest = self.contact.outage_until(now)
        for host, seconds in (reading.doubted or {}).items():
            if host in lost or not self.knows(host):
                until = min(now + seconds, latest)
                doubts[host] = str(reading.doubt), until
        recent = len(lost) and len(lost) + evidence.recently_lost(
            reading, self.missing, now - self._settle_time
        )
        found = evidence.doubt(
            reading, self.contact, recent, now, self._hold_time
        )
        if found is not None:
            doubts |= dict.fromkeys(lost - doubts.keys(), found)
        return doubts

    def _miss(self, host: str, until: float, reason: str, now: float) -> None:
        """Note a host that is missing, after all others."""
        missing = evidence.Missing(until, reason, now, self.proof(host))
        self.missing.pop(host, None)
        self.missing[host] = missing

    def _bury(self, hosts: Set[str], now: float) -> None:
        for host in hosts:
            self._miss(host, -math.inf, evidence.ABSENT, now)
        self._held -= hosts

    def _hold(self, doubts: dict[str, tuple[str, float]], now: float) -> None:
        for host, (reason, until) in doubts.items():
            self._miss(host, until, reason, now)
        self._held |= doubts.keys()

    def _know(self, now: float, begun: float) -> None:
        """Note the contact, and that it is known who is not there."""
        self.contact.confirm(now)
        if self.contact.is_settled(now):
            self._unknown_until = -math.inf
            held = ((host, self.missing[host]) for host in self._held)
            self._bury({h for h, each in held if each.is_stranger(begun)}, now)
        # The first of them was lost first.
        while self.missing:
            host, each = next(iter(self.missing.items()))
            if host in self._held or each.lost_at >= now - _FORGET:
                break
            del self.missing[host]
