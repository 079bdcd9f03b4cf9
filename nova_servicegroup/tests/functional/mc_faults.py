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


"""What the tests of the mc driver under faults share."""

from collections.abc import Mapping
import pathlib
import threading
import time
from typing import Any

from pymemcache.client import base as pymemcache
from tooz.drivers import memcached as tooz_memcached

from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.harness import memcached


class Memcached(memcached.Memcached):
    """One server that is also looked into.

    :param env: more for the environment
    :param options: as for harness.memcached.Memcached
    """

    def __init__(
        self,
        directory: pathlib.Path,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(directory, **options)
        self._env = dict(env or {})

    def env(self) -> Mapping[str, str]:
        return self._env

    def client(self) -> pymemcache.Client:
        """Return a client that knows nothing of the driver."""
        return pymemcache.Client(('127.0.0.1', self.port), timeout=5)

    def stat(self, name: str) -> int:
        """Return a number that the server keeps of itself."""
        return int(self.client().stats()[name.encode()])


def time_to_live(client: pymemcache.Client, key: bytes) -> int | None:
    """Return the seconds until a key expires; None: it is not there.

    A renewal makes them more, whatever it does to the value.
    """
    found = client.raw_command(b'mg ' + key + b' t')
    return None if found == b'EN' else int(found.removeprefix(b'HD t'))


class Pulse:
    """Watches on one server how regularly members are renewed."""

    def __init__(self, server: Memcached, keys: list[bytes]) -> None:
        #: The longest time between two renewals of one member (seconds).
        self.longest = 0.0
        #: How often a member was found missing.
        self.missing = 0
        self._client = server.client()
        self._keys = keys
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        renewed = dict.fromkeys(self._keys, time.monotonic())
        before = self._look()
        while not self._ended.wait(0.05):
            found, now = self._look(), time.monotonic()
            for key in self._keys:
                self.longest = max(self.longest, now - renewed[key])
                if found[key] > before[key]:
                    renewed[key] = now
            before = found

    def _look(self) -> dict[bytes, int]:
        """Return when each key expires, by the server's clock.

        Not for how long it will be there: that is in whole seconds, so a
        renewal at the turn of one would not be seen.
        """
        now = self._now()
        while True:
            found = {
                key: time_to_live(self._client, key) for key in self._keys
            }
            before, now = now, self._now()
            if now == before:
                break
        self.missing += sum(each is None for each in found.values())
        return {
            key: 0 if each is None else now + each
            for key, each in found.items()
        }

    def _now(self) -> int:
        return int(self._client.stats()[b'time'])


class Faults(faults.Faults):
    """One server or more, and a key prefix of its own for each test.

    A member's ``expiry`` is its time to live on the servers.
    """

    driver = 'mc'
    size = 1
    report_interval = 1
    servers: list[Memcached]

    @classmethod
    def start_backend(cls) -> None:
        cls.servers = [
            Memcached(cls.root / f'memcached{number}', **cls.server_options())
            for number in range(cls.size)
        ]
        for each in cls.servers:
            cls.addClassCleanup(each.kill)  # type: ignore[attr-defined]
            each.start()

    @classmethod
    def server_options(cls) -> dict[str, Any]:
        return {}

    @property
    def server(self) -> Memcached:
        """The first server, which may be the only one."""
        return self.servers[0]

    def lose_backend(self) -> None:
        for each in self.servers:
            each.kill()

    def restore_backend(self) -> None:
        for each in self.servers:
            each.thaw()
            if not each.running:
                each.start()

    def options(self) -> tuple[str, str]:
        addresses = ','.join(each.address for each in self.servers)
        return (
            f'memcached_servers = {addresses}',
            f'[memcached]\nkey_prefix = {self.unique}\n',
        )

    @property
    def expiry(self) -> float:
        return max(self.down_time, 3 * self.report_interval)

    @property
    def beat(self) -> float:
        return self.report_interval

    @property
    def not_before(self) -> float:
        # memcached counts whole seconds.
        return self.expiry - self.report_interval - 1

    @property
    def skipped(self) -> float:
        """See fault_contract.DeathFaults."""
        return self.report_interval

    @property
    def dead_within(self) -> float:
        return self.expiry + 1 + self.refresh

    def settle(self) -> None:
        # A server that was empty is doubted for a while; see
        # _memcached.Answer.
        time.sleep(2 * self.report_interval + 2)

    @property
    def keys(self) -> keyspace.Keys:
        """The names of things on the servers."""
        return keyspace.Keys(self.unique)

    def key(self, host: str) -> bytes:
        """Return the key that keeps a member alive."""
        prefix: bytes = tooz_memcached.MemcachedDriver.MEMBER_PREFIX
        return prefix + self.keys.member(contract.GROUP, host).encode()

    def pulse(self, server: Memcached, *hosts: str) -> Pulse:
        """Return what watches, from now on, how members are renewed."""
        made = Pulse(server, [self.key(host) for host in hosts])
        made.start()
        self.addCleanup(made.stop)  # type: ignore[attr-defined]
        return made

    def hollow(self, *hosts: str) -> None:
        """Have members that all live in a thread of this process."""
        service = base.FakeService(report_interval=self.report_interval)
        for host in hosts:
            self.api.join(host, contract.GROUP, service)
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self.report_interval):
                service.fire()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        self.addCleanup(thread.join)  # type: ignore[attr-defined]
        self.addCleanup(ended.set)  # type: ignore[attr-defined]
