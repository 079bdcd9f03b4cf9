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


"""What the tests of the zk driver under faults share."""

from kazoo import client

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.tests.functional import cluster_faults
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.harness import zookeeper

_CONFIG = """
[zookeeper]
address = "{address}"
session_timeout = {session}
namespace = {namespace}
"""


class Faults(cluster_faults.Faults):
    """One server, or an ensemble.

    Times are in seconds: ``tick`` of the servers, ``session`` (timeout).
    """

    driver = 'zk'
    tick = 0.5
    session = 2

    @classmethod
    def make_servers(cls) -> zookeeper.Ensemble:
        return zookeeper.Ensemble(
            cls.root / 'zookeeper',
            cls.size,
            int(1000 * cls.tick),
            **cls.server_options(),
        )

    def options(self) -> tuple[str, str]:
        return '', _CONFIG.format(
            address=self.servers.address,
            session=self.session,
            namespace=self.unique,
        )

    def run_options(self) -> dict[str, float]:
        """See base.TestCase."""
        more = {'session_timeout': self.session, 'tick': self.tick}
        return {**super().run_options(), **more}

    @property
    def expiry(self) -> float:
        return self.session

    @property
    def dead_within(self) -> float:
        return self.session + 1.5 * self.tick + self.refresh

    def hollow(self, *hosts: str) -> client.KazooClient:
        """Return the session of members that are nothing but their node."""
        # By itself, it pauses longer and longer while the servers start.
        retry = {'max_tries': -1, 'max_delay': 1.0}
        session = client.KazooClient(
            self.servers.address, timeout=20, connection_retry=retry
        )
        session.start()
        self.addCleanup(session.close)  # type: ignore[attr-defined]
        self.addCleanup(session.stop)  # type: ignore[attr-defined]
        for host in hosts:
            path = f'{self.path}/{naming.member_id(host).decode()}'
            session.create(path, ephemeral=True, makepath=True)
        return session

    @property
    def path(self) -> str:
        """Where ZooKeeper keeps the group."""
        return f'/{self.unique}/{contract.GROUP}'
