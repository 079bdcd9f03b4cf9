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

"""Caches what a member has read of its nodes, which ZooKeeper watches."""

from __future__ import annotations

from collections.abc import Callable
import math
import random
import time
from typing import Any

from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.zk import internals
from nova_servicegroup.drivers.zk import kazoo_loop

#: Seconds after which a node is read again, at most: a server or kazoo may
#: lose a watch. They are Nova's default of service_down_time.
MAX_AGE = 60.0


class Watches:
    """A cache of the nodes of one member.

    A node is read again after ZooKeeper has reported a change, in a new
    connection or session, or while the servers are silent.

    :param patience: seconds of silence after which a node is read again
    """

    def __init__(
        self, patience: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._coordinator: Any = None
        self._nodes: dict[bytes, _Node] = {}

    def read(self, session: sessions.Session, name: bytes, what: str) -> Any:
        """Return the stat of a node, from the cache or from ZooKeeper.

        :param what: names the request in errors
        :returns: kazoo's ZnodeStat, or None if there is no such node
        :raises BackendTimeout: no answer yet
        :raises kazoo.exceptions.KazooException: the answer
        """
        node = self._node(session.coordinator, name)
        if not node.is_valid(self._clock(), self._patience):
            node.stat = None
            found = session.ask(what, node.ask, session.group, self._clock())
            node.asked_at = session.asked_at
            if found is None or not node.is_watched(found):
                return found
            node.stat = found
        return node.stat

    def proof(self, session: sessions.Session) -> float:
        """Return when the member's node was in its session for sure.

        Call it after read has returned the stat of that. What was asked before
        was answered later: the node, or a ping while it was watched.
        """
        node = self._node(session.coordinator, session.member_id)
        return max(node.asked_at, kazoo_loop.pinged(session.coordinator))

    def forget(self, name: bytes) -> None:
        """Drop a node from the cache."""
        self._nodes.pop(name, None)

    def in_doubt(self) -> bool:
        """Return whether a node that existed has to be read again."""
        now = self._clock()
        return any(
            each.stat is not None and not each.is_valid(now, self._patience)
            for each in list(self._nodes.values())
        )

    def _node(self, coordinator: Any, name: bytes) -> _Node:
        if self._coordinator is not coordinator:
            self._coordinator, self._nodes = coordinator, {}
        return self._nodes.setdefault(name, _Node(coordinator, name))


class _Node:
    """One node, as a coordinator has read it.

    :ivar stat: what was read, or None if it is to be read
    :ivar asked_at: when the request was issued that has read it
    """

    def __init__(self, coordinator: Any, name: bytes) -> None:
        self.stat: Any = None
        self._coordinator = coordinator
        self._name = name
        self._changed = False
        self._until = self.asked_at = -math.inf

    def ask(self, group: bytes, now: float) -> internals.Stat:
        """Read and watch the node."""
        self._changed = False
        self._until = now + MAX_AGE * random.uniform(0.5, 1.0)
        return internals.watched(
            self._coordinator, group, self._name, self._change
        )

    def _change(self, event: Any) -> None:
        """Record that the node has changed, or that the watch is lost.

        kazoo calls this in a thread of its own, once for each read: also when
        the connection is lost, as it then forgets all watches.
        """
        self._changed = True

    def is_watched(self, found: Any) -> bool:
        """Return whether a change of the node would be noticed.

        A node of another session is never relied on.
        """
        silence = kazoo_loop.silence(self._coordinator)
        own = internals.is_own(self._coordinator, found)
        return own and silence < math.inf

    def is_valid(self, now: float, patience: float) -> bool:
        """Return whether what was read is still valid."""
        return (
            self.stat is not None
            and not self._changed
            and now < self._until
            and kazoo_loop.silence(self._coordinator) <= patience
            and internals.is_own(self._coordinator, self.stat)
        )
