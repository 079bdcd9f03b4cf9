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

"""What the silence of a memcached server on a member is worth.

Pure: no I/O, no clock of its own. Times are seconds of one monotonic clock.
"""

import collections
from collections.abc import Set
import math
from typing import NamedTuple

from nova_servicegroup.drivers.mc import storage

_NOBODY: frozenset[str] = frozenset()

_EMPTIED = 'a server was emptied'
_EVICTS = 'a server evicts items for lack of memory: give it more (-m)'
_LOSSY = 'a server was away or has lost members a moment ago'
_MUTE = 'a server does not answer'
_YOUNG = 'a server was emptied a moment ago'


class Word(NamedTuple):
    """What one server says of the members that it had before.

    :ivar gone: those that it had, kept its memory, and has no more
    :ivar lost: those that it may have lost, or be keeping to itself
    :ivar complete: whether one that was never seen would be there
    :ivar doubt: why its silence is no evidence; None: it is
    """

    gone: Set[str] = _NOBODY
    lost: Set[str] = _NOBODY
    complete: bool = True
    doubt: str | None = None


class Times(NamedTuple):
    """In seconds.

    :ivar ttl: for so long a server keeps a member that is not renewed
    :ivar settle: within so many every live member is renewed
    """

    ttl: float
    settle: float


class Memory:
    """What one server has had of a group, and whether it forgets."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._last = storage.Answer({}, None)
        self._evictions = 0
        self._answered: float | None = None
        self._mute_since: float | None = None
        # What it had may be about to expire, and the unknown may be missing.
        self._lossy_until = self._strange_until = -math.inf
        self._markers: collections.deque[bytes] = collections.deque(maxlen=16)

    def take(self, answer: storage.Answer, now: float) -> Word:
        """Take an answer about all members.

        :param answer: its tokens are kept
        """
        doubt = self._doubt(answer, now)
        missed = self._last.tokens.keys() - answer.tokens.keys()
        first = self._answered is None
        complete = doubt is None and now > self._strange_until
        # They are counted after the members are read, so what was counted last
        # may have been lost since.
        self._evictions = (answer if first else self._last).evictions
        self._last, self._answered, self._mute_since = answer, now, None
        if doubt is None or doubt == _YOUNG:
            return Word(gone=missed, complete=complete, doubt=doubt)
        return Word(lost=missed, complete=complete, doubt=doubt)

    def miss(self, now: float) -> Word:
        """Take note that it did not answer."""
        if self._mute_since is None:
            self._mute_since = now
        if self._answered is None or now - self._answered > self._times.ttl:
            # Whatever it had has expired there, unless it was renewed.
            self._last = self._last._replace(tokens={})
        return Word(lost=self._last.tokens.keys(), complete=False, doubt=_MUTE)

    def _doubt(self, answer: storage.Answer, now: float) -> str | None:
        """Tell why it may miss live members; None: it does not."""
        settled = now + self._times.settle
        emptied, replaced = self._is_emptied(answer)
        if replaced or self._was_mute(now):
            self._lossy_until = settled
        if emptied:
            self._strange_until = settled
            return _EMPTIED
        if answer.evictions != self._evictions:
            self._strange_until = settled
            # What was evicted before the first look may be long ago.
            if self._answered is not None:
                return _EVICTS
        if answer.lossy or now <= self._lossy_until:
            return _LOSSY
        return _YOUNG if answer.young else None

    def _is_emptied(self, answer: storage.Answer) -> tuple[bool, bool]:
        """Tell whether it was emptied, and whether another was in its place.

        That one has answered for it meanwhile, and members renewed there.
        """
        if answer.marker is None:
            return True, False
        same = self._answered is None or answer.marker == self._last.marker
        replaced = not same and answer.marker in self._markers
        if answer.marker not in self._markers:
            self._markers.append(answer.marker)
        return not same, replaced

    def _was_mute(self, now: float) -> bool:
        since = self._mute_since
        return since is not None and now - since > self._times.settle / 4
