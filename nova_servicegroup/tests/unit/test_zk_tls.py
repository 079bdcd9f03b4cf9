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


"""TLS to ZooKeeper: trusted servers, and options that cannot work."""

import contextlib
import socket
import ssl
import threading

import fixtures

from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup.drivers.zk import tls
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import pki


class TlsTest(base.TestCase):
    keys: pki.Pki
    other: pki.Pki

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        root = cls.make_root()
        cls.keys = pki.Pki(root / 'pki')
        cls.other = pki.Pki(root / 'other')

    def settings(self, *lines: str) -> kazoo_client.Settings:
        text = '\n'.join(lines)
        return kazoo_client.Settings(
            self.make_conf(
                f'[zookeeper]\naddress = h1:2281\nuse_tls = true\n{text}\n'
            )
        )

    def context(self, *lines: str) -> ssl.SSLContext:
        return tls.context(self.settings(*lines).conf.zookeeper)

    def test_names_are_compared_unless_configured_otherwise(self) -> None:
        for line, compared in (('', True), ('check_hostname = false', False)):
            made = self.context(line)
            self.assertIs(compared, made.check_hostname)
            self.assertIs(ssl.CERT_REQUIRED, made.verify_mode)

    def test_only_the_named_authority_is_trusted(self) -> None:
        self.useFixture(
            fixtures.EnvironmentVariable('SSL_CERT_FILE', str(self.other.ca))
        )
        system = self.context().get_ca_certs()
        named = self.context(f'ca_file = {self.keys.ca}').get_ca_certs()
        self.assertEqual(1, len(named))
        self.assertNotIn(named[0], system)
        self.assertTrue(system)

    def test_files_that_cannot_be_used_are_named(self) -> None:
        cert = f'cert_file = {self.keys.client}'
        locked = f'key_file = {self.keys.client_locked_key}'
        for option, lines in (
            ('ca_file', ['ca_file = /nowhere']),
            ('ca_file', [f'ca_file = {self.keys.client_key}']),
            ('cert_file', [cert]),
            ('cert_file', [f'key_file = {self.keys.client_key}']),
            ('cert_file', [cert, 'key_file = /nowhere']),
            ('cert_file', [cert, f'key_file = {self.other.client_key}']),
            # The password must not be asked for at a terminal.
            ('cert_file', [cert, locked]),
            ('cert_file', [cert, locked, 'key_password = wrong']),
        ):
            error = self.assertRaises(
                exceptions.ConfigurationError, self.settings, *lines
            )
            self.assertIn(f'[zookeeper] {option}', str(error))
            self.assertNotIn('wrong', str(error))
        self.settings(cert, locked, f'key_password = {pki.PASSWORD}')
        self.settings(f'cert_file = {self.keys.client_both}')

    def test_without_tls_no_file_is_read(self) -> None:
        self.settings('use_tls = false', 'ca_file = /nowhere')

    def tls(self, host: str) -> tls.Tls:
        options = self.settings(f'ca_file = {self.keys.ca}').conf.zookeeper
        return tls.Tls(options, [host])

    def test_an_address_is_compared_by_its_configured_name(self) -> None:
        # kazoo before 2.11 passes the address alone.
        tls = self.tls('localhost:2281')
        for address, name in (
            (('127.0.0.1', 2281), 'localhost'),
            (('127.0.0.1', 2282), '127.0.0.1'),
            (('127.0.0.9', 2281), '127.0.0.9'),
        ):
            self.assertEqual(name, tls._name_of(address))

    def test_a_server_without_tls_is_named_once(self) -> None:
        server = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(server.close)
        address = server.getsockname()
        tls = self.tls(f'localhost:{address[1]}')
        ended: list[bool] = []

        def answer() -> None:
            for _ in range(2):
                client, _ = server.accept()
                with client, contextlib.suppress(ConnectionError):
                    client.settimeout(5)
                    client.recv(1000)
                    client.sendall(b'This is plain text.\n')
                    while client.recv(1000):
                        pass
                ended.append(True)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        for _ in range(2):
            self.assertRaises(
                ssl.SSLError,
                tls.connect,
                socket.create_connection,
                address,
                'localhost',
                5,
            )
        thread.join()
        self.assertEqual([True, True], ended)
        lines = self.log_lines('WARNING')
        self.assertEqual(1, len(lines), lines)
        for part in ('localhost', '127.0.0.1', str(address[1]), 'ca_file'):
            self.assertIn(part, lines[0])

    def test_a_tooz_that_hides_its_client_is_not_used(self) -> None:
        # It must not connect by itself, which would compare no names.
        self.assertRaises(
            AttributeError, self.tls('localhost:2281').secure, object()
        )
