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


from collections.abc import Mapping
from typing import Any

from pymemcache.client import base as pymemcache

from nova_servicegroup import condition
from nova_servicegroup.drivers.mc import coordinators
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import unfit_contract
from nova_servicegroup.tests.harness import memcached
from nova_servicegroup.tests.harness import process

SERVERS = 2


class MemcachedBackend:
    """Two servers, and a key prefix of its own for each test."""

    driver = 'mc'
    down_within = contract.SERVICE_DOWN_TIME + 1.5
    not_before = contract.SERVICE_DOWN_TIME - contract.REPORT_INTERVAL - 1.0
    leaves_within = 1.0
    knows_within = 2.0 * contract.REPORT_INTERVAL + 3.0
    server_options: Mapping[str, Any] = {}
    servers: list[memcached.Memcached]

    @classmethod
    def start_backend(cls) -> None:
        cls.servers = [
            memcached.Memcached(
                cls.root / f'memcached{number}', **cls.server_options
            )
            for number in range(SERVERS)
        ]
        for server in cls.servers:
            cls.addClassCleanup(server.kill)
            server.start()

    def options(self) -> tuple[str, str]:
        addresses = ','.join(server.address for server in self.servers)
        return (
            f'memcached_servers = {addresses}',
            f'[memcached]\nkey_prefix = {self.unique}\n',
        )

    def lose_backend(self) -> None:
        for server in self.servers:
            server.kill()
        self.addCleanup(self.restore_backend)

    def restore_backend(self) -> None:
        for server in self.servers:
            server.thaw()
            if not server.running:
                server.start()


class MemberTest(
    MemcachedBackend, contract.MemberContract, contract.FunctionalTestCase
):
    pass


class ObserverTest(
    MemcachedBackend, contract.ObserverContract, contract.FunctionalTestCase
):
    pass


class OutageTest(
    MemcachedBackend, contract.OutageContract, contract.FunctionalTestCase
):
    def test_one_server_less_makes_nobody_down(self) -> None:
        self.running('host1')
        self.servers[0].kill()
        self.addCleanup(self.restore_backend)
        self.watch(2.0 * contract.SERVICE_DOWN_TIME, 'host1')
        self.servers[0].start()
        self.watch(1.0, 'host1')

    def test_an_emptied_server_makes_nobody_down(self) -> None:
        self.running('host1')
        for server in self.servers:
            server.wipe()
        self.watch(2.0 * contract.SERVICE_DOWN_TIME, 'host1')


class UnfitTest(
    MemcachedBackend, unfit_contract.UnfitContract, contract.FunctionalTestCase
):
    def plant(self, host: str, mark: bytes) -> None:
        """See UnfitContract."""
        name = keyspace.Keys(self.unique).member(contract.GROUP, host)
        key = coordinators.member_key(name)
        for server in self.servers:
            client = pymemcache.Client(('127.0.0.1', server.port), timeout=5)
            self.addCleanup(client.close)
            client.set(key, b'twelve bytes' + mark, expire=60, flags=1)

    def test_a_mark_that_another_has_written(self) -> None:
        """It lasts until the host's next heartbeat, unless it is kept up."""
        self.start()
        mark = condition.encode(unfit_contract.FAILS).encode()

        def heeded() -> bool:
            self.plant('host2', mark)
            return not self.is_chosen('host2')

        process.wait_until(heeded, 10.0, 0.2)
        self.assertTrue(self.is_up('host2'))
        process.wait_until(
            lambda: self.is_chosen('host2'), contract.START, 0.01
        )
