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

"""A stand-in for keystone: one administrator, and one token.

It takes the place of keystone, and of keystone's middleware in front of Nova:
what has the token is passed on with the headers by which Nova knows who asks.
"""

from collections.abc import Iterator
import contextlib
import http.client
import http.server
import json
import threading
from typing import Any

_TOKEN = 'token-of-the-administrator'
_DOMAIN = {'id': 'default', 'name': 'Default'}
_ADMINISTRATOR = {
    'methods': ['password'],
    'expires_at': '2099-01-01T00:00:00.000000Z',
    'issued_at': '2026-01-01T00:00:00.000000Z',
    'user': {'id': 'admin', 'name': 'admin', 'domain': _DOMAIN},
    'project': {'id': 'admin', 'name': 'admin', 'domain': _DOMAIN},
    'roles': [{'id': 'admin', 'name': 'admin'}],
}
_HEADERS = {
    'X-User-Id': 'admin',
    'X-Project-Id': 'admin',
    'X-Roles': 'admin,member,reader',
}
#: What is passed on of a request and of an answer.
_REQUEST = 'Accept', 'Content-Type', 'OpenStack-API-Version'
_ANSWER = 'Content-Type', 'OpenStack-API-Version'


@contextlib.contextmanager
def keystone(nova: int) -> Iterator[str]:
    """Serve on a free port of this machine; give the URL of keystone.

    :param nova: the port of Nova's API
    """
    server = _Server(('127.0.0.1', 0), _Handler)
    server.nova = nova
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f'{server.url}/v3'
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    nova: int

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.server_port}'

    def token(self) -> dict[str, Any]:
        """Return the token's body, with Nova as the only service."""
        endpoint = {
            'id': 'nova',
            'interface': 'public',
            'region': 'RegionOne',
            'region_id': 'RegionOne',
            'url': f'{self.url}/v2.1',
        }
        service = {
            'id': 'nova',
            'name': 'nova',
            'type': 'compute',
            'endpoints': [endpoint],
        }
        return {'token': {**_ADMINISTRATOR, 'catalog': [service]}}


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._pass_on()

    def do_PUT(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        if self.path == '/v3/auth/tokens':
            self._body()
            self._answer(
                201,
                {
                    'X-Subject-Token': _TOKEN,
                    'Content-Type': 'application/json',
                },
                json.dumps(self.server.token()).encode(),
            )
        else:
            self._pass_on()

    def _pass_on(self) -> None:
        body = self._body()
        if self.headers['X-Auth-Token'] != _TOKEN:
            self._answer(401, {}, b'')
            return
        given = {each: self.headers[each] for each in _REQUEST}
        nova = http.client.HTTPConnection(
            '127.0.0.1', self.server.nova, timeout=60
        )
        with contextlib.closing(nova):
            headers = {**_HEADERS, **_present(given)}
            nova.request(self.command, self.path, body or None, headers)
            answer = nova.getresponse()
            found = {each: answer.headers[each] for each in _ANSWER}
            self._answer(answer.status, _present(found), answer.read())

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers['Content-Length'] or 0))

    def _answer(
        self, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _present(headers: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value}
