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

"""The core: decides which hosts of a group are up.

Pure: no I/O and no clock. Readings are handed in, and times in seconds of one
monotonic clock of the observer. A host is one of

- *present*: in the last confirmed reading. Up; while nothing can be read,
  until ``Contact.present_until``.
- *missing*: present before, or found absent when it was asked about. Up
  (*held*) until ``Missing.until``, then dead until a reading contains it.
- *unknown*: neither. Up until ``unknown_until``: see ``Membership``.

``evidence.doubt`` is the only place that decides whether absence from a
reading may be no evidence.
"""

from collections.abc import Iterator, Mapping, Set
import math

from nova_servicegroup import evidence
from nova_servicegroup import losses

#: How often blindness, or the hold of a missing host, starts anew after a time
#: without questions.
_MAX_RESTARTS = 2
#: Seconds after which a dead host is forgotten.
_FORGET_AFTER = 86400.0

_NO_HOSTS: frozenset[str] = frozenset()


def canonical(host: str) -> str:
    """Return host without case, as Nova's databases compare hosts."""
    return host.lower()


class Membership:
    """The members of one group, and the verdicts of one observer on them.

    Unknown hosts are up until hold_time after the start, or until the first
    complete reading. An observer that goes blind after idle_time without a
    question may have missed hosts that joined meanwhile. So it presumes
    unknown hosts up again and extends the hold of held ones; it never revives
    dead hosts.

    :param now: the start
    :param hold_time: seconds for which a host is up without evidence
    :param settle_time: seconds within which members that the backend dropped
        in an outage rejoin; losses within it count as one
    :param idle_time: seconds
    :ivar present: the hosts of the last confirmed reading
    :ivar missing: by host, the one lost first first
    :ivar domains: the failure domains of both
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
        self.present: Set[str] = _NO_HOSTS
        self.missing: dict[str, evidence.Missing] = {}
        self._held: set[str] = set()
        self._losses = losses.Losses(hold_time, self._settle_time)
        self.domains = self._losses.domains
        self.contact = evidence.Contact(now)
        self._unknown_until = now + hold_time

    def is_up(self, host: str, now: float) -> bool:
        """Return whether host is up; a few look-ups."""
        if host in self.present:
            return now <= self.contact.present_until
        missing = self.missing.get(host)
        if missing is not None:
            return now <= missing.until
        # Another thread may have made it present since the first look-up.
        return now <= self._unknown_until or host in self.present

    def knows(self, host: str) -> bool:
        """Return whether host is present or missing."""
        return host in self.present or host in self.missing

    def recall(self, host: str, now: float) -> bool | None:
        """Return whether host is up, or None if judge has to be called."""
        up = self.knows(host) and self.is_up(host, now)
        return up if up or self._is_dead(host) else None

    def judge(
        self, host: str, now: float, stale: bool = False, unread: bool = False
    ) -> bool:
        """Return whether host is up; remember an unknown host that is absent.

        :param stale: the last reading is too old, since a read under way takes
            too long; then only hosts that are dead already are down
        :param unread: the last reading says nothing about an unknown host
        """
        dead = self._is_dead(host)
        if dead or stale:
            return not dead
        if self.knows(host):
            return self.is_up(host, now)
        found = self._doubt_of_unknown(now, unread)
        if found is None:
            self._mark_dead({host}, now)
            return False
        self._hold({host: found}, now)
        return True

    def _doubt_of_unknown(
        self, now: float, unread: bool
    ) -> losses.Doubt | None:
        """Return why an unknown host that is absent is held, if it is."""
        if unread:
            return evidence.UNREAD, now + self._hold_time
        until = max(self._unknown_until, self.contact.unsettled_until(now))
        return (evidence.UNSETTLED, until) if now <= until else None

    def _is_dead(self, host: str) -> bool:
        return host in self.missing and host not in self._held

    def is_in_doubt(self, now: float) -> bool:
        """Return whether any host may be up without evidence."""
        blind = self.contact.blind_since is not None
        return blind or bool(self._held) or not self.contact.is_settled(now)

    def is_held(self, host: str) -> bool:
        """Return whether host is missing but not down."""
        return host in self._held

    def reason(self, host: str) -> str | None:
        """Return why a host that is not present is held, or was held."""
        missing = self.missing.get(host)
        if missing is not None:
            return missing.reason
        return evidence.BLIND if self.contact.blind_since is not None else None

    def proof(self, host: str) -> float | None:
        """Return when host was last confirmed; None: never."""
        if host in self.present:
            return self.contact.confirmed
        missing = self.missing.get(host)
        return None if missing is None else missing.proof

    def __iter__(self) -> Iterator[str]:
        return iter([*self.present, *self._held])

    def __len__(self) -> int:
        return len(self.present) + len(self._held)

    def confirm(
        self, reading: evidence.Reading, now: float, begun: float | None = None
    ) -> evidence.Changes:
        """Apply a reading. Members that it misses are held or dead.

        Other threads ask meanwhile, so a known host is always present or
        missing.

        :param begun: when the read began; default: now
        """
        awaited = losses.Absent(self.missing, self._held).awaited()
        expired = self.expire(now)
        joined = reading.present - self.present
        lost = (self.present - reading.present) | (self._held & reading.left)
        self._settle(reading, now)
        doubts = self._doubts(reading, lost - reading.left, now)
        down = lost - doubts.keys()
        self._mark_dead(down, now)
        self._hold(doubts, now)
        # A host that has just expired was never reported down.
        up = joined - self._held - expired
        self._confirm_present(reading.present, joined, now)
        self._resolve_unknown(now, now if begun is None else begun)
        self._forget_old(now)
        self.domains.update(reading, joined, self.missing.keys())
        held = {host: reason for host, (reason, _) in doubts.items()}
        over = expired - joined
        # Those that were only awaited are down since they are absent.
        down |= over & awaited
        return evidence.Changes(up, down, held, over - awaited)

    def fail(self, now: float, begun: float | None = None) -> evidence.Changes:
        """Apply a read that began at begun, by default now, and failed."""
        contact = self.contact
        idle = now - contact.asked > self._idle_time
        expired = _NO_HOSTS if idle else self.expire(now)
        restart = idle and contact.restarts < _MAX_RESTARTS
        if contact.blind_since is None or restart:
            since = now if begun is None else begun
            contact.lose(since, since + self._hold_time)
            if idle:
                self._presume_up(now)
        contact.asked = now
        return evidence.Changes(expired=expired | self.expire(now))

    def expire(self, now: float) -> Set[str]:
        """Return the hosts whose hold has just ended; call it after a read."""
        over = {host for host in self._held if self.missing[host].until < now}
        self._held -= over
        until = self.contact.present_until
        if now > until and self.present:
            over |= self.present
            for host in self.present:
                self._miss(host, until, evidence.BLIND, now)
            self.present = _NO_HOSTS
        return over

    def _presume_up(self, now: float) -> None:
        """Presume every host up that is not known to be dead."""
        self._unknown_until = until = now + self._hold_time
        for host in self._held:
            each = self.missing[host]
            if each.restarts < _MAX_RESTARTS:
                self.missing[host] = each.restart(until)

    def _settle(self, reading: evidence.Reading, now: float) -> None:
        """Give members time to rejoin after an outage or a partial reading."""
        contact, settled = self.contact, now + self._settle_time
        if contact.outage(now) > self._settle_time / 4:
            contact.held_until = max(contact.present_until, settled)
            contact.settling_until = contact.doubtful_until = settled
        if not reading.complete:
            if now > contact.doubtful_until:
                contact.held_until = now + self._hold_time
                if now - contact.asked > self._idle_time:
                    self._presume_up(now)
            contact.doubtful_until = settled

    def _doubts(
        self, reading: evidence.Reading, lost: Set[str], now: float
    ) -> dict[str, losses.Doubt]:
        """Return the hosts to hold from now on.

        :param lost: the members that it misses, without those that have left
        """
        doubts: dict[str, losses.Doubt] = {}
        latest = self.contact.outage_until(now)
        for host, seconds in (reading.doubted or {}).items():
            absent = host in lost or host in reading.renewed
            if absent or not self.knows(host):
                doubts[host] = str(reading.doubt), min(now + seconds, latest)
        missed = losses.Absent(self.missing, self._held)
        of_lost = self._losses.doubts(reading, self.contact, lost, missed, now)
        return of_lost | doubts

    def _miss(self, host: str, until: float, reason: str, now: float) -> None:
        """Add a missing host after all others."""
        proof = self.proof(host)
        self.missing.pop(host, None)
        self.missing[host] = evidence.Missing(until, reason, now, proof)

    def _mark_dead(self, hosts: Set[str], now: float) -> None:
        for host in hosts:
            self._miss(host, -math.inf, evidence.ABSENT, now)
        self._held -= hosts

    def _hold(self, doubts: Mapping[str, losses.Doubt], now: float) -> None:
        for host, (reason, until) in doubts.items():
            self._miss(host, until, reason, now)
        self._held |= doubts.keys()

    def _confirm_present(
        self, present: Set[str], joined: Set[str], now: float
    ) -> None:
        self.present = present
        self._held -= joined
        for host in joined:
            self.missing.pop(host, None)
        self.contact.confirm(now)

    def _resolve_unknown(self, now: float, begun: float) -> None:
        """Presume unknown hosts up no longer, once contact has settled."""
        if self.contact.is_settled(now):
            self._unknown_until = -math.inf
            held = ((host, self.missing[host]) for host in self._held)
            dead = {host for host, each in held if each.was_unknown(begun)}
            self._mark_dead(dead, now)

    def _forget_old(self, now: float) -> None:
        while self.missing:
            host, each = next(iter(self.missing.items()))
            if host in self._held or each.lost_at >= now - _FORGET_AFTER:
                break
            del self.missing[host]
