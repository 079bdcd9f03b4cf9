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

"""The transitions that are not sent yet, by whichever monitor leads. Pure.

Every monitor watches the groups and puts the transitions that it sees into an
outbox of its own. The leader sends them and publishes how many it has sent of
each member; the others remove as many. So a monitor that takes over has those
that were not sent, and those that were sent but not published, which it
repeats. A notification's id is made of the leader's term, the member, what it
tells and the number of the transition: a repeated one has the same id, by
which consumers drop it.

A member's next transition is sent only after the last one was published. So
two different transitions never get the same id.
"""

from collections.abc import Collection, Iterable, Mapping
import threading
import time
import types
import uuid

from oslo_utils import timeutils

from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup.monitor import entries
from nova_servicegroup.monitor import publication
from nova_servicegroup.watch import watcher

#: The most transitions of one member that wait.
WAITING = 20

TAKEN_OVER = 'found so when this monitor began to announce'


class Outbox:
    """The transitions that one monitor has seen and no monitor has sent.

    Safe for use by several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # What to tell of each member; HELD if there was no verdict yet.
        self._states: dict[publication.Key, str] = {}
        self._conditions: dict[publication.Key, condition.Condition] = {}
        self._waiting: dict[publication.Key, list[entries.Entry]] = {}
        # See Publication. The last one is what was last published.
        self._term = str(uuid.uuid4())
        self._counts: dict[publication.Key, int] = {}
        self._published: dict[publication.Key, int] = {}
        # Whether a leader's publication was received.
        self._has_received = False

    def begin(
        self,
        group: str,
        states: Mapping[str, str],
        conditions: Mapping[str, condition.Condition] = types.MappingProxyType(
            {}
        ),
        evidence: Mapping[str, str] = types.MappingProxyType({}),
    ) -> None:
        """Record the first states of hosts, of inventory.STATES.

        They are no transitions, unless a leader has published other states.

        :param conditions: of the hosts that are degraded or draining
        :param evidence: of the hosts that are down
        """
        with self._lock:
            for host, each in conditions.items():
                self._conditions[group, host] = each
            for host, seen in states.items():
                key = group, host
                state = publication.verdict(seen) or views.HELD
                news = publication.news(state, evidence.get(host))
                self._states[key] = news
                if self._has_received:
                    self._add_difference(key, news)
                elif state != views.HELD:
                    self._count(key, news)

    def add(self, changes: Iterable[watcher.Transition]) -> None:
        """Add the transitions that were just seen."""
        with self._lock:
            for each in changes:
                self._add(each)

    def _add(self, change: watcher.Transition) -> None:
        key = change.group, change.host
        state = publication.verdict(change.state)
        if change.is_of_domain:
            # Nobody was told of a domain that was not lost before.
            self._states.setdefault(key, views.UP)
        before = self._states.get(key)
        news = state and publication.news(state, change.evidence)
        self._states[key] = news or before or views.UP
        if change.condition is None:
            self._conditions.pop(key, None)
        else:
            self._conditions[key] = change.condition
        presumed = before == views.HELD and not self._has_received
        if (before is None and state is not None) or (
            presumed and change.state == views.DOWN
        ):
            # It was never seen up, so for consumers it has not gone down.
            self._count(key, publication.news(views.DOWN, change.evidence))
        if state is not None:
            self._add_entry(change, state)

    def _add_entry(self, change: watcher.Transition, state: str) -> None:
        entry = entries.Entry(change, state, time.monotonic())
        last = self._last(entry.key)
        # That a member is down of which more is known is no news.
        if last == entry.news or last.startswith(f'{entry.news}: '):
            return
        entry.only_evidence = publication.parts(last)[0] == state
        # The leader has seen already that it is not down any more.
        if change.keeps_state and not entry.only_evidence:
            return
        waiting = self._waiting.setdefault(entry.key, [])
        waiting.append(entry)
        if len(waiting) > WAITING:
            # Drop old intermediate states: the others lead to the last one.
            del waiting[1]
            if waiting[0].news == waiting[1].news:
                del waiting[1]

    def _last(self, key: publication.Key) -> str:
        """Return what consumers will know once all is sent."""
        if key in self._waiting:
            return self._waiting[key][-1].news
        return publication.news_of(self._counts.get(key, 0))

    def _count(self, key: publication.Key, news: str) -> None:
        """Count a transition that consumers know, or need not know."""
        count = self._counts.get(key, 0)
        if publication.news_of(count) != news:
            count = publication.after(count, news)
        self._counts[key] = count

    def _add_difference(self, key: publication.Key, news: str) -> None:
        """Add an entry if consumers know something else of a member."""
        if news != views.HELD:
            now = timeutils.utcnow_ts(microsecond=True)
            state, evidence = publication.parts(news)
            reported = self._conditions.get(key)
            change = watcher.Transition(
                now, *key, None, state, TAKEN_OVER, None, reported, evidence
            )
            self._add_entry(change, state)

    def forget(self, group: str, hosts: Collection[str]) -> None:
        """Forget all hosts of a group except these."""
        with self._lock:
            for key in list(self._states):
                if key[0] == group and key[1] not in hosts:
                    del self._states[key]
                    self._conditions.pop(key, None)
                    # Keep counting: an id must not be used twice.
                    self._count(key, views.UP)

    def due(self) -> list[entries.Entry]:
        """Return the entries to send before the next publication, in order."""
        with self._lock:
            first = [
                waiting[0]
                for key, waiting in self._waiting.items()
                if self._counts.get(key) == self._published.get(key)
            ]
            for each in first:
                self._assign_id(each)
            return sorted(first, key=lambda entry: entry.seen)

    def _assign_id(self, entry: entries.Entry) -> None:
        """Give the first entry of a member its id, unless it has one."""
        count = publication.after(self._counts.get(entry.key, 0), entry.news)
        number = publication.serial_of(count)
        entry.message_id = entry.message_id or str(
            uuid.uuid5(
                uuid.UUID(self._term), repr((*entry.key, entry.news, number))
            )
        )

    def sent(self, entry: entries.Entry) -> None:
        """Remove an entry that was sent."""
        with self._lock:
            waiting = self._waiting.get(entry.key, ())
            self._set_waiting(
                entry.key, [it for it in waiting if it is not entry]
            )
            self._count(entry.key, entry.news)

    def is_empty(self) -> bool:
        """Return whether there is nothing to send."""
        return not self._waiting

    def to_publish(self) -> publication.Publication:
        """Return what this monitor publishes when it leads."""
        with self._lock:
            now = time.monotonic()
            seen = (waiting[0].seen for waiting in self._waiting.values())
            return publication.Publication(
                self._term, now - min(seen, default=now), dict(self._counts)
            )

    def published(self, sent: publication.Publication) -> None:
        """Record that this monitor has published something."""
        with self._lock:
            self._published = sent.counts

    def receive(
        self, received: publication.Publication, before: float
    ) -> None:
        """Remove the entries that the leader has sent.

        :param before: remove older entries, too, by the monotonic clock: the
            leader has sent them, or has seen no such transition
        """
        with self._lock:
            # The leader may not have seen a new member yet.
            own = self._counts if received.term == self._term else {}
            if not own:
                self._begin_term(received.term)
            for key, waiting in list(self._waiting.items()):
                known, now = (
                    each.get(key, 0)
                    for each in (self._counts, received.counts)
                )
                left = entries.unsent(waiting, known, now)
                self._set_waiting(
                    key, [it for it in left if it.seen >= before]
                )
            self._counts = {**own, **received.counts}
            self._has_received = True

    def _set_waiting(
        self, key: publication.Key, waiting: list[entries.Entry]
    ) -> None:
        if waiting:
            self._waiting[key] = waiting
        else:
            self._waiting.pop(key, None)

    def lead(self) -> None:
        """Begin to lead.

        A member whose state differs from the one that consumers know, without
        a transition that was seen, gets an entry with the present time.
        """
        with self._lock:
            for waiting in self._waiting.values():
                # The last leader may have sent it: keep that id.
                self._assign_id(waiting[0])
            self._begin_term(str(uuid.uuid4()))
            for key, news in self._states.items():
                self._add_difference(key, news)

    def _begin_term(self, term: str) -> None:
        """Restart the counts: of states other than UP, one transition."""
        self._term = term
        self._counts = {
            key: publication.after(0, publication.news_of(count))
            for key, count in self._counts.items()
            if publication.news_of(count) != views.UP
        }
