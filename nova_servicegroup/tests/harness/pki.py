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

"""Certificates for servers and clients that speak TLS."""

import pathlib
import subprocess

#: The password of the client's encrypted key.
PASSWORD = 'hush-hush'


class Pki:
    """An authority, and certificates of a server and a client.

    The server's is for 127.0.0.1. Keys are also there in one file with their
    certificate, and the client's once more behind PASSWORD.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        directory.mkdir()
        self._directory = directory
        self.ca = directory / 'ca.pem'
        self.server = directory / 'server.pem'
        self.server_key = directory / 'server.key'
        self.client = directory / 'client.pem'
        self.client_key = directory / 'client.key'
        self.client_locked_key = directory / 'client-locked.key'
        self._openssl(
            *'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca'.split(),
            *'-keyout ca.key -out ca.pem'.split(),
        )
        self.server_both = self.issue('server')
        self.client_both = self.issue('client')
        #: A server's that the authority has signed too, for another name.
        self.elsewhere_both = self.issue('elsewhere', 'DNS:elsewhere')
        self._openssl(
            *'rsa -aes256 -in client.key -out client-locked.key'.split(),
            *f'-passout pass:{PASSWORD}'.split(),
        )

    def options(self) -> str:
        """Return the lines of nova.conf with which a client uses TLS."""
        return (
            f'use_tls = true\nca_file = {self.ca}\n'
            f'cert_file = {self.client}\nkey_file = {self.client_key}\n'
        )

    def issue(self, name: str, subject: str = 'IP:127.0.0.1') -> pathlib.Path:
        """Issue a certificate; return the file with it and its key.

        :param subject: whose it is, as openssl writes a subjectAltName
        """
        extensions = self._directory / 'extensions'
        extensions.write_text(f'subjectAltName = {subject}\n')
        self._openssl(
            *f'req -newkey rsa:2048 -nodes -subj /CN={name}'.split(),
            *f'-keyout {name}.key -out {name}.csr'.split(),
        )
        self._openssl(
            *f'x509 -req -in {name}.csr -days 2 -out {name}.pem'.split(),
            *'-CA ca.pem -CAkey ca.key -CAcreateserial'.split(),
            *'-extfile extensions'.split(),
        )
        both = self._directory / f'{name}-both.pem'
        parts = [self._directory / f'{name}.{end}' for end in ('key', 'pem')]
        both.write_text(''.join(each.read_text() for each in parts))
        return both

    def _openssl(self, *words: str) -> None:
        subprocess.run(
            ['openssl', *words],
            cwd=self._directory,
            check=True,
            capture_output=True,
        )
