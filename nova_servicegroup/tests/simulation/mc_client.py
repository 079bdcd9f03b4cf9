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

"""The client and the coordinator of tooz's driver for memcached."""

from collections.abc import Callable, Collection
from typing import Any

from tooz import coordination

from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import memcached

#: What a reader is told: when it was asked for and answered, the keys that
#: were asked for, and what was found.
Read = Callable[[float, float, Collection[bytes], dict[bytes, Any]], None]


class Client:
    """pymemcache's client, as far as tooz and the driver use it.

    :param timeout: seconds that a call may take
    :param cut: how the process is cut off; see memcached.Server.state
    :param read: told of each get_many that is answered
    """

    def __init__(
        self,
        place: memcached.Place,
        timeout: float,
        cut: Callable[[], str],
        read: Read,
    ) -> None:
        self._place = place
        self._timeout = timeout
        self._cut = cut
        self._read = read
        self._connected: tuple[memcached.Server, int] | None = None

    def _state(self) -> str:
        return self._cut() or self._place.server.state

    def _call(self, call: Callable[[memcached.Server], Any]) -> Any:
        """Have the server do something."""
        begun = kernel.now()
        self._check(begun)
        server = self._place.server
        connected, self._connected = self._connected, (server, server.run)
        if connected is not None and connected != self._connected:
            self._connected = None
            raise ConnectionResetError('it has ended')
        self._pass(server.latency / 2, begun)
        found = call(server)
        if server.latency > memcached.SHORT:
            self._pass(server.latency / 2, begun)
        return found

    def _pass(self, seconds: float, begun: float) -> None:
        kernel.sleep(min(seconds, max(0.0, begun + self._timeout - now())))
        if now() - begun >= self._timeout:
            raise TimeoutError('timed out')
        self._check(begun)

    def _check(self, begun: float) -> None:
        state = self._state()
        if state == 'away':
            self._connected = None
            raise ConnectionRefusedError('refused')
        if state == 'mute':
            kernel.sleep(max(0.0, begun + self._timeout - now()))
            self._connected = None
            raise TimeoutError('timed out')

    def get_many(self, keys: Collection[bytes]) -> dict[bytes, Any]:
        """See pymemcache."""
        issued, valid = now(), 0.0
        wanted = [memcached.key(each) for each in keys]

        def look(server: memcached.Server) -> dict[bytes, Any]:
            nonlocal valid
            valid = now()
            found = {key: server.get(key) for key in wanted}
            return {key: each[0] for key, each in found.items() if each}

        answer: dict[bytes, Any] = self._call(look)
        self._read(issued, valid, wanted, answer)
        return answer

    def get(self, key: bytes) -> Any:
        """See pymemcache."""
        found = self._call(lambda server: server.get(memcached.key(key)))
        return None if found is None else found[0]

    def gets(self, key: bytes) -> tuple[Any, Any]:
        """See pymemcache."""
        found = self._call(lambda server: server.get(memcached.key(key)))
        return (None, None) if found is None else found

    def set(
        self, key: Any, value: Any, expire: int = 0, noreply: bool = True
    ) -> bool:
        """See pymemcache."""
        self._call(
            lambda server: server.set(memcached.key(key), value, expire)
        )
        return True

    def add(
        self, key: Any, value: Any, expire: int = 0, noreply: bool = True
    ) -> bool:
        """See pymemcache."""

        def add(server: memcached.Server) -> bool:
            if server.get(memcached.key(key)) is not None:
                return False
            server.set(memcached.key(key), value, expire)
            return True

        return bool(self._call(add))

    def touch(self, key: Any, expire: int = 0, noreply: bool = True) -> bool:
        """See pymemcache."""

        def touch(server: memcached.Server) -> bool:
            found = server.get(memcached.key(key))
            if found is not None:
                server.set(memcached.key(key), found[0], expire)
            return found is not None

        return bool(self._call(touch))

    def cas(
        self,
        key: Any,
        value: Any,
        version: Any,
        expire: int = 0,
        noreply: bool = False,
    ) -> bool | None:
        """See pymemcache."""

        def cas(server: memcached.Server) -> bool | None:
            found = server.get(memcached.key(key))
            if found is None:
                return None
            if found[1] != version:
                return False
            server.set(memcached.key(key), value, expire)
            return True

        made: bool | None = self._call(cas)
        return made

    def delete(self, key: Any, noreply: bool = True) -> bool:
        """See pymemcache."""
        return bool(
            self._call(lambda server: server.delete(memcached.key(key)))
        )

    def stats(self) -> dict[bytes, Any]:
        """See pymemcache."""
        found: dict[bytes, Any] = self._call(
            lambda server: {b'evictions': server.evictions}
        )
        return found

    def close(self) -> None:
        """See pymemcache."""
        self._connected = None


def now() -> float:
    """Return virtual time."""
    return kernel.now()


class _Later:
    """What an executor of tooz's does, for whoever looks whether it is."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._found: Any = None
        self._done = False
        self._call = call
        kernel.current().spawn(self._run)

    def _run(self) -> None:
        try:
            self._found = self._call()
        except OSError as error:
            self._found = coordination.ToozConnectionError(str(error))
        except coordination.ToozError as error:
            self._found = error
        self._done = True

    def done(self) -> bool:
        """Tell whether get can be called."""
        return self._done

    def get(self, timeout: float | None = None) -> Any:
        """Return what it has done."""
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


class Coordinator:
    """tooz's coordinator."""

    def __init__(self, client: Client, member_id: bytes, ttl: int) -> None:
        self.client = client
        self._member_id = member_id
        self._ttl = ttl

    def start(self) -> None:
        """Connect, which writes a member's key."""
        try:
            self.client.set(
                memcached.MEMBER + self._member_id, memcached.ALIVE, self._ttl
            )
        except OSError as error:
            raise coordination.ToozConnectionError(str(error)) from error

    def stop(self) -> None:
        """Disconnect."""
        self.client.close()

    def join_group(self, group: bytes, capabilities: Any = b'') -> _Later:
        """Put the member into a group's map."""

        def join() -> None:
            key = memcached.GROUP + group
            while True:
                members, version = self.client.gets(key)
                if version is None:
                    raise coordination.GroupNotCreated(group)
                if self._member_id in members:
                    raise coordination.MemberAlreadyExist(
                        group, self._member_id
                    )
                entry = {b'capabilities': capabilities}
                members = {**members, self._member_id: entry}
                if self.client.cas(key, members, version):
                    return
                kernel.sleep(1.0)

        return _Later(join)

    def create_group(self, group: bytes) -> _Later:
        """Make the map of a group."""

        def create() -> None:
            if not self.client.add(memcached.GROUP + group, {}):
                raise coordination.GroupAlreadyExist(group)

        return _Later(create)

    def get_members(self, group: bytes) -> _Later:
        """Return a group's members, and drop those that are gone."""

        def look() -> set[bytes]:
            members, version = self.client.gets(memcached.GROUP + group)
            if version is None:
                raise coordination.GroupNotCreated(group)
            alive = {
                each: members[each]
                for each in members
                if self.client.get(memcached.MEMBER + each)
            }
            self.client.cas(memcached.GROUP + group, alive, version)
            return set(alive)

        return _Later(look)
