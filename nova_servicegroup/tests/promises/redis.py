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

"""redis as its clients see it: a hash, keys that expire, and a clock.

Members and readers are the driver's own, on a client and a coordinator that
are made up.
"""

from collections.abc import Callable
import contextlib
import copy
import random
from typing import Any

from redis import exceptions as redis_exc
from tooz import coordination
from tooz import utils as tooz_utils

from nova_servicegroup import condition
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.redis import configuration
from nova_servicegroup.drivers.redis import driver as drivers
from nova_servicegroup.tests.promises import kernel
from nova_servicegroup.tests.promises import plan
from nova_servicegroup.tests.promises import renewals

GROUP = 'compute'


class Server:
    """One server.

    :ivar offset: by which its wall clock is wrong
    :ivar refuses: whether it takes no writes
    """

    def __init__(self, run: str, born: float) -> None:
        self.run, self.born = run, born
        self.evictions = 0
        self.offset = 0.0
        self.refuses = False
        self.keys: dict[bytes, float] = {}
        self.values: dict[bytes, bytes] = {}
        self.members: dict[bytes, bytes] = {}

    def now(self) -> float:
        """Return its wall clock."""
        return kernel.monotonic() + self.offset

    def has(self, key: bytes) -> bool:
        """Tell whether a key is there that has not expired."""
        return self.keys.get(key, -1e9) > self.now()

    def registered(self) -> list[bytes]:
        """Return the members that are alive."""
        return [each for each in self.members if self.has(_beat(each))]

    def evict(self, chance: random.Random) -> None:
        """Drop a key that has not expired."""
        there = sorted(filter(self.has, self.keys))
        if there:
            del self.keys[chance.choice(there)]
            self.evictions += 1


class Place:
    """An address, and the server that is behind it now.

    :ivar away: it does not answer: at all, or refuses connections
    :ivar latency: seconds that an answer takes
    """

    def __init__(self, runs: Any) -> None:
        self._runs = runs
        self.server = self.new(-1e6)
        self.away: str | None = None
        self.latency = 0.001

    def new(self, born: float) -> Server:
        """Return a server that holds nothing."""
        return Server(str(next(self._runs)), born)

    def reach(self, timeout: float) -> Server:
        """Return the server, once it has answered."""
        server = self.server
        if self.away == 'mute' or self.latency > timeout:
            kernel.sleep(timeout)
            raise redis_exc.TimeoutError('timed out')
        if self.away:
            raise redis_exc.ConnectionError('refused')
        kernel.sleep(self.latency)
        if self.server is not server or self.away:
            raise redis_exc.ConnectionError('closed')
        return server


class Client(kernel.Double):
    """redis-py's, as far as the driver uses it; also a pipeline."""

    #: No Sentinels.
    connection_pool = None

    def __init__(self, place: Place, timeout: float) -> None:
        self._place = place
        self._timeout = timeout
        self._queue: list[Callable[[Server], Any]] = []

    @contextlib.contextmanager
    def pipeline(self) -> Any:
        yield _Pipeline(self._place, self._timeout)

    def _do(self, call: Callable[[Server], Any]) -> Any:
        server = self._place.reach(self._timeout)
        _refuse(server)
        return call(server)

    def psetex(self, key: bytes, time_ms: int, value: bytes) -> Any:
        def put(server: Server) -> None:
            server.keys[key] = server.now() + time_ms / 1000
            server.values[key] = value

        return self._do(put)

    def getrange(self, key: bytes, start: int, end: int) -> Any:
        return self._do(
            lambda server: (
                server.values[key][start : end + 1] if server.has(key) else b''
            )
        )

    def hget(self, key: bytes, name: bytes) -> Any:
        return self._do(lambda server: server.members.get(name))

    def exists(self, key: bytes) -> Any:
        return self._do(
            lambda server: (
                bool(server.members) if b'_group' in key else server.has(key)
            )
        )

    def delete(self, key: bytes) -> Any:
        return self._do(lambda server: server.keys.pop(key, None))

    def hdel(self, key: bytes, name: bytes) -> Any:
        return self._do(lambda server: server.members.pop(name, None))

    def eval(self, script: str, keys: int, *arguments: Any) -> Any:
        if keys == 2:
            return self._do(lambda server: _put_mark(server, *arguments))
        return self._do(
            _sweep if len(arguments) > 2 else _living  # the script's
        )

    def info(self, section: str) -> Any:
        return self._do(
            lambda server: {
                'run_id': server.run,
                'uptime_in_seconds': kernel.monotonic() - server.born,
                'evicted_keys': server.evictions,
            }
        )

    def time(self) -> Any:
        return self._do(lambda server: (server.now() + kernel.EPOCH, 0))


class _Pipeline(Client):
    """All at once."""

    def _do(self, call: Callable[[Server], Any]) -> Any:
        self._queue.append(call)

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        server = self._place.reach(self._timeout)
        _refuse(server)
        return [call(server) for call in self._queue]


def _refuse(server: Server) -> None:
    if server.refuses:
        raise redis_exc.ResponseError('OOM command not allowed')


def _living(server: Server) -> Any:
    return server.registered() if server.members else None


def _put_mark(
    server: Server, group: bytes, beat: bytes, name: bytes, expiry: int
) -> None:
    if server.members:
        server.members[name] = b''
        server.keys[beat] = server.now() + expiry / 1000


def _end(server: Server, member_id: bytes, expiry: int) -> None:
    """Replace a member by a mark, as an agent does."""
    if server.has(_beat(member_id)):
        mark = naming.marked(member_id, condition.ENDED_MARK)
        _put_mark(server, GROUP.encode(), _beat(mark), mark, 1000 * expiry)
        server.keys.pop(_beat(member_id))
        server.members.pop(member_id, None)


def _sweep(server: Server) -> None:
    kept = server.registered()
    for each in set(server.members) - {*kept, Coordinator.GROUP_EXISTS}:
        del server.members[each]


def _beat(member_id: bytes) -> bytes:
    return b'beat:' + member_id


class Future(kernel.Double):
    """A result that is there later."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._found: Any = None
        self._error: Exception | None = None
        self._done = False
        kernel.current().spawn(self._run, call)

    def _run(self, call: Callable[[], Any]) -> None:
        try:
            self._found = call()
        except Exception as error:
            self._error = error
        self._done = True

    def done(self) -> bool:
        return self._done

    def result(self, timeout: float | None = None) -> Any:
        if self._error is not None:
            raise self._error
        return self._found

    get = result


class Coordinator(kernel.Double):
    """tooz's.

    :param answered: called when the server has answered
    """

    GROUP_EXISTS = b'__created__'
    STILL_ALIVE = b'1'
    namespace = b'nova'

    def __init__(
        self,
        place: Place,
        member_id: bytes,
        settings: configuration.Settings,
        answered: Callable[[], None] | None = None,
    ) -> None:
        self.membership_timeout = settings.expiry
        self._place = place
        self._id = member_id
        self._timeout = settings.timeout
        self._client = Client(place, settings.timeout)
        self._answered = answered or (lambda: None)

    def _encode_group_id(self, group: bytes) -> bytes:
        return b'_group:' + group

    def _encode_beat_id(self, member_id: bytes) -> bytes:
        return _beat(member_id)

    def start(self) -> None:
        server = self._place.reach(self._timeout)
        _refuse(server)
        server.keys[_beat(self._id)] = server.now() + self.membership_timeout

    def stop(self) -> None:
        server = self._place.reach(self._timeout)
        _refuse(server)
        server.members.pop(self._id, None)
        server.keys.pop(_beat(self._id), None)

    def _submit(self, call: Callable[..., Any], *args: Any) -> Future:
        def noted() -> Any:
            found = call(*args)
            self._answered()
            return found

        return Future(noted)

    def create_group(self, group: bytes) -> Future:
        return self._submit(self._create)

    def _create(self) -> None:
        server = self._place.reach(self._timeout)
        _refuse(server)
        if server.members:
            raise coordination.GroupAlreadyExist(b'')
        server.members[self.GROUP_EXISTS] = b'1'

    def join_group(self, group: bytes, origin: Any) -> Future:
        return self._submit(lambda: self._join(origin))

    def _join(self, origin: Any) -> None:
        server = self._place.reach(self._timeout)
        _refuse(server)
        if not server.members:
            raise coordination.GroupNotCreated(b'')
        there = self._id in server.members
        server.members[self._id] = tooz_utils.dumps(origin)
        if there:
            raise coordination.MemberAlreadyExist(b'', self._id)

    def get_member_capabilities(self, group: bytes, member: bytes) -> Any:
        raise redis_exc.ConnectionError('nobody asks')


class Member(renewals.Member):
    """Renews one member, by the registration of the driver."""

    def __init__(self, host: str, backend: 'Backend') -> None:
        self.interval = backend.interval
        self._host = host
        self._backend = backend
        self._made: Any = None

    def _beat(self) -> bool:
        """See renewals.Member."""
        made = self._made
        made._mark = self.mark
        failures = made.reporter.counts.failures
        made.reporter.run()
        return bool(made.reporter.counts.failures == failures)

    def ending(self) -> Callable[[], bool]:
        """See world.Backend."""
        place = self._backend.place
        ids = [
            each
            for each in place.server.registered()
            if naming.MARK not in each and naming.host_of(each) == self._host
        ]

        def end() -> bool:
            if not place.away and not place.server.refuses:
                for each in ids:
                    _end(place.server, each, int(self._backend.bound))
            return not place.away and not place.server.refuses

        return end

    def start(self) -> None:
        """See renewals.Member."""
        self._made = self._backend.register(self._host)
        self.working = True
        self._made._mark = self.mark
        kernel.current().spawn(self._made.reporter.run)

    def _leave(self) -> None:
        """See renewals.Member."""
        kernel.current().spawn(self._made.stop)


class Backend(renewals.Backend):
    """One address for all."""

    def __init__(self, wanted: plan.Plan, chance: random.Random) -> None:
        super().__init__(wanted, chance)
        self.bound = wanted.settings['session']
        self.rejoin = 1.5 * self.bound
        self.interval = min(10.0, self.bound / 3)
        self.place = Place(iter(range(10**9)))
        self._settings: Any = None
        self._unsettled = -1e9
        self._members = [Member(name, self) for name in self.names]

    def begin(self, conf: Any) -> None:
        """See world.Backend."""
        self._settings = configuration.Settings(conf)
        self._settings.new_id = lambda host: naming.member_id(
            host, self.domains.get(host)
        )
        self.place.server.members[Coordinator.GROUP_EXISTS] = b'1'
        for each in self._members:
            at = self.chance.uniform(0, self.interval)
            kernel.current().spawn(each.run, at=at)

    def register(self, host: str) -> drivers.Registration:
        """Return a registration of a host."""
        made = drivers.Registration(self._settings, host, GROUP)
        made._wait = min(made._wait, self.interval / 2)
        made._connection._factory.make = lambda member_id: Coordinator(
            self.place, member_id, self._settings
        )
        return made

    def prepare(self, driver: Any, asker: Any, known: Any) -> None:
        """See world.Backend."""
        backend = driver._reading.get().backend
        backend.connection._factory.make = lambda member_id: Coordinator(
            self.place,
            member_id,
            self._settings,
            lambda: known.answered(kernel.monotonic()),
        )

    def fault(self, event: plan.Event) -> None:
        """See world.Backend."""
        getattr(self, f'_{event.what}')(event.size)

    def _away(self, seconds: float) -> None:
        self.place.away = 'gone'
        kernel.sleep(seconds)
        self.place.away = None

    def _mute(self, seconds: float) -> None:
        self.place.away = 'mute'
        kernel.sleep(seconds)
        self.place.away = None

    def _slow(self, seconds: float) -> None:
        self.place.latency = self.chance.choice((0.05, 0.1, 0.3, 1.5))
        kernel.sleep(seconds)
        self.place.latency = 0.001

    def _restart(self, seconds: float) -> None:
        """It comes back with nothing."""
        self._away(seconds)
        self.place.server = self.place.new(kernel.monotonic())

    def _snapshot(self, seconds: float) -> None:
        """It comes back with what it had long ago."""
        old = self._copy(kernel.monotonic())
        kernel.sleep(seconds)
        self._away(self.chance.uniform(0, 5))
        old.born = kernel.monotonic()
        self.place.server = old

    def _promote(self, seconds: float) -> None:
        """A replica takes over, which lacks what was written last."""
        replica = self._copy(-1e6)
        kernel.sleep(self.chance.uniform(0, 1))
        self._away(seconds)
        self.place.server = replica

    def _copy(self, born: float) -> Server:
        made, old = self.place.new(born), self.place.server
        made.offset = old.offset
        made.keys = copy.copy(old.keys)
        made.values = copy.copy(old.values)
        made.members = copy.copy(old.members)
        return made

    def _flush(self, seconds: float) -> None:
        end = kernel.monotonic() + seconds
        while True:
            self.place.server.keys.clear()
            self.place.server.members.clear()
            kernel.sleep(self.chance.uniform(0.3, 3))
            if kernel.monotonic() >= end:
                break

    def _refuse(self, seconds: float) -> None:
        server = self.place.server
        server.refuses = True
        kernel.sleep(seconds)
        server.refuses = False

    def _evict(self, seconds: float) -> None:
        end = kernel.monotonic() + seconds
        pause = self.chance.choice((0.5, 5.0, 25.0))
        while kernel.monotonic() < end:
            self.place.server.evict(self.chance)
            self._unsettled = kernel.monotonic() + pause + self.rejoin
            kernel.sleep(pause)

    def _step(self, seconds: float) -> None:
        self.place.server.offset += 3600

    def is_disturbed(self) -> bool:
        """See world.Backend. Whoever is missed among evictions is doubted."""
        return not self.is_well() or kernel.monotonic() <= self._unsettled

    def marked(self) -> set[str]:
        """See world.Backend."""
        return {
            naming.host_of(each.partition(naming.MARK)[0])
            for each in self.place.server.registered()
            if naming.MARK in each
            and not each.endswith(condition.ENDED_MARK.encode())
        }

    def registered(self) -> set[str]:
        """See world.Backend."""
        return {
            naming.host_of(each)
            for each in self.place.server.registered()
            if naming.MARK not in each
        }

    def is_well(self) -> bool:
        """See world.Backend."""
        place = self.place
        slow = place.latency > self._settings.timeout / 4
        return not (place.away or slow or place.server.refuses)
