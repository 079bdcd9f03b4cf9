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

"""How many sessions a member has, whatever becomes of them."""

import pathlib
import re
import time

from kazoo import client
from kazoo import security

from nova_servicegroup import exceptions
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import zk_faults
from nova_servicegroup.tests.harness import proxy

#: For so many seconds a member tries in vain.
_IN_VAIN = 12.0
#: What a member process has, beside the two sessions.
_THREADS = 24


class DeniedTest(zk_faults.Faults, contract.FunctionalTestCase):
    """A member that connects, but may not use what it needs."""

    session = 4

    def start_clients(self) -> None:
        """Nothing runs before the servers belong to somebody else."""

    def own(self, path: str) -> client.KazooClient:
        """Give a node to somebody, and create it."""
        owner = client.KazooClient(self.servers.address)
        owner.start(timeout=10)
        self.addCleanup(owner.stop)
        owner.add_auth('digest', 'somebody:else')
        acl = security.make_digest_acl('somebody', 'else', all=True)
        if not owner.exists(path):
            owner.ensure_path(path, acl=[acl])
        return owner

    def sessions(self) -> int:
        """Return how many connections the servers have."""
        found = (each.command('cons') for each in self.servers.servers)
        return sum(len(re.findall('sid=', each)) for each in found)

    def assert_two_sessions(self, path: str) -> None:
        owner = self.own(path)
        before = self.sessions()
        member = self.make_member('host1')
        member.start()
        most = 0
        end = time.monotonic() + _IN_VAIN
        while time.monotonic() < end:
            most = max(most, self.sessions() - before)
            time.sleep(0.1)
        self.assertIn(most, (1, 2))
        self.assertLess(_threads(member.pid), _THREADS)
        self.assertIn('NoAuthError', member.log.read_text())
        owner.set_acls(f'/{self.unique}', security.OPEN_ACL_UNSAFE)
        for each in owner.get_children(f'/{self.unique}'):
            group = f'/{self.unique}/{each}'
            owner.set_acls(group, security.OPEN_ACL_UNSAFE)
        self.wait_up('host1', contract.GROUP)

    def test_the_namespace_is_somebody_elses(self) -> None:
        self.assert_two_sessions(f'/{self.unique}')

    def test_the_group_is_somebody_elses(self) -> None:
        path = f'/{self.unique}/{contract.GROUP}'
        self.own(path)
        error = self.assertRaises(
            exceptions.BackendError, self.make_api().get_all, contract.GROUP
        )
        self.assertIn('NoAuthError', str(error))
        self.assert_two_sessions(path)


class SlowTest(zk_faults.Faults, contract.FunctionalTestCase):
    """Servers that make a session, but not in a part of its timeout."""

    session = 4
    #: Three servers are given 1.33 s each.
    latency = 1.6

    def test_a_member_waits_long_enough_for_one(self) -> None:
        (server,) = self.servers.servers
        proxies = [
            proxy.Proxy(server.address, latency=self.latency) for _ in range(3)
        ]
        for each in proxies:
            self.addCleanup(each.close)
        address = ','.join(f'127.0.0.1:{each.port}' for each in proxies)
        text = self.config.read_text()
        self.config.write_text(text.replace(self.servers.address, address))
        self.make_member('host1').start()
        self.wait_up('host1', contract.GROUP)


def _threads(pid: int | None) -> int:
    status = pathlib.Path('/proc', str(pid), 'status')
    found = re.search(r'^Threads:\s+(\d+)$', status.read_text(), re.MULTILINE)
    assert found is not None  # noqa: S101
    return int(found.group(1))
