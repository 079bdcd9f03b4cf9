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

"""The coordinator of tooz's driver for ZooKeeper, as a reader uses it."""

from collections.abc import Callable
import random
from typing import Any

from tooz import coordination

from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import zookeeper


class Result:
    """An answer that comes later: tooz's async result.

    :param valid: returns what holds when it is called
    """

    def __init__(
        self,
        client: 'Client',
        look: Callable[[], Any],
        taken: Callable[[float, float, Any], None] | None = None,
    ) -> None:
        self._client = client
        self._look = look
        self._taken = taken
        self.issued = kernel.now()
        self._looked_at = 0.0
        self._found: Any = None
        self._done = False

    def look(self) -> None:
        """Have the servers answer."""
        if not self._done:
            self._looked_at = kernel.now()
            self._found = self._look()

    def finish(self) -> None:
        """Have the answer arrive."""
        self._done = True

    def fail(self, error: Exception) -> None:
        """Have an error arrive instead."""
        if not self._done:
            self._found, self._done = error, True

    def done(self) -> bool:
        """Tell whether it is there."""
        return self._done

    def get(self, timeout: float | None = None) -> Any:
        """Return the answer."""
        if not self._done:
            raise coordination.OperationTimedOut('not yet')
        if self._taken is not None:
            self._taken(self.issued, self._looked_at, self._found)
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


class Client:
    """tooz's coordinator, for a process that reads.

    :param cut: tells whether the process is cut off from the servers
    :param read: told of what was read, and when
    """

    def __init__(
        self,
        ensemble: zookeeper.Ensemble,
        process: kernel.Process,
        cut: Callable[[], bool],
        read: Callable[[float, float, Any], None],
        chance: random.Random,
    ) -> None:
        self._ensemble = ensemble
        self._process = process
        self._is_cut = cut
        self._read = read
        self._chance = chance
        self._generation = -1
        self._connected = False
        self._used_at = 0.0
        self._pending: list[Result] = []

    def start(self) -> None:
        """Connect, in a session timeout."""
        end = kernel.now() + self._ensemble.timeout
        delay = 0.1
        while self._ensemble.away or self._is_cut():
            if kernel.now() + delay >= end:
                kernel.sleep(end - kernel.now())
                raise coordination.ToozConnectionError('timed out')
            kernel.sleep(delay)
            delay = min(2 * delay, self._longest_delay())
        kernel.sleep(self._ensemble.latency)
        self._generation = self._ensemble.generation
        self._connected, self._used_at = True, kernel.now()

    def stop(self) -> None:
        """Disconnect."""
        self._connected, self._generation = False, -1

    def disconnect(self, how: str) -> None:
        """Lose the connection."""
        self._connected = False
        if how == 'loss':
            self._fail_all()

    def reconnect(self) -> None:
        """Connect again when kazoo tries the next time."""
        delay = self._chance.uniform(0.01, self._longest_delay())
        kernel.current().spawn(
            lambda: self._connect(delay), process=self._process
        )

    def _longest_delay(self) -> float:
        return min(self._ensemble.timeout / 4, 2.5)

    def _connect(self, delay: float) -> None:
        kernel.sleep(delay)
        if self._ensemble.away or self._is_cut():
            return
        if self._generation != self._ensemble.generation:
            return
        self._fail_all()
        self._connected, self._used_at = True, kernel.now()

    def _fail_all(self) -> None:
        pending, self._pending = self._pending, []
        for each in pending:
            each.fail(coordination.ToozConnectionError(''))

    def _issue(self, result: Result) -> Result:
        now, latency = kernel.now(), self._ensemble.latency
        starved = now - self._used_at > self._ensemble.timeout
        if self._process.green and self._connected and starved:
            # Nobody has renewed its session meanwhile.
            self._connected = False
            self.reconnect()
            result.fail(coordination.ToozConnectionError(''))
            return result
        self._used_at = now
        self._pending.append(result)
        if not self._connected:
            if self._ensemble.away == 'loss' or self._chance.random() < 0.3:
                self._pending.remove(result)
                result.fail(coordination.ToozConnectionError('lost'))
            return result
        looks = now + latency * self._chance.random()
        timeline = kernel.current()
        timeline.at(looks, lambda: self._when_connected(result, result.look))
        timeline.at(now + latency, lambda: self._finish(result))
        return result

    def _when_connected(
        self, result: Result, call: Callable[[], None]
    ) -> None:
        if self._connected and result in self._pending:
            call()

    def _finish(self, result: Result) -> None:
        if self._connected and result in self._pending:
            self._pending.remove(result)
            result.finish()

    def get_members(self, group: bytes) -> Result:
        """Return who is in the group, later."""

        def look() -> Any:
            if not self._ensemble.group_exists:
                return coordination.GroupNotCreated(group)
            return {each.node for each in self._ensemble.nodes()}

        return self._issue(Result(self, look, self._read))

    def get_member_capabilities(self, group: bytes, member: bytes) -> Result:
        """Return what a member says of itself, later."""

        def look() -> Any:
            if member in {each.node for each in self._ensemble.nodes()}:
                return {'machine': member.decode(), 'pid': 1, 'reads': 'zk'}
            return coordination.MemberNotJoined(group, member)

        return self._issue(Result(self, look))

    def get_groups(self) -> Result:
        """Return the groups, later."""
        return self._issue(Result(self, lambda: [b'compute']))
