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

    The server's is for 127.0.0.1. Its key is also there in one file with its
    certificate, and the client's once more behind PASSWORD.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        directory.mkdir()
        self._directory = directory
        self.ca = directory / 'ca.pem'
        self.server = directory / 'server.pem'
        self.server_key = directory / 'server.key'
        self.server_both = directory / 'server-both.pem'
        self.client = directory / 'client.pem'
        self.client_key = directory / 'client.key'
        self.client_locked_key = directory / 'client-locked.key'
        self._openssl(
            *'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca'.split(),
            *'-keyout ca.key -out ca.pem'.split(),
        )
        self._issue('server')
        self._issue('client')
        self.server_both.write_text(
            self.server_key.read_text() + self.server.read_text()
        )
        self._openssl(
            *'rsa -aes256 -in client.key -out client-locked.key'.split(),
            *f'-passout pass:{PASSWORD}'.split(),
        )

    def _issue(self, name: str) -> None:
        extensions = self._directory / 'extensions'
        extensions.write_text('subjectAltName = IP:127.0.0.1\n')
        self._openssl(
            *f'req -newkey rsa:2048 -nodes -subj /CN={name}'.split(),
            *f'-keyout {name}.key -out {name}.csr'.split(),
        )
        self._openssl(
            *f'x509 -req -in {name}.csr -days 2 -out {name}.pem'.split(),
            *'-CA ca.pem -CAkey ca.key -CAcreateserial'.split(),
            *'-extfile extensions'.split(),
        )

    def _openssl(self, *words: str) -> None:
        subprocess.run(
            ['openssl', *words],
            cwd=self._directory,
            check=True,
            capture_output=True,
        )
