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
"""Clients of keystone and Masakari that need no library."""

from collections.abc import Iterator, Mapping
import datetime
import http.client
import json
import time
from typing import Any

from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.ministack import client
from nova_servicegroup.tests.ministack.masakari import config

_RENEWED_AFTER = 600.0
_DOMAIN = {'id': 'default'}
_INTERFACES = ('public', 'internal')
_TIMEOUT = 30.0
_AT_WORK = 240.0

Body = dict[str, Any]


class Tokens:
    """The tokens of the administrator: one is used for ten minutes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._token = ''
        self._since = 0.0

    def headers(self) -> Mapping[str, str]:
        """Return the header with the token.

        :raises OSError: when keystone gives none.
        """
        now = time.monotonic()
        if not self._token or now - self._since > _RENEWED_AFTER:
            self._token, self._since = self._fetch(), now
        return {'X-Auth-Token': self._token}

    def _fetch(self) -> str:
        conn = http.client.HTTPConnection(
            '127.0.0.1', self.port, timeout=_TIMEOUT
        )
        body = json.dumps(_login())
        headers = {'Content-Type': 'application/json'}
        try:
            conn.request('POST', '/v3/auth/tokens', body, headers)
            answer = conn.getresponse()
            answer.read()
            token = answer.getheader('X-Subject-Token')
        except http.client.HTTPException as error:
            raise ConnectionError(type(error).__name__) from error
        finally:
            conn.close()
        if not token:
            raise ConnectionError(f'keystone gives no token: {answer.status}')
        return token


def _login() -> Body:
    user = {'name': 'admin', 'domain': _DOMAIN, 'password': config.PASSWORD}
    scope = {'project': {'name': 'admin', 'domain': _DOMAIN}}
    identity = {'methods': ['password'], 'password': {'user': user}}
    return {'auth': {'identity': identity, 'scope': scope}}


class Keystone(client.Client):
    """Keystone's API."""

    prefix = '/v3'

    def __init__(self, port: int, tokens: Tokens) -> None:
        super().__init__(port, microversion='')
        self.credentials = tokens.headers  # type: ignore[method-assign]

    def create(self, kind: str, **fields: object) -> str:
        """Create a thing, for instance a ``user``; return its id."""
        body = {kind: fields}
        made = self.expect('POST', f'/{kind}s', body, 201)
        return str(made[kind]['id'])

    def fill(self, urls: Mapping[str, tuple[str, str]]) -> None:
        """Create the project of the services, their users and the catalog.

        :param urls: ``{type: (name, URL)}`` of the services.
        """
        project = self.create(
            'project', name=config.PROJECT, domain_id='default'
        )
        roles = list(self._roles())
        for name in config.USERS:
            user = self.create(
                'user',
                name=name,
                password=config.PASSWORD,
                domain_id='default',
            )
            for role in roles:
                path = f'/projects/{project}/users/{user}/roles/{role}'
                self.expect('PUT', path, status=204)
        for kind, (name, url) in urls.items():
            self._publish(kind, name, url)

    def _roles(self) -> Iterator[str]:
        for each in self.expect('GET', '/roles')['roles']:
            if each['name'] in ('admin', 'service'):
                yield each['id']

    def _publish(self, kind: str, name: str, url: str) -> None:
        service = self.create('service', type=kind, name=name)
        for interface in _INTERFACES:
            self.create(
                'endpoint',
                service_id=service,
                interface=interface,
                url=url,
                region_id=config.REGION,
            )


class Masakari(client.Client):
    """Masakari's API."""

    prefix = '/v1'
    service_type = 'instance-ha'

    def __init__(self, port: int, tokens: Tokens) -> None:
        super().__init__(port, microversion='1.3')
        self.credentials = tokens.headers  # type: ignore[method-assign]

    def create_segment(self, hosts: list[str]) -> None:
        """Create a segment from which Nova's scheduler chooses."""
        wanted = {
            'name': config.CLOUD,
            'recovery_method': 'auto',
            'service_type': 'COMPUTE',
        }
        made = self.expect('POST', '/segments', {'segment': wanted}, 201)
        path = f'/segments/{made["segment"]["uuid"]}/hosts'
        for name in hosts:
            host = {
                'name': name,
                'type': 'COMPUTE',
                'control_attributes': 'none',
            }
            self.expect('POST', path, {'host': host}, 201)

    def host(self, name: str) -> Body:
        """Return a host.

        :raises LookupError: when it is in no segment.
        """
        for segment in self.expect('GET', '/segments')['segments']:
            path = f'/segments/{segment["uuid"]}/hosts'
            for each in self.expect('GET', path)['hosts']:
                if each['name'] == name:
                    return dict(each)
        raise LookupError(f'Masakari has no host {name}')

    def set_maintenance(self, name: str, value: bool) -> None:
        """Tell Masakari that a host is not to be looked after, or is.

        Masakari refuses that while it is at work on the segment.

        :raises TimeoutError: when it does so for minutes.
        """
        found = self.host(name)
        segment = found['failover_segment_id']
        path = f'/segments/{segment}/hosts/{found["uuid"]}'
        body = {'host': {'on_maintenance': value}}

        def accepted() -> bool:
            status, content, _ = self.request('PUT', path, body)
            if status not in (200, 409):
                raise RuntimeError(f'PUT {path}: {status} {content}')
            return status == 200

        what = f'Masakari is at work on the segment of {name}'
        process.wait_until(accepted, _AT_WORK, 1.0, what)

    def notify(self, host: str) -> str:
        """Report that a host has failed, as a monitor does.

        :returns: the notification's id.
        """
        when = datetime.datetime.now(datetime.timezone.utc)
        wanted = {
            'type': 'COMPUTE_HOST',
            'hostname': host,
            'generated_time': when.strftime('%Y-%m-%dT%H:%M:%S'),
            'payload': {
                'event': 'STOPPED',
                'cluster_status': 'OFFLINE',
                'host_status': 'NORMAL',
            },
        }
        body = {'notification': wanted}
        made = self.expect('POST', '/notifications', body, 202)
        return str(made['notification']['notification_uuid'])

    def notifications(self, host: str = '') -> list[Body]:
        """Return the notifications about a host, or all; the latest first."""
        found = self.expect('GET', '/notifications')['notifications']
        uuid = self.host(host)['uuid'] if host else ''
        return [
            each
            for each in found
            if not host or each['source_host_uuid'] == uuid
        ]
