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


import contextlib

from kazoo import client
from kazoo import exceptions

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import unfit_contract
from nova_servicegroup.tests.harness import zookeeper

TICK = 0.5
SESSION_TIMEOUT = 4


class ZooKeeperBackend(contract.OneServer):
    """One server, and a root of its own for each test."""

    driver = 'zk'
    down_within = SESSION_TIMEOUT + 1.5 * TICK + 0.5
    not_before = SESSION_TIMEOUT * 2 / 3 - 0.2
    leaves_within = 1.0
    # A group that was just made may be one that was wiped.
    knows_within = 1.5 * SESSION_TIMEOUT + 1.0
    session_timeout = SESSION_TIMEOUT

    @classmethod
    def make_server(cls) -> zookeeper.ZooKeeper:
        return zookeeper.ZooKeeper(
            cls.root / 'zookeeper', tick_ms=int(1000 * TICK)
        )

    def options(self) -> tuple[str, str]:
        return '', (
            f'[zookeeper]\naddress = "{self.server.address}"\n'
            f'session_timeout = {self.session_timeout}\n'
            f'namespace = {self.unique}\n'
        )


class MemberTest(
    ZooKeeperBackend, contract.MemberContract, contract.FunctionalTestCase
):
    pass


class ObserverTest(
    ZooKeeperBackend, contract.ObserverContract, contract.FunctionalTestCase
):
    pass


class OutageTest(
    ZooKeeperBackend, contract.OutageContract, contract.FunctionalTestCase
):
    pass


class UnfitTest(
    ZooKeeperBackend, unfit_contract.UnfitContract, contract.FunctionalTestCase
):
    def plant(self, host: str, mark: bytes) -> None:
        """See UnfitContract. The servers refuse control characters."""
        session = client.KazooClient(self.server.address)
        session.start()
        self.addCleanup(session.close)
        self.addCleanup(session.stop)
        path = f'/{self.unique}/{contract.GROUP}'
        begin = f'{host}@'
        for each in session.get_children(path):
            if each.startswith(begin) and '!' not in each:
                name = f'{each}!{mark.decode("latin-1")}'
                with contextlib.suppress(exceptions.BadArgumentsError):
                    session.create(f'{path}/{name}', ephemeral=True)
