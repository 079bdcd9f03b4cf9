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

from nova_servicegroup.drivers.etcd import members
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import unfit_contract
from nova_servicegroup.tests.harness import etcd

TTL = 4


class EtcdBackend(contract.OneServer):
    """One server, and a namespace of its own for each test."""

    driver = 'etcd'
    down_within = TTL + 1.0 + 0.5
    not_before = TTL * 2 / 3 - 0.2
    leaves_within = 1.0
    # A group that was just made may be one that was wiped.
    knows_within = 1.5 * TTL + 1.0
    ttl = TTL

    @classmethod
    def make_server(cls) -> etcd.Etcd:
        return etcd.Etcd(cls.root / 'etcd')

    def options(self) -> tuple[str, str]:
        return '', (
            f'[etcd]\naddress = "{self.server.address}"\n'
            f'ttl = {self.ttl}\n'
            f'namespace = {self.unique}\n'
        )


class MemberTest(
    EtcdBackend, contract.MemberContract, contract.FunctionalTestCase
):
    pass


class LogTest(EtcdBackend, contract.Contract, contract.FunctionalTestCase):
    def test_heartbeats_write_nothing_to_the_log_of_etcd(self) -> None:
        self.running()
        # The lease of a reader is not renewed, and its end is logged.
        self.watch(1.5 * TTL, 'host1')
        before = self.log_index()
        self.watch(2.0 * TTL, 'host1')
        self.assertEqual(before, self.log_index())

    def log_index(self) -> int:
        """Return the number of entries in the log of etcd."""
        return int(self.server.ask('maintenance/status', {})['raftIndex'])


class ObserverTest(
    EtcdBackend, contract.ObserverContract, contract.FunctionalTestCase
):
    pass


class OutageTest(
    EtcdBackend, contract.OutageContract, contract.FunctionalTestCase
):
    pass


class UnfitTest(
    EtcdBackend, unfit_contract.UnfitContract, contract.FunctionalTestCase
):
    def plant(self, host: str, mark: bytes) -> None:
        """See UnfitContract."""
        key = members.key(self.unique, contract.GROUP.encode())
        begin = key + host.encode() + b'@'
        for each in self.server.keys(key):
            if each.startswith(begin) and b'!' not in each:
                self.server.put(each + b'!' + mark, b'')
