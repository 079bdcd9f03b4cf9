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

import contextlib
import re
import socket
import ssl
import struct
import threading
import time

import fixtures
from kazoo import client
from kazoo import exceptions as kazoo_exceptions
from kazoo import security

from nova_servicegroup.doctor import zk
from nova_servicegroup import exceptions
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import pki
from nova_servicegroup.tests.harness import ports
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
        self.watch(2.0, 'host1')
        # What is connected once more shows who it has been.
        self.restore_backend()
        self.watch(4.0, 'host1')
        credential = security.make_digest_acl_credential('nova', PASSWORD)
        digest = credential.partition(':')[2]
        text = member.log.read_text()
        for request in ('Auth(', 'Connect(', 'Create('):
            self.assertIn(request, text)
        for secret in ('hush', digest):
            self.assertNotIn(secret, f'{text}{self.log.output}')
        self.assertEqual([], re.findall(r"passwd=(?!'\*\*\*').*", text))


class TlsTest(
    test_zk.ZooKeeperBackend, contract.Contract, contract.FunctionalTestCase
):
    """A server that wants a certificate of its clients."""

    pki: pki.Pki
    other: pki.Pki

    @classmethod
    def start_backend(cls) -> None:
        cls.pki = pki.Pki(cls.root / 'pki')
        cls.other = pki.Pki(cls.root / 'other')
        plain, secure = ports.free_ports(2)
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
        groups = groups.replace(self.server.address, self.secure)
        return '', groups + self.pki.options()

    def test_members_see_each_other(self) -> None:
        killed = self.running()
        killed.kill()
        self.wait_down('host1', self.down_within)

    def test_the_doctor_asks_by_a_session_alone(self) -> None:
        (seen,) = zk.ask(self.api.driver.conf)
        self.assertEqual(test_zk.SESSION_TIMEOUT, seen.session.granted)
        self.assertIsNone(seen.report)

    def test_the_doctor_names_a_server_that_is_not_trusted(self) -> None:
        self.change('ca_file', self.other.ca)
        (seen,) = zk.ask(self.make_api().driver.conf)
        self.assertIsNone(seen.session)
        (found,) = zk.judge_servers([seen])
        self.assertIn('certificate verify failed', found.what)
        self.assertIn('ca_file', found.advice)

    def change(self, option: str, value: object) -> None:
        """Give an option of [zookeeper], the last group, another value."""
        lines = [
            line
            for line in self.config.read_text().splitlines()
            if not line.startswith(f'{option} ')
        ]
        lines += [] if value is None else [f'{option} = {value}']
        self.config.write_text('\n'.join(lines) + '\n')

    def refused(self) -> str:
        """Return why a new client that is told so gets no session."""
        check, begun = self.make_api().driver.check, time.monotonic()
        error = self.assertRaises(exceptions.BackendError, check)
        self.measured('refused', time.monotonic() - begun)
        return str(error)

    def test_a_client_without_certificate_is_refused(self) -> None:
        self.change('cert_file', None)
        self.change('key_file', None)
        self.refused()

    def test_a_certificate_is_no_user(self) -> None:
        self.running()
        let_in = client.KazooClient(
            self.secure,
            use_ssl=True,
            ca=str(self.pki.ca),
            certfile=str(self.pki.client),
            keyfile=str(self.pki.client_key),
        )
        let_in.start(timeout=10)
        self.addCleanup(let_in.stop)
        let_in.delete(f'/{self.unique}/compute', recursive=True)

    def test_an_eventlet_service_joins_too(self) -> None:
        killed = self.running(mode='eventlet')
        killed.kill()
        self.wait_down('host1', self.down_within)

    def test_a_certificate_and_its_key_may_be_one_file(self) -> None:
        self.change('cert_file', self.pki.client_both)
        self.change('key_file', None)
        self.assertIn('answer', self.make_api().driver.check())

    def test_a_key_may_have_a_password_and_no_log_has_it(self) -> None:
        self.change('key_file', self.pki.client_locked_key)
        error = self.assertRaises(exceptions.ConfigurationError, self.make_api)
        self.assertIn('[zookeeper] cert_file', str(error))
        self.change('key_password', pki.PASSWORD)
        member = self.running()
        self.assertNotIn(pki.PASSWORD, member.log.read_text())

    def test_a_server_must_have_its_name_in_its_certificate(self) -> None:
        text = self.config.read_text()
        self.config.write_text(text.replace('127.0.0.1', 'localhost'))
        begun = time.monotonic()
        self.assertIn("not valid for 'localhost'", self.refused())
        # It is not waited for.
        self.assert_within(time.monotonic() - begun, 2.0)
        lines = self.log_lines('WARNING')
        self.assertEqual(1, len(lines), lines)
        for part in ('localhost', 'check_hostname'):
            self.assertIn(part, lines[0])
        self.change('check_hostname', 'false')
        self.assertIn('answer', self.make_api().driver.check())

    def test_no_authority_but_the_named_one_is_trusted(self) -> None:
        self.change('ca_file', self.other.ca)
        # Where the system trusts it.
        with fixtures.EnvironmentVariable('SSL_CERT_FILE', str(self.pki.ca)):
            self.assertIn('certificate verify failed', self.refused())
            self.change('ca_file', None)
            self.assertIn('answer', self.make_api().driver.check())

    def test_a_file_that_is_broken_later_ends_nothing(self) -> None:
        copy = self.directory / 'ca.pem'
        copy.write_text(self.pki.ca.read_text())
        self.change('ca_file', copy)
        member = self.running()
        copy.write_text('garbage')
        self.server.kill()
        self.addCleanup(self.restore_backend)
        self.restore_backend()
        process.wait_until(lambda: 'No TLS' in member.log.read_text(), 20)
        copy.write_text(self.pki.ca.read_text())
        self.wait_up()

    def test_no_password_is_told_to_a_server_of_another_name(self) -> None:
        impostor = Impostor(self.pki)
        self.addCleanup(impostor.close)
        self.change('address', impostor.address)
        for option in ('username', 'password'):
            self.change(option, 'hush')
        self.assertIn('not valid for', self.refused())
        self.assertEqual(b'', impostor.heard)
        self.change('check_hostname', 'false')
        self.make_member().start()
        process.wait_until(lambda: b'hush:hush' in impostor.heard, 20)


class Impostor:
    """A server with a certificate of the authority, but for another name.

    :param keys: of the authority; None: it speaks no TLS
    :ivar heard: what clients have told it
    """

    def __init__(self, keys: pki.Pki | None = None) -> None:
        self.heard = b''
        self._server = socket.create_server(('127.0.0.1', 0))
        self.address = f'127.0.0.1:{self._server.getsockname()[1]}'
        if keys is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(keys.elsewhere_both)
            self._server = context.wrap_socket(self._server, server_side=True)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        self._server.close()

    def _serve(self) -> None:
        while self._server.fileno() >= 0:
            with contextlib.suppress(OSError):
                client, _ = self._server.accept()
                with client:
                    self._listen(client)

    def _listen(self, client: socket.socket) -> None:
        """Grant a session to whoever asks, and hear what follows."""
        client.settimeout(5)
        self.heard += client.recv(1000)
        answer = struct.pack('>iiqi16sb', 0, 4000, 17, 16, b'x' * 16, 0)
        client.sendall(struct.pack('>i', len(answer)) + answer)
        self.heard += client.recv(1000)


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
