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


"""What the silence of a memcached server on a member is worth.

Pure: no I/O, no clock of its own. Times are seconds of one monotonic clock.
"""

from collections.abc import Set
import math

from oslo_log import log as logging

from nova_servicegroup.drivers import _memcached

LOG = logging.getLogger(__name__)

#: Seconds without evictions after which the next one is worth a warning.
_CALM = 3600.0


class Witness:
    """One server's word on one group.

    A member that a server does not have may be dead, or the server may have
    lost it: it was emptied, or it evicted items for lack of memory. And a
    server that does not answer may still have it. Whom a server knew, and
    would not have lost by their death, it *vouches* for.

    :param name: of the server
    :param group: for the log
    :param ttl: seconds for which a server keeps a member that is not renewed
    :param hold_time: seconds for which a lost member may be vouched for
    :param settle_time: seconds in which every live member is renewed

    :ivar met: there was an answer in which absence of a member that was never
        seen before was evidence
    """

    def __init__(
        self,
        name: str,
        group: str,
        ttl: float,
        hold_time: float,
        settle_time: float,
    ) -> None:
        self._name = name
        self._group = group
        self._ttl = ttl
        self._hold_time = hold_time
        self._settle_time = settle_time
        self._alive: Set[str] = frozenset()
        self._lost: dict[str, float] = {}
        self._read_at = -math.inf
        self.met = False
        self._marker: bytes | None = None
        self._evictions = 0
        self._evicted_at = -math.inf
        self._warned_at = -math.inf

    def take(self, answer: _memcached.Answer, now: float) -> bool:
        """Take an answer; tell whether the server has kept its memory.

        :param answer: about all members; its tokens are kept
        """
        self.met = self.met and now - self._read_at <= self._ttl
        remembers = answer.marker is not None and answer.marker == self._marker
        complete = self._count(answer.evictions, now) and remembers
        self._marker = answer.marker
        self._keep(answer.tokens.keys(), complete, now)
        if self.met:
            return remembers
        self.met = self.knows_strangers(answer, now)
        return remembers or self.met

    def meet(self, member_id: str) -> None:
        """Take note of a member that the server has, between two answers."""
        self._alive = self._alive | {member_id}

    def knows_strangers(self, answer: _memcached.Answer, now: float) -> bool:
        """Tell whether one that was never seen there must be dead.

        Not while a server that was emptied, or has evicted items, may not
        have heard of it again.
        """
        return (
            answer.marker is not None
            and answer.marker == self._marker
            and not answer.young
            and answer.evictions == self._evictions
            and now - self._evicted_at > self._settle_time
        )

    def vouched(self, now: float, answers: bool) -> Set[str]:
        """Return the members that may be alive, whoever else misses them.

        :param answers: the server has answered just now
        """
        if not answers and now - self._read_at <= self._ttl:
            return self._alive | self._lost.keys()
        return self._lost.keys()

    def _keep(self, alive: Set[str], complete: bool, now: float) -> None:
        """Keep who is there and, of an incomplete answer, who is not."""
        if not complete:
            until = now + self._hold_time
            self._lost.update(dict.fromkeys(self._alive - alive, until))
        if self._lost:
            self._lost = {
                each: until
                for each, until in self._lost.items()
                if now <= until and each not in alive
            }
        self._alive, self._read_at = alive, now

    def _count(self, evictions: int, now: float) -> bool:
        """Tell whether nothing was evicted since the last answer."""
        before, self._evictions = self._evictions, evictions
        if evictions == before:
            return True
        self._evicted_at = now
        if self._read_at > -math.inf and evictions > before:
            self._warn(evictions - before, now)
        return False

    def _warn(self, evicted: int, now: float) -> None:
        if now - self._warned_at > _CALM:
            LOG.warning(
                '%s evicts items for lack of memory, %d since the last look. '
                'Members of group %s that it misses are held up for a while, '
                'as it may have lost them. Give it more memory (-m), or the '
                'services a server of their own.',
                self._name,
                evicted,
                self._group,
            )
        self._warned_at = now
