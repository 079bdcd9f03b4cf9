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

"""Of which hosts to notify masakari, and when. Pure: times are handed in."""

import collections
from collections.abc import Callable, Collection, Mapping, Set
import dataclasses
import math

from nova_servicegroup.drivers import views
from nova_servicegroup import evidence
from nova_servicegroup import membership
from nova_servicegroup.opts import masakari as options
from nova_servicegroup.watch import inventory

#: Seconds for which a host whose death is settled still counts towards the
#: loss of its domain.
TOGETHER = 600.0

#: Held is neither this nor dead: absence is no evidence.
_ALIVE = (views.UP, views.DEGRADED, views.DRAINING)

DomainOf = Callable[[str], str | None]


@dataclasses.dataclass
class Case:
    """One event of which masakari has to know: a host is dead, or back.

    :ivar is_death: whether the host is dead
    :ivar lived_at: when it was last proved alive, in seconds since the epoch,
        or None if this process has not seen it alive
    :ivar due: when to act next, by the monotonic clock
    :ivar failures: how often that has failed
    :ivar problem: why it has failed last
    :ivar asked: whether masakari has answered that it does not know yet
    :ivar settled_at: since when masakari knows, by the monotonic clock;
        -inf: since before this process has begun; None: it does not know
    """

    host: str
    is_death: bool
    lived_at: float | None
    due: float
    failures: int = 0
    problem: str | None = None
    asked: bool = False
    settled_at: float | None = None

    def fail(self, problem: str, due: float) -> None:
        """Record that acting on it has failed.

        :param due: when to act again, by the monotonic clock
        """
        self.failures += 1
        self.problem, self.due = problem, due


@dataclasses.dataclass(frozen=True)
class Policy:
    """What the operator has decided.

    :ivar accepted: the evidence with which a host counts as dead
    :ivar waits: whether hosts of a lost domain are waited for
    :ivar settle: seconds within which hosts that die together are seen dead
    """

    accepted: Collection[str]
    waits: bool
    settle: float


@dataclasses.dataclass(frozen=True)
class Sight:
    """The hosts of one reading, by what it says of them.

    :ivar hosts: all hosts
    :ivar missing: those that are missing, held ones with them
    :ivar silent: those that are silent, but for this machine's
    :ivar dead: those of them with evidence that is enough
    """

    hosts: Set[str] = frozenset()
    missing: Set[str] = frozenset()
    silent: Set[str] = frozenset()
    dead: Set[str] = frozenset()


def accepted(notify_on: str) -> frozenset[str]:
    """Return the evidence that is enough by a value of notify_on."""
    both = frozenset((options.SILENT, options.FENCED))
    # A host that was fenced was silent before.
    return both if notify_on == options.SILENT else both - {options.SILENT}


class Cases:
    """The events of all hosts, as one process has seen them.

    :param spread: returns seconds by which to wait longer than other processes
    :param own: the canonical names of this machine, which lives
    """

    def __init__(
        self,
        policy: Policy,
        spread: Callable[[], float],
        own: Collection[str] = (),
    ) -> None:
        self._policy = policy
        self._spread = spread
        self._own = own
        self._deaths: dict[str, Case] = {}
        self._returns: dict[str, Case] = {}
        self._seen = Sight()
        # The hosts that were waited for, and those that are back just now.
        self._waited: Set[str] = frozenset()
        self._returned: Set[str] = frozenset()

    def update(
        self,
        entries: Mapping[str, inventory.Entry],
        lived_at: Callable[[str], float | None],
        now: float,
    ) -> None:
        """Take over a reading that the backend has just confirmed.

        :param lived_at: returns when a host was last proved alive; see Case
        """
        seen = self._sight(entries)
        self._returned = self._seen.missing & seen.hosts - seen.missing
        self._seen = seen
        self._end_deaths(entries, now)
        for host in seen.dead - self._deaths.keys():
            self._returns.pop(host, None)
            # A driver waits for the rest of a domain itself.
            alone = entries[host].domain is None
            settle = self._policy.settle if alone else 0.0
            due = now + settle + self._spread()
            self._deaths[host] = Case(host, True, lived_at(host), due)

    def _sight(self, entries: Mapping[str, inventory.Entry]) -> Sight:
        missing = frozenset(
            host
            for host, each in entries.items()
            if each.state in (views.HELD, views.DOWN)
        )
        return Sight(
            frozenset(entries),
            missing,
            self._down(entries, accepted(options.SILENT)),
            self._down(entries, self._policy.accepted),
        )

    def _down(
        self, entries: Mapping[str, inventory.Entry], wanted: Collection[str]
    ) -> Set[str]:
        """Return the other hosts that are down with such evidence."""
        return frozenset(
            host
            for host, each in entries.items()
            if each.state == views.DOWN
            and each.evidence in wanted
            and membership.canonical(host) not in self._own
        )

    def _end_deaths(
        self, entries: Mapping[str, inventory.Entry], now: float
    ) -> None:
        for host, case in list(self._deaths.items()):
            entry, settled = entries.get(host), case.settled_at is not None
            lives = entry is not None and entry.state in _ALIVE
            if lives and settled:
                due = now + self._spread()
                self._returns[host] = Case(host, False, None, due)
            # One that masakari knows of is over only when the host is up.
            ended = host not in self._seen.dead and not settled
            gone = entry is None or ended
            if lives or gone:
                del self._deaths[host]

    def due(self, domain_of: DomainOf, now: float) -> list[Case]:
        """Return the events to act on, the one that waits longest first.

        A host that is waited for is among them until masakari was asked.
        """
        waiting = self._waiting(domain_of, now)
        self._delay(self._waited - waiting, domain_of, now)
        self._waited = waiting
        found = [
            each
            for each in (*self._deaths.values(), *self._returns.values())
            if each.settled_at is None
            and each.due <= now
            and not (each.asked and each.host in waiting)
        ]
        return sorted(found, key=lambda each: (each.due, each.host))

    def _delay(self, hosts: Set[str], domain_of: DomainOf, now: float) -> None:
        """Wait longer for hosts: others of a domain are back just now."""
        back = set(map(domain_of, self._returned))
        for host in hosts & self._deaths.keys():
            if domain_of(host) in back:
                case = self._deaths[host]
                case.due = max(case.due, now + 2 * self._policy.settle)

    def may_send(self, case: Case, domain_of: DomainOf, now: float) -> bool:
        """Return whether to notify masakari, which does not know, now."""
        case.asked = True
        return not case.is_death or case.host not in self._waiting(
            domain_of, now
        )

    def settle(self, case: Case, now: float) -> None:
        """Record that masakari knows of an event."""
        if case.is_death:
            known = case.lived_at is None and not case.asked
            case.settled_at = -math.inf if known else now
        else:
            self._returns.pop(case.host, None)

    def _waiting(self, domain_of: DomainOf, now: float) -> Set[str]:
        lost = self.lost(domain_of, now).values()
        return {host for hosts in lost for host in hosts}

    def _strangers(self, domain_of: DomainOf) -> Set[str]:
        """Return the dead hosts that this process has not seen alive.

        They may have been of one domain, which is not known any more.
        """
        return {
            host
            for host, each in self._deaths.items()
            if each.lived_at is None and domain_of(host) is None
        }

    def lost(
        self, domain_of: DomainOf, now: float
    ) -> dict[str | None, list[str]]:
        """Return the domains that are waited for, with the hosts.

        :returns: the silent hosts of which masakari does not know, by domain
        """
        if not self._policy.waits:
            return {}
        settled = {
            host: each.settled_at
            for host, each in self._deaths.items()
            if each.settled_at is not None
        }
        old = {host for host, at in settled.items() if now - at > TOGETHER}
        found = lost_domains(
            self._seen.missing - old, self._seen.hosts - old, domain_of
        )
        strangers = self._strangers(domain_of)
        if len(strangers) >= evidence.MASS_LOSS:
            found.setdefault(None, set()).update(strangers)
        left = {
            domain: sorted(hosts & self._seen.silent - settled.keys())
            for domain, hosts in found.items()
        }
        return {domain: hosts for domain, hosts in left.items() if hosts}


def lost_domains(
    missing: Collection[str], hosts: Collection[str], domain_of: DomainOf
) -> dict[str | None, set[str]]:
    """Return the missing hosts of each domain that is lost.

    :param hosts: all hosts, with the missing ones
    """
    sizes = collections.Counter(map(domain_of, hosts))
    found = collections.defaultdict(set)
    for host in missing:
        found[domain_of(host)].add(host)
    return {
        domain: lost
        for domain, lost in found.items()
        if evidence.is_mass(len(lost), sizes[domain] - len(lost))
    }
