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

"""What the silence of a redis server on a member is worth.

Pure: no I/O, no clock of its own. Times are in seconds.
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
    """What a server says of a group.

    :ivar ids: the members that are alive; None: there is no such group
    :ivar young: says that the group was made anew not long ago, and which
        time: some members may not have joined since; empty: it was not
    :ivar run: changes when the server is restarted, or is another one
    :ivar uptime: of the server
    :ivar evictions: how many keys it has dropped that had not expired
    :ivar ahead: its clock, less the monotonic clock of this process
    :ivar at: when it answered, by the latter
    """

    ids: Set[bytes] | None
    young: bytes
    run: str
    uptime: float
    evictions: int
    ahead: float
    at: float


class Memory:
    """What the server has said of a group before.

    Something that befalls the server is known by signs of which each is there
    but for a while, or only for who has looked before. Who was there before
    it, and was not seen since, may be about to join again. Whoever was seen
    since and is missed is gone.

    :param settle_time: within it every live member is renewed
    :param hold_time: for which those are held that are doubted
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
        """Tell whether somebody is missed who was there before."""
        return not self._hosts <= hosts

    def take(self, answer: Answer, hosts: Set[str]) -> evidence.Reading:
        """Take an answer; return what it is worth.

        :param hosts: those of the members
        """
        befell = self._befell(answer)
        if befell is not None:
            self._reason = befell
            self._until = answer.at + self._settle_time
            self._unseen |= self._hosts
        elif answer.at > self._until:
            self._reason, self._unseen = None, frozenset()
        last, self._last, self._hosts = self._last or answer, answer, hosts
        self._unseen -= hosts
        if answer.evictions != last.evictions:
            return evidence.Reading(hosts, _EVICTS, complete=False)
        doubted = dict.fromkeys(self._unseen, self._hold_time)
        return evidence.Reading(hosts, self._reason, doubted, befell is None)

    def _befell(self, answer: Answer) -> str | None:
        """Tell what has just befallen the server; None: nothing."""
        last = self._last
        if answer.ids is None:
            return evidence.EMPTIED
        if answer.young and not (last and last.young == answer.young):
            return _YOUNG
        if last is None:
            return _OTHER if answer.uptime < self._settle_time else None
        if answer.run != last.run:
            return _OTHER
        # A key must not expire by that alone.
        stepped = answer.ahead - last.ahead > self._settle_time / 4
        return _STEPPED if stepped else None
