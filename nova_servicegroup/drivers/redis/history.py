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

"""Decides whether a member that a redis server does not return is gone.

No I/O and no clock. Times are in seconds.
"""

from collections.abc import Set
import math
from typing import NamedTuple

from nova_servicegroup import evidence

_STEPPED = "the server's clock has jumped a moment ago"
_EVICTS = 'the server evicts keys for lack of memory: see maxmemory-policy'
_OTHER = 'the server was started, or another one promoted, a moment ago'
_YOUNG = 'the server was emptied a moment ago'


class Answer(NamedTuple):
    """The answer of a server about a group.

    :ivar ids: the members that are alive, or None if the group does not exist
    :ivar young: a token if the group was recreated lately, so that some
        members may not have rejoined yet; another one each time, else empty
    :ivar run: changes when the server restarts or is replaced
    :ivar uptime: of the server
    :ivar evictions: number of keys that the server dropped before they expired
    :ivar ahead: the server's clock minus the monotonic clock of this process
    :ivar at: when the server answered, by the monotonic clock
    """

    ids: Set[bytes] | None
    young: bytes
    run: str
    uptime: float
    evictions: int
    ahead: float
    at: float


class History:
    """What the server has answered about a group before.

    Each sign of a restart or a failover lasts only for a while, or is visible
    only to a reader that has seen the server before it. Members that were
    present before the event and have not been seen since may be about to
    rejoin. A member that was seen since and is missing is gone.

    :param settle_time: within which every live member is renewed
    :param hold_time: for which doubted members are held
    """

    def __init__(self, settle_time: float, hold_time: float) -> None:
        self._settle_time = settle_time
        self._hold_time = hold_time
        self._last: Answer | None = None
        self._hosts: Set[str] = frozenset()
        self._unseen: Set[str] = frozenset()
        self._until = -math.inf
        self._reason: str | None = None

    def misses(self, hosts: Set[str]) -> bool:
        """Return whether a member that was present before is missing."""
        return not self._hosts <= hosts

    def update(self, answer: Answer, hosts: Set[str]) -> evidence.Reading:
        """Add an answer; return the reading that follows from it.

        :param hosts: the hosts of the members that are alive
        """
        event = self._event(answer)
        if event is not None:
            self._reason = event
            self._until = answer.at + self._settle_time
            self._unseen |= self._hosts
        elif answer.at > self._until:
            self._reason, self._unseen = None, frozenset()
        last, self._last, self._hosts = self._last or answer, answer, hosts
        self._unseen -= hosts
        if answer.evictions != last.evictions:
            return evidence.Reading(hosts, _EVICTS, complete=False)
        doubted = dict.fromkeys(self._unseen, self._hold_time)
        return evidence.Reading(hosts, self._reason, doubted, event is None)

    def _event(self, answer: Answer) -> str | None:
        """Return what has just happened to the server, or None."""
        last = self._last
        if answer.ids is None:
            return evidence.EMPTIED
        if answer.young and not (last and last.young == answer.young):
            return _YOUNG
        if last is None:
            return _OTHER if answer.uptime < self._settle_time else None
        if answer.run != last.run:
            return _OTHER
        # A smaller step expires no key that is renewed in time.
        stepped = answer.ahead - last.ahead > self._settle_time / 4
        return _STEPPED if stepped else None
