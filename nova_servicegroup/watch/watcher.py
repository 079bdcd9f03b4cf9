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

"""The transitions of the services of a group, as they happen."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import time

from nova_servicegroup import api
from nova_servicegroup import condition
from nova_servicegroup import domains
from nova_servicegroup.drivers import views
from nova_servicegroup.watch import deaths
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import losses

#: Follows the name of a group in that of its domains. No topic has it.
_OF_DOMAINS = ' domains'
_RETURNED = 'at least half of its hosts are up'
#: The states that a condition explains.
_UNFIT = (views.DEGRADED, views.DRAINING)

_UNSEEN = 'not seen, but its absence is no evidence'
#: Reasons by the state before and the state now. A service that was degraded
#: or draining was up.
_REASONS = {
    (views.UP, views.DOWN): 'missing from a group that was just confirmed',
    (views.HELD, views.DOWN): 'not seen for the hold time',
    (views.UP, views.HELD): _UNSEEN,
    (views.DOWN, views.HELD): _UNSEEN,
    (views.UP, views.UP): 'fit again',
    (views.HELD, views.UP): 'seen again',
    (views.DOWN, views.UP): 'joined',
    (None, views.UP): 'joined',
}


@dataclasses.dataclass(frozen=True)
class Transition:
    """A change of the state of a service, or of why it is down.

    Or that a failure domain is lost, see losses.Losses: that is down, as host
    in a group of domains.

    :ivar at: when it was seen, in seconds since the epoch
    :ivar before: the state before, one of inventory.STATES, or None if the
        service is new
    :ivar state: the state now
    :ivar proof_age: seconds since its last proof of life, or None if unknown
    :ivar condition: why it is degraded or draining now, or None
    :ivar evidence: why it is down now, one of deaths.EVIDENCE, or None
    :ivar domain: its failure domain, or None
    :ivar hosts: those of a lost domain that are not up
    """

    at: float
    group: str
    host: str
    before: str | None
    state: str
    reason: str
    proof_age: float | None = None
    condition: 'condition.Condition | None' = None
    evidence: str | None = None
    domain: str | None = None
    hosts: tuple[str, ...] = ()

    @property
    def is_of_domain(self) -> bool:
        """Whether a domain was lost, or is lost no more."""
        return self.group.endswith(_OF_DOMAINS)

    @property
    def watched_group(self) -> str:
        """The group that is watched, also for a domain of it."""
        return self.group.removesuffix(_OF_DOMAINS)

    @property
    def keeps_state(self) -> bool:
        """Whether only the evidence has changed: it was down before."""
        return self.before == self.state


class Watcher:
    """Watcher of the services of one group.

    What the first successful read finds up is not reported as a transition.
    A host that has left the backend stays down for as long as Nova has its
    record or, where the services table cannot be read, for ever. Evidence that
    comes while it is down is reported; that it is unknown for a while is not.

    :ivar last: the inventory of the last poll, or None before the first
    """

    def __init__(self, servicegroup: api.API, group: str) -> None:
        self.group = group
        self.last: inventory.Inventory | None = None
        self._reader = inventory.Reader(servicegroup, group)
        self._losses = losses.Losses()
        self._known: dict[str, inventory.Entry] = {}

    def poll(self) -> list[Transition]:
        """Read the group once and return its transitions. Never raises."""
        seen, now = self._reader.read(), self._now()
        confirmed = self.last is not None and self.last.view.age is not None
        entries = {**self._gone(seen), **seen.entries}
        self.last = dataclasses.replace(
            seen, entries=dict(sorted(entries.items()))
        )
        changes = [
            self._transition(each, now)
            for each in self.last.entries.values()
            if self._has_changed(each)
        ]
        self._known = {
            host: self._remembered(each)
            for host, each in self.last.entries.items()
        }
        changes = [each for each in changes if confirmed or _is_news(each)]
        return [*self._domain_changes(now), *changes]

    @property
    def lost(self) -> Mapping[str, Sequence[str]]:
        """The hosts of lost domains that are not up, by domain."""
        return self._losses.lost

    def _domain_changes(self, now: float) -> Iterator[Transition]:
        """Yield the domains that were lost, or are lost no more."""
        before = self._losses.lost
        self._losses.update(self._known.values())
        lost = self._losses.lost
        for domain in sorted(before.keys() ^ lost.keys()):
            yield _of_domain(now, self.group, domain, lost.get(domain, ()))

    def proof_age(self, host: str) -> float | None:
        """Return the seconds since a service was proved alive; None: never."""
        return self._reader.proof_age(host)

    def _now(self) -> float:
        """Return the time of transitions."""
        return time.time()

    def _gone(self, seen: inventory.Inventory) -> dict[str, inventory.Entry]:
        """Return the known services that are not seen any more, as down.

        Services whose records are gone from a readable services table are
        left out, since Nova has forgotten them.
        """
        return {
            host: self._reader.explain(
                dataclasses.replace(each, state=views.DOWN, member=None)
            )
            for host, each in self._known.items()
            if host not in seen.entries
            and (each.record is None or seen.unregistered is not None)
        }

    def _state_before(self, entry: inventory.Entry) -> str | None:
        before = self._known.get(entry.host)
        return None if before is None else before.state

    def _has_changed(self, entry: inventory.Entry) -> bool:
        before = self._known.get(entry.host)
        if before is None or before.state != entry.state:
            return True
        known = (before.evidence, deaths.UNKNOWN)
        return entry.state == views.DOWN and entry.evidence not in known

    def _remembered(self, entry: inventory.Entry) -> inventory.Entry:
        """Return an entry with the evidence that was reported last."""
        before = self._known.get(entry.host)
        if (
            before is None
            or (before.state, entry.state) != (views.DOWN, views.DOWN)
            or entry.evidence != deaths.UNKNOWN
        ):
            return entry
        return dataclasses.replace(entry, evidence=before.evidence)

    def _transition(self, entry: inventory.Entry, now: float) -> Transition:
        before = self._state_before(entry)
        return Transition(
            now,
            self.group,
            entry.host,
            before,
            entry.state,
            self._why(before, entry),
            self.proof_age(entry.host),
            entry.condition if entry.state in _UNFIT else None,
            entry.evidence,
            entry.domain,
        )

    def _why(self, before: str | None, entry: inventory.Entry) -> str:
        if before == entry.state:
            return f'evidence: {entry.evidence}'
        return self._ignored(entry) or _reason(before, entry)

    def _ignored(self, entry: inventory.Entry) -> str | None:
        """Return the reason if the entry is up as its check is now ignored."""
        before, last = self._known.get(entry.host), self.last
        failed = None if before is None else before.condition
        if entry.state != views.UP or failed is None or last is None:
            return None
        if failed.reason not in last.view.ignored:
            return None
        return f'so many fail its check that it is ignored: {failed.reason}'


def _of_domain(
    now: float, group: str, domain: str, hosts: Sequence[str]
) -> Transition:
    """Return that a domain was lost; or, without hosts, is lost no more."""
    states = views.UP, views.DOWN
    before, state = states if hosts else reversed(states)
    reason = domains.reason(domain) if hosts else _RETURNED
    return Transition(
        now,
        f'{group}{_OF_DOMAINS}',
        domain,
        before,
        state,
        reason,
        domain=domain,
        hosts=tuple(hosts),
    )


def _is_news(change: Transition) -> bool:
    """Return whether to report a transition before the first confirmation."""
    return change.before is not None and change.state != views.UP


def _reason(before: str | None, entry: inventory.Entry) -> str:
    if entry.state == inventory.FORCED_DOWN:
        return 'forced down by an operator'
    if before == inventory.FORCED_DOWN:
        return 'not forced down any more'
    if entry.member is not None and entry.member.reason is not None:
        return entry.member.reason
    before = views.UP if before in _UNFIT else before
    return _REASONS.get((before, entry.state), 'registered, but not seen')
