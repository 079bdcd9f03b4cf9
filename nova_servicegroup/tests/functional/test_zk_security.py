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


"""Who may see and touch the groups, and what the log gives away."""

from kazoo import client
from kazoo import exceptions as kazoo_exceptions

from nova_servicegroup.doctor import zk
from nova_servicegroup import exceptions
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import pki
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import zookeeper

PASSWORD = 'hush-hush@:%&='


class DigestTest(
    test_zk.ZooKeeperBackend, contract.Contract, contract.FunctionalTestCase
):
    """A user and a password."""

    def options(self) -> tuple[str, str]:
        _, groups = super().options()
        # With debug, kazoo tells what it does, too.
        return (
            'debug = true',
            f'{groups}username = nova\npassword = {PASSWORD}\n',
        )

    def stranger(self, **how: object) -> client.KazooClient:
        made = client.KazooClient(self.server.address, **how)
        made.start(timeout=10)
        self.addCleanup(made.stop)
        return made

    def test_members_see_each_other(self) -> None:
        killed = self.running()
        killed.kill()
        self.wait_down('host1', self.down_within)

    def test_strangers_can_neither_read_nor_delete(self) -> None:
        self.running()
        stranger = self.stranger()
        group = f'/{self.unique}/compute'
        for touch in (
            lambda: stranger.get_children(f'/{self.unique}'),
            lambda: stranger.get_children(group),
            lambda: stranger.create(f'{group}/intruder'),
            lambda: stranger.set_acls(group, []),
            lambda: stranger.delete(f'/{self.unique}', recursive=True),
        ):
            self.assertRaises(
                (
                    kazoo_exceptions.NoAuthError,
                    kazoo_exceptions.InvalidACLError,
                ),
                touch,
            )
        self.watch(1.0, 'host1')

    def test_a_wrong_password_is_an_error_that_hides_it(self) -> None:
        self.running()
        text = self.config.read_text().replace(PASSWORD, 'other-secret')
        self.config.write_text(text)
        stranger = self.make_api()
        error = self.assertRaises(
            exceptions.BackendError, stranger.get_all, contract.GROUP
        )
        self.assertIn('NoAuth', str(error))
        self.assertNotIn('other-secret', f'{error}{self.log.output}')

    def test_the_password_is_in_no_log(self) -> None:
        member = self.running()
        self.is_up()
        self.server.kill()
        self.addCleanup(self.restore_backend)
        self.watch(4.0, 'host1')
        for text in (member.log.read_text(), self.log.output):
            self.assertIn('ZooKeeper', text)
            self.assertNotIn('hush', text)


class TlsTest(
    test_zk.ZooKeeperBackend, contract.Contract, contract.FunctionalTestCase
):
    """A server that wants a certificate of its clients."""

    @classmethod
    def start_backend(cls) -> None:
        cls.pki = pki.Pki(cls.root / 'pki')
        plain, secure = process.free_ports(2)
        cls.secure = f'127.0.0.1:{secure}'
        cls.server = zookeeper.ZooKeeper(
            cls.root / 'zookeeper',
            port=plain,
            tick_ms=500,
            settings=_settings(cls.pki, secure),
        )
        cls.addClassCleanup(cls.server.kill)
        cls.server.start()

    def options(self) -> tuple[str, str]:
        _, groups = super().options()
        return '', (
            groups.replace(self.server.address, self.secure)
            + f'use_tls = true\nca_file = {self.pki.ca}\n'
            + f'cert_file = {self.pki.client}\n'
            + f'key_file = {self.pki.client_key}\n'
        )

    def test_members_see_each_other(self) -> None:
        killed = self.running()
        killed.kill()
        self.wait_down('host1', self.down_within)

    def test_the_doctor_looks_by_a_session_alone(self) -> None:
        (seen,) = zk.look(self.api.driver.conf)
        self.assertEqual(test_zk.SESSION_TIMEOUT, seen.session.granted)
        self.assertIsNone(seen.words)

    def test_a_client_without_certificate_is_refused(self) -> None:
        lines = self.config.read_text().splitlines()
        self.config.write_text(
            '\n'.join(
                line
                for line in lines
                if not line.startswith(('cert_file', 'key_file'))
            )
        )
        self.assertRaises(
            exceptions.BackendError, self.make_api().driver.check
        )


def _settings(keys: pki.Pki, port: int) -> dict[str, object]:
    """Return what zoo.cfg needs."""
    netty = 'org.apache.zookeeper.server.NettyServerCnxnFactory'
    return {
        'secureClientPort': port,
        'secureClientPortAddress': '127.0.0.1',
        'serverCnxnFactory': netty,
        'ssl.keyStore.location': keys.server_both,
        'ssl.keyStore.type': 'PEM',
        'ssl.trustStore.location': keys.ca,
        'ssl.trustStore.type': 'PEM',
        'ssl.clientAuth': 'need',
        'ssl.hostnameVerification': 'false',
    }
