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

"""What the tests of the etcd driver under faults share."""

import threading

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.etcd import members
from nova_servicegroup.tests.functional import cluster_faults
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.harness import etcd

_CONFIG = """
[etcd]
address = "{address}"
ttl = {ttl}
namespace = {namespace}
"""


class Faults(cluster_faults.Faults):
    """One server, or a cluster.

    :ivar ttl: of a lease, in seconds
    """

    driver = 'etcd'
    ttl = 2

    @classmethod
    def make_servers(cls) -> etcd.Cluster:
        return etcd.Cluster(
            cls.root / 'etcd', cls.size, **cls.server_options()
        )

    def options(self) -> tuple[str, str]:
        return '', _CONFIG.format(
            address=self.servers.address,
            ttl=self.ttl,
            namespace=self.unique,
        )

    def run_options(self) -> dict[str, float]:
        """See base.TestCase."""
        return {**super().run_options(), 'ttl': self.ttl}

    @property
    def expiry(self) -> float:
        return self.ttl

    @property
    def dead_within(self) -> float:
        return self.ttl + 1.0 + self.refresh

    def hollow(self, *hosts: str) -> None:
        """Have members in the group that are nothing but their key."""
        one = self.servers.one
        for host in hosts:
            lease = int(one.ask('lease/grant', {'TTL': 60})['ID'])
            member = naming.member_id(host)
            joining = members.join(self.key, member, lease, b'\xc0')
            one.ask('kv/txn', joining)
            self._renew(one, lease)

    def _renew(self, one: etcd.Etcd, lease: int) -> None:
        timer = threading.Timer(20, self._renew, (one, lease))
        timer.daemon = True
        one.ask('lease/keepalive', {'ID': lease})
        timer.start()
        self.addCleanup(timer.cancel)  # type: ignore[attr-defined]

    @property
    def key(self) -> bytes:
        """The key of the group."""
        return members.key(self.unique, contract.GROUP.encode())

    def members_now(self) -> list[bytes]:
        """Return the keys of members."""
        found = self.servers.one.keys(self.key)
        return sorted(each for each in found if each != self.key)
