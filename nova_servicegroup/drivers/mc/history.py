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

"""Decides whether a member's absence from a memcached server is evidence.

Pure: no I/O, no clock of its own. Times are seconds of one monotonic clock.
"""

import collections
from collections.abc import Set
import math
from typing import NamedTuple

from nova_servicegroup.drivers.mc import storage

_NO_MEMBERS: frozenset[str] = frozenset()

_EMPTIED = 'a server was emptied'
_EVICTS = 'a server evicts items for lack of memory: give it more (-m)'
_LOSSY = 'a server was away or has lost members a moment ago'
_MUTE = 'a server does not answer'
_YOUNG = 'a server was emptied a moment ago'


class ServerReading(NamedTuple):
    """What a reading of one server says about the members that it had.

    :ivar gone: members that have expired or left
    :ivar lost: members that the server may have lost, or may still have
    :ivar complete: whether a member that was never seen would be there
    :ivar doubt: why absence is no evidence, or None if it is
    """

    gone: Set[str] = _NO_MEMBERS
    lost: Set[str] = _NO_MEMBERS
    complete: bool = True
    doubt: str | None = None


class Timing(NamedTuple):
    """Durations, in seconds.

    :ivar ttl: after it, a member that is not renewed expires
    :ivar settle: within it, every live member is renewed
    """

    ttl: float
    settle: float


class History:
    """The members that one server had of a group, and its losses."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._last = storage.ServerState({}, None)
        self._evictions = 0
        self._answered: float | None = None
        self._mute_since: float | None = None
        # Until the first, members that it had may be about to expire; until
        # the second, members that were never seen may be missing.
        self._lossy_until = self._incomplete_until = -math.inf
        self._markers: collections.deque[bytes] = collections.deque(maxlen=16)

    def update(self, answer: storage.ServerState, now: float) -> ServerReading:
        """Evaluate an answer about all members.

        :param answer: its values are kept
        """
        doubt = self._doubt(answer, now)
        missed = self._last.values.keys() - answer.values.keys()
        first = self._answered is None
        complete = doubt is None and now > self._incomplete_until
        # Evictions are counted after the members are read, so the evictions
        # of the last answer may have hit members that it still had.
        self._evictions = (answer if first else self._last).evictions
        self._last, self._answered, self._mute_since = answer, now, None
        if doubt is None or doubt == _YOUNG:
            return ServerReading(gone=missed, complete=complete, doubt=doubt)
        return ServerReading(lost=missed, complete=complete, doubt=doubt)

    def update_unanswered(self, now: float) -> ServerReading:
        """Evaluate that the server did not answer."""
        if self._mute_since is None:
            self._mute_since = now
        if self._answered is None or now - self._answered > self._timing.ttl:
            # All that it had has expired there, unless it was renewed.
            self._last = self._last._replace(values={})
        lost = self._last.values.keys()
        return ServerReading(lost=lost, complete=False, doubt=_MUTE)

    def _doubt(self, answer: storage.ServerState, now: float) -> str | None:
        """Return why the server may lack live members; None: it does not."""
        settled = now + self._timing.settle
        emptied, is_back = self._check_marker(answer)
        if is_back or self._was_mute(now):
            self._lossy_until = settled
        if emptied:
            self._incomplete_until = settled
            return _EMPTIED
        if answer.evictions != self._evictions:
            self._incomplete_until = settled
            # Evictions before the first reading may be long ago.
            if self._answered is not None:
                return _EVICTS
        if answer.lossy or now <= self._lossy_until:
            return _LOSSY
        return _YOUNG if answer.young else None

    def _check_marker(self, answer: storage.ServerState) -> tuple[bool, bool]:
        """Return whether the server was emptied, and whether it is back.

        It is back after another server answered at its address, where the
        members renewed themselves.
        """
        if answer.marker is None:
            return True, False
        same = self._answered is None or answer.marker == self._last.marker
        is_back = not same and answer.marker in self._markers
        if answer.marker not in self._markers:
            self._markers.append(answer.marker)
        return not same, is_back

    def _was_mute(self, now: float) -> bool:
        since = self._mute_since
        return since is not None and now - since > self._timing.settle / 4
