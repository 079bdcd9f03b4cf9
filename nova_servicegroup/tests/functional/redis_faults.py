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


"""What the tests of the redis driver under faults share."""

from collections.abc import Mapping
from typing import Any

import redis as redis_py

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.harness import redis


class Faults(faults.Faults):
    """One server, and a namespace of its own for each test."""

    driver = 'redis'
    ttl = 3
    server: redis.Redis

    @classmethod
    def start_backend(cls) -> None:
        cls.server = redis.Redis(cls.root / 'redis', **cls.server_options())
        cls.addClassCleanup(cls.server.kill)  # type: ignore[attr-defined]
        cls.server.start()

    @classmethod
    def server_options(cls) -> dict[str, Any]:
        return {}

    def lose_backend(self) -> None:
        self.server.kill()

    def restore_backend(self) -> None:
        self.server.thaw()
        if not self.server.running:
            self.server.start()

    def place(self) -> Mapping[str, object]:
        """Return the options that tell where the server is."""
        return {'address': self.server.address}

    def options(self) -> tuple[str, str]:
        given = {
            **self.place(),
            'ttl': self.ttl,
            'namespace': self.unique,
        }
        lines = [f'{name} = {value}\n' for name, value in given.items()]
        return '', '[redis]\n' + ''.join(lines)

    def run_options(self) -> dict[str, float]:
        """See base.TestCase."""
        return {**super().run_options(), 'ttl': self.ttl}

    @property
    def expiry(self) -> float:
        return self.ttl

    @property
    def beat(self) -> float:
        return self.ttl / 3

    @property
    def not_before(self) -> float:
        return self.ttl * 2 / 3

    @property
    def dead_within(self) -> float:
        return self.ttl + self.refresh + 0.5

    def client(self) -> redis_py.Redis:
        """Return a client that knows nothing of the driver."""
        made = redis_py.Redis(port=self.server.port)
        self.addCleanup(made.close)  # type: ignore[attr-defined]
        return made

    @property
    def group(self) -> str:
        """The key of the group."""
        return f'{self.unique}_group:{contract.GROUP}'

    def key(self, member_id: bytes) -> str:
        """Return the key that keeps a member alive."""
        return f'{self.unique}_beats:{member_id.decode()}'

    def ids(self, client: redis_py.Redis, host: str) -> list[bytes]:
        """Return the member ids of a host that the group has."""
        begin = f'{naming.escape(host)}@'.encode()
        return [
            each for each in client.hkeys(self.group) if each.startswith(begin)
        ]

    def hollow(self, *hosts: str) -> redis_py.Redis:
        """Have members that nobody needs to renew; return a client."""
        client = self.client()
        # As tooz makes a group.
        client.hset(self.group, '__created__', b'1')
        for host in hosts:
            name = naming.member_id(host)
            client.set(self.key(name), b'1')
            client.hset(self.group, name, b'\x80')
        return client
