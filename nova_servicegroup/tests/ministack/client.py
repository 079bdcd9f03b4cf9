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

"""A small client for Nova's API."""

from collections.abc import Mapping
import http.client
import json
import time
from typing import Any

MICROVERSION = '2.100'
_HEADERS = {
    'Content-Type': 'application/json',
    'Accept': 'application/json',
}
#: By which Nova without keystone knows who asks.
_ADMINISTRATOR = {
    'X-User-Id': 'admin',
    'X-Project-Id': 'admin',
    'X-Roles': 'admin,member,reader',
}


class Client:
    """Talks to one API as an administrator.

    :cvar prefix: of its paths
    :cvar service_type: its type, which its microversions go by
    """

    prefix = '/v2.1'
    service_type = 'compute'

    def __init__(self, port: int, microversion: str = MICROVERSION) -> None:
        self.port = port
        self.microversion = microversion

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        timeout: float = 60.0,
        microversion: str = '',
    ) -> tuple[int, Any, float]:
        """Send a request and return its status, body and seconds.

        :param path: below the prefix, for instance ``/os-services``.
        :raises OSError: when the API cannot be reached or is too slow.
        """
        begun = time.monotonic()
        conn = http.client.HTTPConnection(
            '127.0.0.1', self.port, timeout=timeout
        )
        try:
            headers = self._headers(microversion or self.microversion)
            data = None if body is None else json.dumps(body)
            conn.request(method, f'{self.prefix}{path}', data, headers)
            answer = conn.getresponse()
            content = _decode(answer.read())
        except http.client.HTTPException as error:
            raise ConnectionError(
                f'{type(error).__name__}: {error}'
            ) from error
        finally:
            conn.close()
        return answer.status, content, time.monotonic() - begun

    def expect(
        self, method: str, path: str, body: object = None, status: int = 200
    ) -> Any:
        """Send a request and return the body.

        :raises RuntimeError: when the status is another.
        """
        found, content, _ = self.request(method, path, body)
        if found != status:
            raise RuntimeError(f'{method} {path}: {found} {content}')
        return content

    def credentials(self) -> Mapping[str, str]:
        """Return the headers that tell who asks."""
        return _ADMINISTRATOR

    def _headers(self, microversion: str) -> dict[str, str]:
        asked = f'{self.service_type} {microversion}'
        version = {'OpenStack-API-Version': asked} if microversion else {}
        return {**_HEADERS, **self.credentials(), **version}


def _decode(data: bytes) -> Any:
    try:
        return json.loads(data) if data else None
    except ValueError:
        return data.decode(errors='replace')
