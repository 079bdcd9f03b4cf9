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

"""memcached as its clients see it: keys that expire."""

from collections.abc import Callable
import contextlib
import dataclasses
import random
from typing import Any

from pymemcache import exceptions as pymemcache_exc

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.mc import coordinators
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.drivers.mc import tooz_server
from nova_servicegroup import exceptions
from nova_servicegroup.tests.promises import kernel
from nova_servicegroup.tests.promises import plan
from nova_servicegroup.tests.promises import renewals

#: Seconds after which a client gives up an answer.
_TIMEOUT = 1.0
#: Seconds for which an item is not evicted after it was written.
_USED = 3.0


@dataclasses.dataclass
class Item:
    """A value, and when it expires."""

    value: Any
    expires: float
    version: int = 0
    used: float = -1e9


class Server:
    """One server.

    :ivar away: it does not answer: at all, or refuses
    :ivar latency: seconds that an answer takes
    """

    def __init__(self) -> None:
        self.items: dict[Any, Item] = {}
        self.away: str | None = None
        self.latency = 0.001
        self.evictions = 0

    def get(self, key: Any) -> Item | None:
        """Return what is there."""
        found = self.items.get(key)
        if found is not None and found.expires <= kernel.monotonic():
            del self.items[key]
            return None
        return found

    def evict(self, chance: random.Random) -> None:
        """Drop an item that has not expired, nor was used just now."""
        before = kernel.monotonic() - _USED
        old = sorted(
            (key for key, each in self.items.items() if each.used < before),
            key=repr,
        )
        if old:
            del self.items[chance.choice(old)]
            self.evictions += 1


class Place:
    """An address, and the server that is behind it now."""

    def __init__(self) -> None:
        self.server = Server()


class Client(kernel.Double):
    """pymemcache's, as far as the driver uses it."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def _reach(self) -> Server:
        server = self._place.server
        if server.away == 'mute':
            kernel.sleep(_TIMEOUT)
            raise TimeoutError('timed out')
        if server.away:
            raise ConnectionRefusedError('refused')
        if server.latency > _TIMEOUT:
            kernel.sleep(_TIMEOUT)
            raise TimeoutError('timed out')
        kernel.sleep(server.latency)
        if self._place.server is not server or server.away:
            raise pymemcache_exc.MemcacheUnexpectedCloseError
        return server

    def get_many(self, keys: Any) -> dict[Any, Any]:
        server = self._reach()
        found = {_key(key): server.get(_key(key)) for key in keys}
        return {
            key: found[_key(key)].value
            for key in keys
            if found[_key(key)] is not None
        }

    def get(self, key: Any) -> Any:
        found = self._reach().get(_key(key))
        return found.value if found else None

    def gets(self, key: Any) -> tuple[Any, Any]:
        found = self._reach().get(_key(key))
        return (found.value, found.version) if found else (None, None)

    def set(
        self, key: Any, value: Any, expire: int = 0, noreply: bool = True
    ) -> bool:
        self._put(self._reach(), key, value, expire)
        return True

    def add(
        self, key: Any, value: Any, expire: int = 0, noreply: bool = True
    ) -> bool:
        server = self._reach()
        if server.get(_key(key)) is not None:
            return False
        self._put(server, key, value, expire)
        return True

    def cas(
        self,
        key: Any,
        value: Any,
        version: Any,
        expire: int = 0,
        noreply: bool = False,
    ) -> bool:
        server = self._reach()
        found = server.get(_key(key))
        if found is None or found.version != version:
            return False
        self._put(server, key, value, expire)
        return True

    def append(self, key: Any, value: Any, noreply: bool = True) -> bool:
        found = self._reach().get(_key(key))
        if found is not None:
            found.value += value
        return found is not None

    def touch(self, key: Any, expire: int = 0, noreply: bool = True) -> bool:
        found = self._reach().get(_key(key))
        if found is not None:
            found.used = kernel.monotonic()
            found.expires = found.used + expire
        return found is not None

    def stats(self) -> dict[bytes, Any]:
        return {b'evictions': self._reach().evictions}

    def close(self) -> None:
        pass

    def _put(self, server: Server, key: Any, value: Any, expire: int) -> None:
        now = kernel.monotonic()
        until = float('inf') if expire == 0 else now + expire
        server.items[_key(key)] = Item(value, until, id(object()), now)


def _key(key: Any) -> bytes:
    return key if isinstance(key, bytes) else key.encode()


class Done(kernel.Double):
    """An answer that is there."""

    def __init__(self, found: Any = None) -> None:
        self._found = found

    def done(self) -> bool:
        return True

    def get(self, timeout: float | None = None) -> Any:
        return self._found


class Coordinator(kernel.Double):
    """tooz's. Of lists it only has what a reader finds there."""

    def __init__(self, place: Place, member_id: bytes) -> None:
        self.client = Client(place)
        self._member_id = member_id

    def start(self) -> None:
        self.client.stats()

    def stop(self) -> None:
        pass

    def join_group(self, group: bytes, capabilities: Any = None) -> Done:
        prefix = coordinators.memcached.MemcachedDriver.GROUP_PREFIX
        (members,) = self.client.get_many([prefix + group]).values() or ({},)
        members = {
            **members,
            self._member_id: {b'capabilities': capabilities},
        }
        self.client.set(prefix + group, members)
        return Done()

    def create_group(self, group: bytes) -> Done:
        return Done()

    def get_members(self, group: bytes) -> Done:
        return Done()


class Member(renewals.Member):
    """Renews one member on every server by the rules of the driver."""

    def __init__(self, host: str, backend: 'Backend') -> None:
        self.member_id = backend.keys.member('compute', host)
        self._host = host
        self._backend = backend
        self._begin()

    def _begin(self) -> None:
        # All tokens of this process have the same incarnation.
        made = naming.token()
        self._incarnation = random.randbytes(4)
        self._token = made[:4] + self._incarnation + made[8:]
        self._servers = [
            self._backend.server(place, self.member_id)
            for place in self._backend.places
        ]
        self._listed: dict[int, bytes | None] = {}

    def run(self) -> None:
        """Renew again and again."""
        while True:
            if self.working:
                self._beat()
            kernel.sleep(self._backend.interval)

    def _beat(self) -> bool:
        """Renew on all servers, beside each other."""
        for number, server in enumerate(self._servers):
            kernel.current().spawn(self._renew, number, server)
        return True

    def _renew(self, number: int, server: Any) -> None:
        try:
            domain = self._backend.domains.get(self._host)
            value = keyspace.encode_value(self._token, self.mark, domain)
            answer = server.renew(self.member_id, value)
            if self._listed.get(number, b'') != answer.marker:
                server.add_to_list('compute', self._host, {})
                self._listed[number] = answer.marker
        except exceptions.BackendError:
            pass

    def start(self) -> None:
        """See renewals.Member."""
        self._begin()
        self.go_on()

    def go_on(self) -> None:
        """See renewals.Member."""
        super().go_on()
        self._beat()

    def ending(self) -> Callable[[], bool]:
        """See world.Backend."""
        servers, incarnation = self._servers, self._incarnation.hex()

        def end() -> bool:
            ended = [self._end(each, incarnation) for each in servers]
            return all(ended)

        return end

    def _end(self, server: Any, incarnation: str) -> bool:
        with contextlib.suppress(exceptions.BackendError):
            server.end(self.member_id, incarnation)
            return True
        return False

    def _leave(self) -> None:
        """See renewals.Member."""
        for server in self._servers:
            kernel.current().spawn(self._withdraw, server)

    def _withdraw(self, server: Any) -> None:
        with contextlib.suppress(exceptions.BackendError):
            server.leave(self.member_id, self._token, 20)


class Backend(renewals.Backend):
    """A few servers."""

    def __init__(self, wanted: plan.Plan, chance: random.Random) -> None:
        super().__init__(wanted, chance)
        options = wanted.options
        self.interval = options['report_interval']
        self.bound = max(options['service_down_time'], 3 * self.interval)
        self.rejoin = 2 * self.interval + 1
        self.keys = keyspace.Keys('nova_servicegroup')
        self.places = [Place() for _ in wanted.settings['servers']]
        self._conf: Any = None
        self._unsettled = -1e9
        self._members: list[Member] = []

    def begin(self, conf: Any) -> None:
        """See world.Backend."""
        self._conf = conf
        self._members = [Member(name, self) for name in self.names]
        for place in self.places:
            self._fill(place.server)
        for each in self._members:
            at = self.chance.uniform(0, self.interval)
            kernel.current().spawn(each.run, at=at)

    def _fill(self, server: Server) -> None:
        """Have a server that has run for long: it has had all members."""
        marker = self.keys.marker.encode()
        server.items[marker] = Item(b'12345678', float('inf'))
        prefix = coordinators.memcached.MemcachedDriver.GROUP_PREFIX
        for each in self._members:
            key = prefix + self.keys.shard('compute', each.member_id)
            lists = server.items.setdefault(key, Item({}, float('inf')))
            lists.value[each.member_id.encode()] = {b'capabilities': None}

    def server(self, place: Place, member_id: str) -> Any:
        """Return the driver's side of a server."""
        number = self.places.index(place)
        made = tooz_server.ToozServer(
            f'mc{number}:11211',
            self._conf,
            self.keys,
            member_id,
            int(self.bound),
        )
        made._connection._factory.make = lambda member: Coordinator(
            place, member
        )
        return made

    def prepare(self, driver: Any, asker: Any, known: Any) -> None:
        """See world.Backend."""
        backend = driver._reading.get().backend
        for place, server in zip(self.places, backend.servers, strict=True):
            server._connection._factory.make = lambda member, place=place: (
                Coordinator(place, member)
            )
            read = server.read
            server.read = lambda ids, read=read: _noted(read, ids, known)

    def fault(self, event: plan.Event) -> None:
        """See world.Backend."""
        place = self.places[event.where % len(self.places)]
        getattr(self, f'_{event.what}')(place, event.size)
        # Its members are as young as a renewal, and it is doubted for a while.
        self._unsettled = kernel.monotonic() + self.rejoin

    def _away(self, place: Place, seconds: float) -> None:
        server = place.server
        server.away = 'gone'
        kernel.sleep(seconds)
        server.away = None

    def _mute(self, place: Place, seconds: float) -> None:
        server = place.server
        server.away = 'mute'
        kernel.sleep(seconds)
        server.away = None

    def _slow(self, place: Place, seconds: float) -> None:
        server = place.server
        server.latency = self.chance.choice((0.1, 0.3, 0.45))
        kernel.sleep(seconds)
        server.latency = 0.001

    def _restart(self, place: Place, seconds: float) -> None:
        self._away(place, seconds)
        place.server = Server()

    def _flush(self, place: Place, seconds: float) -> None:
        place.server.items.clear()

    def _evict(self, place: Place, seconds: float) -> None:
        end = kernel.monotonic() + seconds
        pause = self.chance.choice((0.5, 5.0, 25.0))
        while kernel.monotonic() < end:
            place.server.evict(self.chance)
            self._unsettled = kernel.monotonic() + pause + self.rejoin
            kernel.sleep(pause)

    def _replace(self, place: Place, seconds: float) -> None:
        """The address leads to another server, and back."""
        before = place.server
        place.server = Server()
        self._unsettled = kernel.monotonic() + seconds + self.rejoin
        kernel.sleep(seconds)
        place.server = before

    def marked(self) -> set[str]:
        """See world.Backend."""
        return {
            name
            for name, found in self._found().items()
            if any(keyspace.condition_of(each.value) for each in found)
        }

    def registered(self) -> set[str]:
        """See world.Backend."""
        return {name for name, found in self._found().items() if found}

    def _found(self) -> dict[str, list[Item]]:
        """Return what the servers have of each host."""
        prefix = coordinators.memcached.MemcachedDriver.MEMBER_PREFIX
        keys = {
            name: prefix + each.member_id.encode()
            for name, each in zip(self.names, self._members, strict=True)
        }
        return {
            name: [
                found
                for place in self.places
                if (found := place.server.get(key)) is not None
            ]
            for name, key in keys.items()
        }

    def is_well(self) -> bool:
        """See world.Backend."""
        limit = self.plan.options['read_timeout'] / 3
        return any(
            not place.server.away and place.server.latency < limit
            for place in self.places
        )

    def is_disturbed(self) -> bool:
        """See world.Backend."""
        return kernel.monotonic() <= self._unsettled or any(
            place.server.away or place.server.latency > 0.05
            for place in self.places
        )


def _noted(read: Any, ids: Any, known: Any) -> Any:
    answer = read(ids)
    known.answered(kernel.monotonic())
    return answer
