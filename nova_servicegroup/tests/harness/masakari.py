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

"""A stand-in for keystone, masakari-api and nova-api.

masakari-api answers as the real one does: it refuses duplicates, and hosts on
maintenance. Nova answers as a test says.
"""

from collections.abc import Callable, Iterable
import dataclasses
import datetime
import http.server
import json
import threading
import time
from typing import Any
import urllib.parse
import uuid

from oslo_utils import timeutils

_TOKEN = 'token-of-masakari'
_DOMAIN = {'id': 'default', 'name': 'Default'}
_SEGMENT = str(uuid.uuid4())
#: Seconds in which the same notification is a duplicate.
DUPLICATE = 180


@dataclasses.dataclass(frozen=True)
class Posted:
    """One POST of a notification.

    :ivar at: by the monotonic clock
    :ivar status: the answer's
    """

    at: float
    status: int
    host: str
    payload: dict[str, Any]


class Masakari:
    """What masakari and Nova know.

    :param state: returns 'up' or 'down' for a host, as Nova says
    """

    def __init__(
        self, hosts: Iterable[str], state: Callable[[str], str]
    ) -> None:
        self.hosts = {name: _host(name) for name in hosts}
        self.state = state
        self.forced: set[str] = set()
        self.posted: list[Posted] = []
        self.notifications: list[dict[str, Any]] = []
        #: What a POST is answered with instead, if set.
        self.broken: int | None = None
        #: Whether a host that is dead is on maintenance at once.
        self.has_engine = False
        self._server = _Server(('127.0.0.1', 0), _Handler)
        self._server.masakari = self
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL of keystone, without the version."""
        return f'http://127.0.0.1:{self._server.server_port}'

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def accepted(self, event: str = 'STOPPED') -> list[str]:
        """Return the hosts of the notifications that were taken."""
        return [
            each.host
            for each in self.posted
            if each.status == 202 and each.payload['event'] == event
        ]

    def receive(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer a POST of a notification."""
        with self._lock:
            status = self.broken or self._judge(given)
            host, payload = given['hostname'], given['payload']
            self.posted.append(Posted(time.monotonic(), status, host, payload))
            if status != 202:
                return status, {'error': {'message': 'refused'}}
            return status, {'notification': self._add(given)}

    def _judge(self, given: dict[str, Any]) -> int:
        host = self.hosts.get(given['hostname'])
        if host is None:
            return 400
        since = _time(given['generated_time']) - datetime.timedelta(
            seconds=DUPLICATE
        )
        known = self.listed({'source_host_uuid': host['uuid']}, since)
        same = any(each['payload'] == given['payload'] for each in known)
        return 409 if host['on_maintenance'] or same else 202

    def _add(self, given: dict[str, Any]) -> dict[str, Any]:
        host = self.hosts[given['hostname']]
        made = {
            'notification_uuid': str(uuid.uuid4()),
            'type': given['type'],
            'payload': given['payload'],
            'generated_time': given['generated_time'],
            'source_host_uuid': host['uuid'],
            'status': 'new',
        }
        self.notifications.append(made)
        if self.has_engine and given['payload']['event'] == 'STOPPED':
            host['on_maintenance'] = True
        return made

    def listed(
        self, wanted: dict[str, str], since: datetime.datetime | None
    ) -> list[dict[str, Any]]:
        """Return the notifications with such fields."""
        return [
            each
            for each in self.notifications
            if all(each[name] == value for name, value in wanted.items())
            and (since is None or _time(each['generated_time']) >= since)
        ]

    def services(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """Return what Nova says of nova-compute."""
        return [
            {
                'id': str(uuid.uuid4()),
                'binary': 'nova-compute',
                'host': name,
                'state': self.state(name),
                'forced_down': name in self.forced,
                'status': 'enabled',
                'zone': 'nova',
            }
            for name in self.hosts
            if query.get('host', name) == name
        ]


def _host(name: str) -> dict[str, Any]:
    return {
        'uuid': str(uuid.uuid4()),
        'name': name,
        'on_maintenance': False,
        'reserved': False,
        'type': 'COMPUTE',
        'control_attributes': 'SSH',
        'failover_segment_id': _SEGMENT,
        'created_at': '2026-01-01T00:00:00.000000',
        'updated_at': None,
    }


def _time(text: str) -> datetime.datetime:
    return timeutils.normalize_time(timeutils.parse_isotime(text))


class _Server(http.server.ThreadingHTTPServer):
    masakari: Masakari
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        path = parts.path.rstrip('/')
        parent, _, segment = path.removesuffix('/hosts').rpartition('/')
        if parent.endswith('/segments') and segment != _SEGMENT:
            self._answer(404, {'error': {'message': 'no such segment'}})
        else:
            self._answer(200, self._found(path, query))

    def _found(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        masakari = self.server.masakari
        if path.endswith('/hosts'):
            return {'hosts': list(masakari.hosts.values())}
        if path.endswith('/segments'):
            segment = {'uuid': _SEGMENT, 'name': 'one', 'id': 1}
            return {'segments': [segment]}
        if path.endswith('/notifications'):
            since = query.pop('generated-since', None)
            return {
                'notifications': masakari.listed(query, since and _time(since))
            }
        if path.endswith('/os-services'):
            return {'services': masakari.services(query)}
        return self._version(path)

    def _version(self, path: str) -> dict[str, Any]:
        name, newest = {
            '/v3': ('v3.14', ''),
            '/v1': ('v1.0', '1.3'),
        }.get(path, ('v2.1', '2.96'))
        link = {'rel': 'self', 'href': f'{self.server.masakari.url}{path}/'}
        version = {'id': name, 'status': 'CURRENT', 'links': [link]}
        if newest:
            version |= {'version': newest, 'min_version': f'{newest[0]}.0'}
        return {'version': version}

    def do_POST(self) -> None:
        length = int(self.headers['Content-Length'] or 0)
        body = json.loads(self.rfile.read(length) or '{}')
        if self.path == '/v3/auth/tokens':
            self._answer(201, self._token(), {'X-Subject-Token': _TOKEN})
        else:
            masakari = self.server.masakari
            self._answer(*masakari.receive(body['notification']))

    def _token(self) -> dict[str, Any]:
        url = self.server.masakari.url
        catalog = [
            {
                'id': kind,
                'name': kind,
                'type': kind,
                'endpoints': [
                    {
                        'id': kind,
                        'interface': 'public',
                        'region': 'RegionOne',
                        'region_id': 'RegionOne',
                        'url': f'{url}/{version}',
                    }
                ],
            }
            for kind, version in (('instance-ha', 'v1'), ('compute', 'v2.1'))
        ]
        return {
            'token': {
                'methods': ['password'],
                'expires_at': '2099-01-01T00:00:00.000000Z',
                'issued_at': '2026-01-01T00:00:00.000000Z',
                'user': {'id': 'm', 'name': 'masakari', 'domain': _DOMAIN},
                'project': {'id': 's', 'name': 'service', 'domain': _DOMAIN},
                'roles': [{'id': 'admin', 'name': 'admin'}],
                'catalog': catalog,
            }
        }

    def _answer(
        self,
        status: int,
        body: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Print nothing."""
