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


"""Tells what becomes of the services of a group, as it happens."""

import dataclasses
import time

from nova_servicegroup import api
from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup.watch import inventory

_MISSING = 'missing from a group that was just confirmed'
_UNSEEN = 'not seen, but its absence is no evidence'
_REASONS = {
    (views.UP, views.DOWN): _MISSING,
    (views.DEGRADED, views.DOWN): _MISSING,
    (views.DRAINING, views.DOWN): _MISSING,
    (views.HELD, views.DOWN): 'not seen for the hold time',
    (views.UP, views.HELD): _UNSEEN,
    (views.DEGRADED, views.HELD): _UNSEEN,
    (views.DRAINING, views.HELD): _UNSEEN,
    (views.DOWN, views.HELD): _UNSEEN,
    (views.HELD, views.UP): 'seen again',
    (views.DEGRADED, views.UP): 'of use again',
    (views.DRAINING, views.UP): 'of use again',
    (views.DOWN, views.UP): 'joined',
    (None, views.UP): 'joined',
}
#: The states that a condition explains.
_UNFIT = (views.DEGRADED, views.DRAINING)


@dataclasses.dataclass(frozen=True)
class Transition:
    """A service that has changed its state.

    :ivar at: when that was seen, in seconds since the epoch
    :ivar before: the state before, one of inventory.STATES; None: it is new
    :ivar state: the state now
    :ivar proof_age: seconds since its last proof of life; None: unknown
    :ivar condition: why it is of no use; None: it is in another state
    """

    at: float
    group: str
    host: str
    before: str | None
    state: str
    reason: str
    proof_age: float | None = None
    condition: 'condition.Condition | None' = None


class Watcher:
    """Watches one group.

    The first look that the backend answers shows who is there; that somebody
    is up then is no transition. A host that the backend has no more is down
    for as long as Nova knows it, or, where the services table cannot be read,
    for ever.

    :ivar last: what the last look saw; None: there was none
    """

    def __init__(self, servicegroup: api.API, group: str) -> None:
        self.group = group
        self.last: inventory.Inventory | None = None
        self._call = inventory.Reader(servicegroup, group)
        self._known: dict[str, inventory.Entry] = {}
        self._proofs: dict[str, float] = {}

    def look(self) -> list[Transition]:
        """Look at the group once; return what has changed. Never raises."""
        seen, now, known = self._call.call(), self._now(), self._is_known()
        entries = {**self._missing(seen), **seen.entries}
        self.last = dataclasses.replace(
            seen, entries=dict(sorted(entries.items()))
        )
        changed = [
            self._change(each, now)
            for each in self.last.entries.values()
            if self._is_new(each)
        ]
        self._known = self.last.entries
        self._note_proofs(seen, now)
        return [each for each in changed if known or _is_news(each)]

    def _now(self) -> float:
        """Return the time of transitions."""
        return time.time()

    def _is_known(self) -> bool:
        """Tell whether the backend has said who is there."""
        return self.last is not None and self.last.view.age is not None

    def _missing(
        self, seen: inventory.Inventory
    ) -> dict[str, inventory.Entry]:
        """Return those that were known and are on no list any more."""
        if seen.unregistered is None:
            # Nova has forgotten the others; the members it never knew stay.
            known = {
                host: each
                for host, each in self._known.items()
                if each.record is None
            }
        else:
            known = self._known
        return {
            host: dataclasses.replace(each, state=views.DOWN, member=None)
            for host, each in known.items()
            if host not in seen.entries
        }

    def _is_new(self, entry: inventory.Entry) -> bool:
        before = self._known.get(entry.host)
        return before is None or before.state != entry.state

    def _change(self, entry: inventory.Entry, now: float) -> Transition:
        before = self._known.get(entry.host)
        was = None if before is None else before.state
        proof = self._proofs.get(entry.host)
        return Transition(
            now,
            self.group,
            entry.host,
            was,
            entry.state,
            self._ignored(entry) or _reason(was, entry),
            None if proof is None else max(0.0, now - proof),
            entry.condition if entry.state in _UNFIT else None,
        )

    def _ignored(self, entry: inventory.Entry) -> str | None:
        """Return that its check is not believed any more; None: it is."""
        before, last = self._known.get(entry.host), self.last
        said = None if before is None else before.condition
        if entry.state != views.UP or said is None or last is None:
            return None
        if said.reason not in last.view.ignored:
            return None
        return f'so many fail its check that it is ignored: {said.reason}'

    def _note_proofs(self, seen: inventory.Inventory, now: float) -> None:
        """Note the proofs that are seen; keep those of all who are known."""
        for each in seen.view.members:
            if each.proof_age is not None:
                self._proofs[each.host] = now - each.proof_age
        for host in self._proofs.keys() - self._known.keys():
            del self._proofs[host]


def _is_news(change: Transition) -> bool:
    """Tell whether a change is one, though nobody was known before it."""
    return change.before is not None and change.state != views.UP


def _reason(before: str | None, entry: inventory.Entry) -> str:
    if entry.state == inventory.FORCED_DOWN:
        return 'forced down by an operator'
    if before == inventory.FORCED_DOWN:
        return 'not forced down any more'
    if entry.member is not None and entry.member.reason is not None:
        return entry.member.reason
    return _REASONS.get((before, entry.state), 'registered, but not seen')
