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

"""The HTTP session of etcd3gw: it posts to any server, in bounded time."""

import json as jsonlib
import random
from typing import Any, NamedTuple
import urllib.parse

from nova_servicegroup.drivers.common import bounded
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import tls
from nova_servicegroup import escaping
from nova_servicegroup import exceptions

http = requests.try_import('requests')
urllib3 = requests.try_import('urllib3')

_CHUNK = 1024 * 1024


class Endpoints(NamedTuple):
    """The servers, and how to connect to them.

    :ivar servers: each as host:port
    :ivar secure: whether TLS is used
    """

    servers: list[str]
    secure: bool
    files: tls.Files
    username: str | None
    password: str | None


class Answer(NamedTuple):
    """An answer as etcd3gw reads it."""

    status_code: int
    text: str

    def json(self) -> Any:
        """Return the decoded text."""
        return jsonlib.loads(self.text)

    def message(self) -> str:
        """Return the status and the message of an error."""
        try:
            text = str(self.json()['message'])
        except (ValueError, LookupError, TypeError):
            text = self.text
        return escaping.printable(f'{self.status_code} {text}', 200)


class Gateway:
    """A session that posts to the servers, with a token where they have users.

    etcd3gw's own session posts to one server and does not authenticate. It
    takes an answer of any size, and proxies and passwords of the environment.
    Here the next server is asked when one fails, all before the deadline; a
    server that takes longer than its share of the time has failed.

    :param wait: seconds for all that is posted for one question
    :ivar deadline: of all posts from now on, or None: each has its own
    """

    def __init__(self, endpoints: Endpoints, wait: float) -> None:
        self._endpoints = endpoints
        self._wait = wait
        self._session = _session(endpoints.files)
        self._server = random.randrange(len(endpoints.servers))
        self._token: str | None = None
        self.deadline: requests.Deadline | None = None

    def post(
        self,
        url: str,
        data: str | None = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> Answer:
        """Post a request of etcd3gw, and return the answer.

        :param url: of any server
        :param timeout: not used
        :raises BackendError: the answer is an error, or comes too late
        """
        path = urllib.parse.urlsplit(url).path
        body = jsonlib.dumps(json) if data is None else data
        deadline = self.deadline or requests.Deadline(self._wait)
        return self._post(path, body, deadline)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _post(
        self, path: str, body: str, deadline: requests.Deadline
    ) -> Answer:
        """Post to one server after the other; see post."""
        # One more, because an idle connection may have been closed.
        tries = len(self._endpoints.servers) + 1
        while True:
            tries -= 1
            # Leave half of the time to the other servers.
            share = deadline.left() / (2 if tries > 1 else 1)
            try:
                return self._try(path, body, requests.Deadline(share))
            except exceptions.BackendUnreachable:
                servers = self._endpoints.servers
                self._server = (self._server + 1) % len(servers)
                if not tries or not deadline.left():
                    raise
            except exceptions.NoAccess:
                if self._token is None or not tries:
                    raise
                # A server forgets the token when it restarts.
                self._token = None

    def _try(self, path: str, body: str, share: requests.Deadline) -> Answer:
        """Post to the current server, with a token if there is a user."""
        name, password = self._endpoints.username, self._endpoints.password
        if name and self._token is None:
            user = jsonlib.dumps({'name': name, 'password': password})
            answer = self._send('/v3/auth/authenticate', user, share)
            self._token = str(answer.json()['token'])
        return self._send(path, body, share)

    def _send(self, path: str, body: str, share: requests.Deadline) -> Answer:
        """Post to the current server, with the token if there is one."""
        server = self._endpoints.servers[self._server]
        name = f'etcd {server}'
        scheme = 'https' if self._endpoints.secure else 'http'
        wait = share.left()
        if not wait:
            raise exceptions.BackendUnreachable(name, 'no answer in time')
        try:
            with self._session.post(
                f'{scheme}://{server}{path}',
                data=body,
                headers={'Authorization': self._token},
                timeout=urllib3.Timeout(total=wait),
                stream=True,
                allow_redirects=False,
            ) as found:
                answer = Answer(found.status_code, _read(found, name))
        except (http.RequestException, urllib3.exceptions.HTTPError) as error:
            reason = requests.reason(error)
            raise exceptions.BackendUnreachable(name, reason) from error
        return _judge(name, answer)


def _session(files: tls.Files) -> Any:
    """Return a session of requests that ignores the environment."""
    made = http.Session()
    made.trust_env = False
    made.verify = files.ca_file or True
    cert, key = files.cert_file, files.key_file
    made.cert = (cert, key) if key else cert
    made.headers['Content-Type'] = 'application/json'
    # The size of a compressed answer is not known before it is unpacked.
    made.headers['Accept-Encoding'] = 'identity'
    for each in made.adapters.values():
        manager = each.poolmanager
        manager.pool_classes_by_scheme = {
            scheme: _pool(kind)
            for scheme, kind in manager.pool_classes_by_scheme.items()
        }
    return made


def _pool(kind: Any) -> type:
    """Return a class of pools of urllib3 with bounded connections."""
    connections = bounded.connecting(kind.ConnectionCls, 'connect', 'timeout')
    return type(kind.__name__, (kind,), {'ConnectionCls': connections})


def _read(found: Any, name: str) -> str:
    """Return the text of an answer.

    :raises BackendError: it is too long
    """
    text = b''
    for chunk in found.raw.stream(_CHUNK, decode_content=False):
        text += chunk
        if len(text) > bounded.LARGEST:
            raise exceptions.BackendError(name, 'the answer is too long')
    return text.decode(errors='replace')


def _judge(name: str, answer: Answer) -> Answer:
    """Return an answer that is not an error.

    :raises BackendUnreachable: another server, or a later try, may succeed
    :raises NoAccess: the server does not accept the token, or not any more
    :raises BackendError: any other error
    """
    succeeded = answer.status_code == 200
    # A stream, as that of a keepalive, begins with 200 and may fail later.
    failed_later = succeeded and answer.text.startswith('{"error"')
    if succeeded and not failed_later:
        return answer
    kind: type[exceptions.BackendError] = exceptions.BackendError
    if failed_later or answer.status_code >= 500:
        kind = exceptions.BackendUnreachable
    elif answer.status_code in (400, 401):
        kind = exceptions.NoAccess
    raise kind(name, answer.message())
