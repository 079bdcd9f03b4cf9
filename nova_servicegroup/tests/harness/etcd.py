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

"""Real etcd servers, one or a cluster."""

import base64
from collections.abc import Mapping, Sequence
import json
import pathlib
import shutil
from typing import Any
import urllib.error
import urllib.request

from nova_servicegroup.tests.harness import cluster
from nova_servicegroup.tests.harness import server


class Etcd(cluster.Member):
    """One etcd server on loopback.

    :param host: the address to serve on; must be one of this machine's
    :param name: in a cluster
    :param peers: ``name=URL`` of all servers in a cluster; empty for a server
        that stands alone
    :param options: more command line options
    :param scheme: of the URL for clients
    """

    package = 'etcd-server'

    def __init__(
        self,
        directory: pathlib.Path,
        host: str = '127.0.0.1',
        name: str = '1',
        peers: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        scheme: str = 'http',
    ) -> None:
        port, own = server.remembered_ports(directory, 2)
        super().__init__(directory, port)
        self.host = host
        self.name = name
        self.peers = dict(peers or {name: f'http://127.0.0.1:{own}'})
        self.options = list(options)
        self.scheme = scheme

    @property
    def address(self) -> str:
        return f'{self.host}:{self.port}'

    @property
    def data(self) -> pathlib.Path:
        """Where the server keeps its data."""
        return self.directory / 'data'

    def argv(self) -> list[str]:
        url = f'{self.scheme}://{self.address}'
        peer = self.peers[self.name]
        options = {
            'name': self.name,
            'data-dir': str(self.data),
            'listen-client-urls': url,
            'advertise-client-urls': url,
            'listen-peer-urls': peer,
            'initial-advertise-peer-urls': peer,
            'initial-cluster': ','.join(
                f'{name}={url}' for name, url in self.peers.items()
            ),
        }
        return [
            server.find_program('etcd', self.package),
            *(f'--{name}={value}' for name, value in options.items()),
            '--log-level=warn',
            *self.options,
        ]

    def serves(self) -> bool:
        if self.scheme == 'https':
            return 'ready to serve client requests' in self.log.read_text()
        try:
            return self.ask('kv/range', {'key': encode(b'x')}) is not None
        except OSError:
            return False

    def ask(self, path: str, question: Any, timeout: float = 2.0) -> Any:
        """Return the answer to a question that is put to the gateway.

        :raises OSError: there is none, or an error
        """
        request = urllib.request.Request(
            f'{self.scheme}://{self.address}/v3/{path}',
            json.dumps(question).encode(),
        )
        with urllib.request.urlopen(request, timeout=timeout) as found:
            return json.load(found)

    def is_leader(self) -> bool:
        """See cluster.Member."""
        try:
            said = self.ask('maintenance/status', {}, 1.0)
        except OSError:
            return False
        return bool(said.get('leader') == said['header']['member_id'])

    def put(self, key: bytes, value: bytes, lease: int = 0) -> None:
        """Write a key."""
        self.ask(
            'kv/put',
            {'key': encode(key), 'value': encode(value), 'lease': lease},
        )

    def delete(self, key: bytes, prefix: bool = False) -> None:
        """Delete a key, or all that begin with it."""
        question = {'key': encode(key)}
        if prefix:
            question['range_end'] = encode(key[:-1] + bytes([key[-1] + 1]))
        self.ask('kv/deleterange', question)

    def keys(self, key: bytes) -> dict[bytes, bytes]:
        """Return what begins with a key."""
        end = key[:-1] + bytes([key[-1] + 1])
        found = self.ask(
            'kv/range', {'key': encode(key), 'range_end': encode(end)}
        )
        return {
            base64.b64decode(each['key']): base64.b64decode(
                each.get('value', '')
            )
            for each in found.get('kvs', ())
        }

    def wipe(self) -> None:
        """Lose all data; only while stopped."""
        self._must_not_run()
        shutil.rmtree(self.data, ignore_errors=True)


class Cluster(cluster.Cluster[Etcd]):
    """Several etcd servers that elect a leader.

    :param server_options: for each Etcd
    """

    def __init__(
        self, directory: pathlib.Path, size: int = 3, **server_options: Any
    ) -> None:
        ports = server.remembered_ports(directory, size)
        peers = {
            str(number): f'http://127.0.0.1:{port}'
            for number, port in enumerate(ports, 1)
        }
        super().__init__(
            [
                Etcd(
                    directory / name, name=name, peers=peers, **server_options
                )
                for name in peers
            ]
        )

    @property
    def one(self) -> Etcd:
        """A server that runs."""
        return next(one for one in self.servers if one.running)


def encode(data: bytes) -> str:
    """Return bytes as the gateway takes them."""
    return base64.b64encode(data).decode('ascii')
