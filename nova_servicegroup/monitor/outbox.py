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

"""What is yet to be sent, by whichever monitor leads. Pure.

Every monitor watches, and puts the transitions that it sees into an outbox of
its own. The leader sends them, and publishes how many it has sent of each
member; the others remove as many. So a monitor that takes over has what
was not sent, and what was sent and not published, which is repeated. The id of
a notification is made of the leader's term, the member, its state and the
number of the transition: what is repeated has the same id, by which consumers
drop it.

Of one member nothing is sent while something is not published. So two
different transitions never get the same id.
"""

from collections.abc import Collection, Iterable, Mapping
import dataclasses
import threading
import time
import types
import uuid

from oslo_utils import timeutils

from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup.monitor import publication
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher

#: So many transitions of one member wait, at most.
WAITING = 20

TAKEN_OVER = 'found so when this monitor began to announce'


@dataclasses.dataclass
class Entry:
    """A transition to send.

    :ivar state: views.UP, views.DOWN, views.DEGRADED or views.DRAINING
    :ivar seen: when, by the outbox's clock
    :ivar message_id: of the notification; empty: it is not due yet
    """

    transition: watcher.Transition
    state: str
    seen: float
    message_id: str = ''

    @property
    def key(self) -> publication.Key:
        """The member."""
        return self.transition.group, self.transition.host


class Outbox:
    """The transitions that one monitor has seen and nobody has sent.

    May be used by several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # What was seen last: a verdict; or HELD, and never another state.
        self._states: dict[publication.Key, str] = {}
        self._conditions: dict[publication.Key, condition.Condition] = {}
        self._waiting: dict[publication.Key, list[Entry]] = {}
        # See Publication; and the counts that were published.
        self._term = str(uuid.uuid4())
        self._counts: dict[publication.Key, int] = {}
        self._published: dict[publication.Key, int] = {}
        # Whether any leader has published what consumers know.
        self._has_received = False

    def begin(
        self,
        group: str,
        states: Mapping[str, str],
        said: Mapping[str, condition.Condition] = types.MappingProxyType({}),
    ) -> None:
        """Take the states of hosts, of inventory.STATES, as they are at first.

        They are no transitions, unless a leader has published otherwise.

        :param said: by those that are of no use
        """
        with self._lock:
            self._conditions.update(
                {(group, host): each for host, each in said.items()}
            )
            for host, seen in states.items():
                key, state = (group, host), _verdict(seen) or views.HELD
                self._states[key] = state
                if self._has_received:
                    self._compare(key, state)
                elif state != views.HELD:
                    self._count(key, state)

    def note(self, changes: Iterable[watcher.Transition]) -> None:
        """Put in what was just seen."""
        with self._lock:
            for each in changes:
                self._note(each)

    def _note(self, change: watcher.Transition) -> None:
        key, state = (change.group, change.host), _verdict(change.state)
        before = self._states.get(key)
        self._states[key] = state or before or views.UP
        self._keep_condition(key, change.condition)
        presumed = before == views.HELD and not self._has_received
        if (before is None and state is not None) or (
            presumed and change.state == views.DOWN
        ):
            # It was never seen up, and consumers do not ask about it.
            self._count(key, views.DOWN)
        if state is not None:
            self._add(change, state)

    def _keep_condition(
        self, key: publication.Key, said: condition.Condition | None
    ) -> None:
        if said is None:
            self._conditions.pop(key, None)
        else:
            self._conditions[key] = said

    def _add(self, change: watcher.Transition, state: str) -> None:
        entry = Entry(change, state, time.monotonic())
        if state == self._last(entry.key):
            return
        entries = self._waiting.setdefault(entry.key, [])
        entries.append(entry)
        if len(entries) > WAITING:
            # There and back, long ago: the rest shows how it is now.
            del entries[1]
            if entries[0].state == entries[1].state:
                del entries[1]

    def _last(self, key: publication.Key) -> str:
        """Return the state that consumers know when all was sent."""
        if key in self._waiting:
            return self._waiting[key][-1].state
        return publication.state_of(self._counts.get(key, 0))

    def _count(self, key: publication.Key, state: str) -> None:
        """Count a transition of which consumers know, or need not."""
        count = self._counts.get(key, 0)
        if publication.state_of(count) != state:
            count = publication.after(count, state)
        self._counts[key] = count

    def _compare(self, key: publication.Key, state: str) -> None:
        """Enter how a member is, where consumers do not know it so."""
        if state != views.HELD:
            now = timeutils.utcnow_ts(microsecond=True)
            said = self._conditions.get(key)
            change = watcher.Transition(
                now, *key, None, state, TAKEN_OVER, condition=said
            )
            self._add(change, state)

    def forget(self, group: str, hosts: Collection[str]) -> None:
        """Forget all hosts of a group but these."""
        with self._lock:
            for key in list(self._states):
                if key[0] == group and key[1] not in hosts:
                    del self._states[key]
                    self._keep_condition(key, None)
                    # The number goes on: no id may come twice.
                    self._count(key, views.UP)

    def due(self) -> list[Entry]:
        """Return what the leader may send before it publishes, in order."""
        with self._lock:
            first = [
                entries[0]
                for key, entries in self._waiting.items()
                if self._counts.get(key) == self._published.get(key)
            ]
            for each in first:
                self._name(each)
            return sorted(first, key=lambda entry: entry.seen)

    def _name(self, entry: Entry) -> None:
        """Give the first entry of a member its id."""
        number = publication.number_of(self._counts.get(entry.key, 0)) + 1
        entry.message_id = entry.message_id or str(
            uuid.uuid5(
                uuid.UUID(self._term), repr((*entry.key, entry.state, number))
            )
        )

    def sent(self, entry: Entry) -> None:
        """Take note that an entry was sent."""
        with self._lock:
            waiting = self._waiting.get(entry.key, ())
            self._keep(entry.key, [it for it in waiting if it is not entry])
            self._count(entry.key, entry.state)

    def is_empty(self) -> bool:
        """Tell whether there is nothing to send."""
        return not self._waiting

    def to_publish(self) -> publication.Publication:
        """Return what a leader has to publish."""
        with self._lock:
            now = time.monotonic()
            seen = (entries[0].seen for entries in self._waiting.values())
            return publication.Publication(
                self._term, now - min(seen, default=now), dict(self._counts)
            )

    def published(self, said: publication.Publication) -> None:
        """Take note that something was published."""
        with self._lock:
            self._published = said.counts

    def receive(self, said: publication.Publication, before: float) -> None:
        """Remove what the leader has sent.

        :param before: by the outbox's clock; what is older, the leader has
            seen and sent, or has not seen
        """
        with self._lock:
            # The leader may not have seen yet who is new.
            own = self._counts if said.term == self._term else {}
            if not own:
                self._begin_term(said.term)
            for key, entries in list(self._waiting.items()):
                known, now = (
                    publication.number_of(counts.get(key, 0))
                    for counts in (self._counts, said.counts)
                )
                left = entries[max(0, now - known) :]
                self._keep(key, [it for it in left if it.seen >= before])
            self._counts, self._has_received = {**own, **said.counts}, True

    def _keep(self, key: publication.Key, entries: list[Entry]) -> None:
        if entries:
            self._waiting[key] = entries
        else:
            self._waiting.pop(key, None)

    def lead(self) -> None:
        """Be the one that sends.

        Where this monitor sees a member otherwise than consumers know it, and
        has not seen how that came, it is a transition of now.
        """
        with self._lock:
            for entries in self._waiting.values():
                # The last leader may have sent it.
                self._name(entries[0])
            self._begin_term(str(uuid.uuid4()))
            for key, state in self._states.items():
                self._compare(key, state)

    def _begin_term(self, term: str) -> None:
        self._term = term
        states = {
            key: publication.state_of(count)
            for key, count in self._counts.items()
        }
        self._counts = {
            key: publication.after(0, state)
            for key, state in states.items()
            if state != views.UP
        }


def _verdict(state: str) -> str | None:
    """Return what a state of the inventory means to consumers.

    None: nothing. Who is held is as it was.
    """
    if state in (views.DOWN, inventory.FORCED_DOWN):
        return views.DOWN
    return None if state == views.HELD else state
