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


"""What is yet to be announced, by whichever monitor leads. Pure.

Every monitor watches, and enters what it has seen into a ledger of its own.
The leader announces what its ledger has pending and publishes what it has
announced. The others strike that out of theirs, so that what is left is just
what one of them has to announce if the leader dies.

Two monitors never see the same at the same moment, and one may see what the
other does not. So entries are compared with what consumers were told: a
member that goes down, or up, is told so once, whoever saw it first.
"""

import collections
from collections.abc import Callable, Collection, Iterable, Mapping
import dataclasses
import itertools
import threading
import time
import uuid

from nova_servicegroup.drivers import base
from nova_servicegroup.monitor import publication
from nova_servicegroup import roll
from nova_servicegroup import watcher

#: A member: its group and its host.
Key = publication.Key

#: So many transitions of one member wait, at most.
PENDING = 20

#: What was announced is published for so many seconds, and so many at most.
RECENT_TIME = 10.0
RECENT = 2000

TAKEN_OVER = 'found so when this monitor began to announce'


@dataclasses.dataclass(frozen=True)
class Entry:
    """A transition to announce.

    :ivar state: base.UP or base.DOWN
    :ivar seen: when, by the ledger's clock
    :ivar is_new: the member was not known before
    :ivar message_id: stays the same however often it is sent
    """

    transition: watcher.Transition
    state: str
    seen: float
    is_new: bool = False
    message_id: str = dataclasses.field(
        default_factory=lambda: str(uuid.uuid4())
    )

    @property
    def key(self) -> Key:
        """The member."""
        return self.transition.group, self.transition.host


class Ledger:
    """The transitions that one monitor has seen and nobody has announced.

    May be used by several threads.

    :param slack: seconds by which one monitor may see later than another
    """

    def __init__(
        self,
        slack: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._slack = slack
        self._clock = clock
        self._wall = wall
        self._lock = threading.RLock()
        self._pending = _Pending()
        self._states: dict[str, dict[str, str]] = {}
        # Who is down as far as consumers were told.
        self._down: set[Key] = set()
        self._recent: collections.deque[tuple[float, Key, str]] = (
            collections.deque()
        )
        self._count = 0
        self._term = 0
        self._beats = itertools.count(1)
        self._heard: publication.Publication | None = None
        self._heard_at = 0.0

    def begin(self, group: str, states: Mapping[str, str]) -> None:
        """Take the states of hosts, of roll.STATES, that need no telling."""
        with self._lock:
            known = {
                host: _verdict(state) or base.UP
                for host, state in states.items()
            }
            self._states[group] = known
            self._down |= {
                (group, host)
                for host, state in known.items()
                if state == base.DOWN
            }

    def note(self, changes: Iterable[watcher.Transition]) -> None:
        """Enter what was just seen."""
        with self._lock:
            for each in changes:
                self._note(each)

    def _note(self, change: watcher.Transition) -> None:
        states = self._states.setdefault(change.group, {})
        before, state = states.get(change.host), _verdict(change.state)
        if state is None:
            states.setdefault(change.host, base.UP)
            return
        states[change.host] = state
        if before is None and state == base.DOWN:
            # It was not seen to go down, only heard of.
            self._down.add((change.group, change.host))
        elif before != state:
            self._add(Entry(change, state, self._clock(), before is None))

    def _add(self, entry: Entry) -> None:
        last = self._pending.last(entry.key)
        before = self._told(entry.key) if last is None else last.state
        if before != entry.state or (entry.is_new and last is None):
            self._pending.add(entry)

    def keep(self, group: str, hosts: Collection[str]) -> None:
        """Forget all hosts of a group but these."""
        with self._lock:
            states = self._states.get(group, {})
            for host in states.keys() - set(hosts):
                del states[host]
                self._down.discard((group, host))

    def due(self) -> Entry | None:
        """Return what the leader has to announce next."""
        with self._lock:
            return self._pending.first()

    def told(self, entry: Entry) -> None:
        """Take note that an entry was announced."""
        with self._lock:
            self._pending.drop(entry)
            if entry.state == base.DOWN:
                self._down.add(entry.key)
            else:
                self._down.discard(entry.key)
            self._recent.append((self._clock(), entry.key, entry.state))
            self._count += 1

    def told_since(self, moment: float) -> bool:
        """Tell whether anything was announced after a moment."""
        with self._lock:
            return bool(self._recent) and self._recent[-1][0] >= moment

    def lead(self) -> None:
        """Be the one that announces.

        Where this monitor sees a member otherwise than consumers were told,
        and has not seen how that came, it is a transition of now.
        """
        with self._lock:
            heard = 0 if self._heard is None else self._heard.term
            self._term = max(self._term, heard) + 1
            self._heard = None
            self._recent.clear()
            for group, states in self._states.items():
                for host, state in states.items():
                    self._reconcile((group, host), state)

    def _reconcile(self, key: Key, state: str) -> None:
        if state == self._told(key) or self._pending.last(key) is not None:
            return
        change = watcher.Transition(
            self._wall(), *key, None, state, TAKEN_OVER
        )
        self._pending.add(Entry(change, state, self._clock()))

    def to_publish(self) -> publication.Publication:
        """Return what the others need to know of a leader."""
        with self._lock:
            now, first = self._clock(), self._pending.first()
            while self._recent and (
                self._recent[0][0] < now - RECENT_TIME
                or len(self._recent) > RECENT
            ):
                self._recent.popleft()
            return publication.Publication(
                self._term,
                next(self._beats),
                self._count,
                0.0 if first is None else now - first.seen,
                tuple((key, state) for _, key, state in self._recent),
                frozenset(self._down),
            )

    def hear(self, said: publication.Publication, asked: float) -> None:
        """Strike out what the leader has announced.

        :param asked: when the leader was asked, by the ledger's clock
        """
        with self._lock:
            before = self._heard
            same = before is not None and before.term == said.term
            if same and before is not None and before.beat == said.beat:
                return
            for key, state in said.recent_since(before if same else None):
                self._pending.drop_through(key, state)
            self._down = set(said.down)
            self._pending.each(self._drop_told)
            if same:
                # Said after it was asked last: whatever it saw before its
                # lag, it has announced.
                settled = self._heard_at - said.lag - self._slack
                self._pending.each(lambda key: self._settle(key, settled))
            self._heard, self._heard_at = said, asked

    def _drop_told(self, key: Key) -> None:
        """Drop what consumers know already."""
        first = self._pending.of(key)[0]
        if first.state == self._told(key) and not first.is_new:
            self._pending.drop(first)

    def _settle(self, key: Key, before: float) -> None:
        """Drop what the leader did not see, unless it makes a difference."""
        entries = self._pending.of(key)
        last = len(entries) - 1
        while last >= 0 and (
            entries[last].seen >= before
            or entries[last].state != self._told(key)
        ):
            last -= 1
        for each in entries[: last + 1]:
            self._pending.drop(each)

    def _told(self, key: Key) -> str:
        return base.DOWN if key in self._down else base.UP


class _Pending:
    """Entries in order, of all members and of each."""

    def __init__(self) -> None:
        # Unlike a dict's, its first one is found at once.
        self._all: collections.OrderedDict[str, Entry] = (
            collections.OrderedDict()
        )
        self._by_key: dict[Key, list[Entry]] = {}

    def first(self) -> Entry | None:
        return next(iter(self._all.values()), None)

    def last(self, key: Key) -> Entry | None:
        entries = self._by_key.get(key)
        return entries[-1] if entries else None

    def of(self, key: Key) -> list[Entry]:
        """Return a copy."""
        return list(self._by_key.get(key, ()))

    def each(self, call: Callable[[Key], None]) -> None:
        """Call for each member that has entries."""
        for key in list(self._by_key):
            call(key)

    def add(self, entry: Entry) -> None:
        entries = self._by_key.setdefault(entry.key, [])
        entries.append(entry)
        self._all[entry.message_id] = entry
        if len(entries) > PENDING:
            # Down and up again, long ago: the rest tells how it is now.
            for each in entries[:2]:
                self.drop(each)

    def drop(self, entry: Entry) -> None:
        if self._all.pop(entry.message_id, None) is None:
            return
        entries = self._by_key[entry.key]
        entries.remove(entry)
        if not entries:
            del self._by_key[entry.key]

    def drop_through(self, key: Key, state: str) -> None:
        """Drop a member's entries up to the first of a state."""
        entries = self.of(key)
        states = [each.state for each in entries]
        if state in states:
            for each in entries[: states.index(state) + 1]:
                self.drop(each)


def _verdict(state: str) -> str | None:
    """Return what a state of the roll means to consumers.

    None: nothing. Who is held is as it was.
    """
    if state in (base.DOWN, roll.FORCED_DOWN):
        return base.DOWN
    return base.UP if state == base.UP else None
