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

"""The doctor on real etcd servers, well and ill."""

import http.server
import threading

from nova_servicegroup.doctor import finding
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_doctor
from nova_servicegroup.tests.functional import test_etcd_security
from nova_servicegroup.tests import harness
from nova_servicegroup.tests.harness import etcd

OK, WARNING, ERROR = finding.Level


class _Foreign(http.server.BaseHTTPRequestHandler):
    """Answers what no etcd does."""

    def do_POST(self) -> None:
        self.send_response(418)
        self.end_headers()
        self.wfile.write(b'x\x1b[2J')

    def log_message(self, *args: object) -> None:
        pass


class ClusterTest(test_doctor.ClusterDoctor, contract.FunctionalTestCase):
    driver = 'etcd'
    # Nobody renews members here.
    ttl = 20

    serving = '2 of 3 servers serve.'
    mute = 'timed out'

    @classmethod
    def make_servers(cls) -> etcd.Cluster:
        return etcd.Cluster(cls.root / 'etcd', 3)

    def options(self) -> tuple[str, str]:
        return '', (
            f'[etcd]\naddress = "{self.servers.address}"\n'
            f'ttl = {self.ttl}\nnamespace = {self.unique}\n'
        )

    def test_healthy(self) -> None:
        self.assert_healthy(
            'one cluster: 1 leader, 2 followers',
            f'A member could join: leases last {self.ttl} s, as configured.',
        )

    def test_it_leaves_nothing_behind(self) -> None:
        self.join('host1')
        one = self.servers.servers[0]
        before = one.keys(b'tooz/'), len(self._leases(one))
        self.examine('etcd')
        self.assertEqual(before, (one.keys(b'tooz/'), len(self._leases(one))))

    def _leases(self, one: etcd.Etcd) -> list[object]:
        found = one.ask('lease/leases', {})
        return list(found.get('leases', ()))

    def test_a_frozen_server(self) -> None:
        frozen = self.servers.follower()
        self.addCleanup(self.restore_backend)
        frozen.freeze()
        found = self.examine('etcd')
        self.assert_found(found, WARNING, frozen.address, 'timed out')

    def test_a_majority_that_is_gone(self) -> None:
        self.addCleanup(self.restore_backend)
        for each in self.servers.servers[:2]:
            each.kill()
        found = self.examine('etcd')
        self.assert_found(
            found,
            ERROR,
            f'{self.servers.servers[2].address} runs, but',
            'most of the servers',
        )

    def test_one_of_three_is_named(self) -> None:
        one = self.servers.servers[0].address
        self.configure(self.servers.address, one)
        found = self.examine('etcd')
        self.assert_found(found, WARNING, '3 servers; 1 of them named')

    def test_a_wrong_address(self) -> None:
        wrong = f'127.0.0.1:{harness.free_port()}'
        self.configure(f'"{self.servers.address}"', wrong)
        found = self.examine()
        self.assert_found(
            found, ERROR, wrong, 'refused', 'No service can report'
        )

    def test_another_server_than_etcd(self) -> None:
        server = http.server.HTTPServer(('127.0.0.1', 0), _Foreign)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f'127.0.0.1:{server.server_port}'
        self.configure(f'"{self.servers.address}"', address)
        found = self.examine('etcd')
        self.assert_found(found, ERROR, address, r'418 x\x1b[2J')

    def test_no_space(self) -> None:
        one = self.servers.servers[0]
        said = one.ask('maintenance/status', {})
        alarm = {'memberID': said['header']['member_id'], 'alarm': 'NOSPACE'}
        self.addCleanup(
            one.ask, 'maintenance/alarm', {'action': 'DEACTIVATE', **alarm}
        )
        one.ask('maintenance/alarm', {'action': 'ACTIVATE', **alarm})
        found = self.examine('etcd')
        self.assert_found(found, ERROR, 'alarm:NOSPACE', 'alarm disarm')
        self.assert_found(
            found, ERROR, 'could not join', 'database space exceeded'
        )

    def test_a_lease_that_is_longer(self) -> None:
        self.configure(f'ttl = {self.ttl}', 'ttl = 2')
        self.configure('service_down_time = 30', 'service_down_time = 6')
        slow = etcd.Etcd(
            self.root / 'slow',
            options=['--heartbeat-interval=500', '--election-timeout=5000'],
        )
        self.addCleanup(slow.kill)
        slow.start()
        self.configure(f'"{self.servers.address}"', slow.address)
        found = self.examine('etcd')
        self.assert_found(found, ERROR, 'more than service_down_time = 6')

    def test_two_clusters(self) -> None:
        other = etcd.Etcd(self.root / 'other')
        self.addCleanup(other.kill)
        other.start()
        one = self.servers.servers[0].address
        self.configure(self.servers.address, f'{one},{other.address}')
        self.assert_found(self.examine('etcd'), ERROR, 'not one cluster')


class UserTest(
    test_etcd_security.User, test_doctor.Doctor, contract.FunctionalTestCase
):
    """A user who may touch the groups of one namespace, and nothing else."""

    def test_healthy(self) -> None:
        found = self.examine('etcd')
        self.assertEqual({OK}, {each.level for each in found}, found)
        self.assert_found(found, OK, 'as user nova, without TLS')
        self.assert_found(found, OK, 'A member could join')

    def test_a_wrong_password(self) -> None:
        self.configure(test_etcd_security.PASSWORD, 'other-secret')
        found = self.examine('etcd')
        self.assert_found(found, ERROR, 'authentication failed', 'username')
        _, shown = self.run_command('--json')
        self.assertNotIn('other-secret', shown)

    def test_no_user(self) -> None:
        text = self.config.read_text().replace('username', '#')
        self.config.write_text(text.replace('password', '#'))
        self.assert_found(self.examine('etcd'), ERROR, '[etcd] username')

    def test_no_permission(self) -> None:
        self.configure(' = ours', ' = theirs')
        self.assert_found(
            self.examine('etcd'), ERROR, 'permission denied', 'tooz/groups/'
        )


class TlsTest(
    test_etcd_security.Tls, test_doctor.Doctor, contract.FunctionalTestCase
):
    """A server that wants a certificate of its clients."""

    def test_healthy(self) -> None:
        found = self.examine('etcd')
        self.assertEqual({OK}, {each.level for each in found}, found)
        self.assert_found(found, OK, 'with TLS and a certificate of our own')

    def test_another_authority(self) -> None:
        self.configure(str(self.pki.ca), str(self.other.ca))
        self.assert_found(
            self.examine('etcd'),
            ERROR,
            'certificate verify failed',
            'ca_file has',
        )
