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


import redis as redis_py

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import unfit_contract
from nova_servicegroup.tests.harness import redis

TTL = 4


class RedisBackend(contract.OneServer):
    """One server, and a namespace of its own for each test."""

    driver = 'redis'
    down_within = TTL + 1.0
    not_before = TTL * 2 / 3 - 0.2
    leaves_within = 1.0
    # A group that was just made may be one that was wiped.
    knows_within = 1.5 * TTL + 1.0

    @classmethod
    def make_server(cls) -> redis.Redis:
        return redis.Redis(cls.root / 'redis')

    @classmethod
    def start_backend(cls) -> None:
        super().start_backend()
        # One that was just started is doubted for a while.
        cls.server.wait_age(1.5 * TTL)

    def options(self) -> tuple[str, str]:
        return '', (
            f'[redis]\naddress = {self.server.address}\n'
            f'ttl = {TTL}\nnamespace = {self.unique}\n'
        )


class MemberTest(
    RedisBackend, contract.MemberContract, contract.FunctionalTestCase
):
    pass


class ObserverTest(
    RedisBackend, contract.ObserverContract, contract.FunctionalTestCase
):
    pass


class OutageTest(
    RedisBackend, contract.OutageContract, contract.FunctionalTestCase
):
    pass


class UnfitTest(
    RedisBackend, unfit_contract.UnfitContract, contract.FunctionalTestCase
):
    def test_one_that_stops_leaves_no_mark(self) -> None:
        self.start()
        self.say(unfit_contract.STOPS)
        client = redis_py.Redis(port=self.server.port)
        self.addCleanup(client.close)
        pattern = f'{self.unique}_beats:host1@*'
        self.assertEqual(2, len(client.keys(pattern)))
        self.members[0].stop()
        self.wait_down('host1', self.leaves_within)
        self.assertEqual([], client.keys(pattern))

    def plant(self, host: str, mark: bytes) -> None:
        """See UnfitContract."""
        client = redis_py.Redis(port=self.server.port)
        self.addCleanup(client.close)
        group = f'{self.unique}_group:{contract.GROUP}'
        begin = f'{host}@'.encode()
        for each in client.hkeys(group):
            if each.startswith(begin) and b'!' not in each:
                name = each + b'!' + mark
                client.set(f'{self.unique}_beats:'.encode() + name, b'1')
                client.hset(group, name, b'')
