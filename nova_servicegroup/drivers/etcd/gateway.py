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

"""What etcd3gw posts with: HTTP to any of the servers, in bounded time."""

from collections.abc import Iterator
import contextlib
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


class Place(NamedTuple):
    """Where the servers are, and how they are reached.

    :ivar servers: each as host:port
    :ivar secure: with TLS
    """

    servers: list[str]
    secure: bool
    files: tls.Files
    username: str | None
    password: str | None


class Answer(NamedTuple):
    """An answer, as etcd3gw looks at it."""

    status_code: int
    text: str

    def json(self) -> Any:
        """Return what it says."""
        return jsonlib.loads(self.text)

    def message(self) -> str:
        """Return what an error says."""
        try:
            text = str(self.json()['message'])
        except (ValueError, LookupError, TypeError):
            text = self.text
        return escaping.printable(f'{self.status_code} {text}', 200)


class Gateway:
    """Posts to the servers, with a token where there are users.

    That of etcd3gw posts to one server, knows no users, takes an answer of
    any size, and proxies and passwords from the environment. A server that
    fails is left for the next one, and this one tried within the deadline: an
    answer that takes longer than its share of the time is a failure.

    :param wait: seconds for all that is posted for one question
    :ivar deadline: for all that is posted from now on; None: each by itself
    """

    def __init__(self, place: Place, wait: float) -> None:
        self._place = place
        self._wait = wait
        self._session = _session()
        cert, key = place.files.cert_file, place.files.key_file
        self._session.verify = place.files.ca_file or True
        self._session.cert = (cert, key) if key else cert
        self._server = random.randrange(len(place.servers))
        self._token: str | None = None
        self.deadline: requests.Deadline | None = None

    def post(
        self,
        url: str,
        data: str | None = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> Answer:
        """Return the answer to what etcd3gw has to say.

        :param url: of any server
        :param timeout: is not used
        :raises BackendError: it is refused, or there is none in time
        """
        path = urllib.parse.urlsplit(url).path
        body = jsonlib.dumps(json) if data is None else data
        deadline = self.deadline or requests.Deadline(self._wait)
        # One more: a connection of old may have ended meanwhile.
        tries = len(self._place.servers) + 1
        while True:
            tries -= 1
            try:
                return self._post(path, body, deadline, tries)
            except exceptions.BackendUnreachable:
                self._server = (self._server + 1) % len(self._place.servers)
                if not tries or not deadline.left():
                    raise
            except exceptions.NoAccess:
                if self._token is None or not tries:
                    raise
                # It is forgotten by a server that was restarted.
                self._token = None

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _post(
        self, path: str, body: str, deadline: requests.Deadline, tries: int
    ) -> Answer:
        # The others get as much time as this one.
        share = requests.Deadline(deadline.left() / (2 if tries > 1 else 1))
        headers = {'Content-Type': 'application/json'}
        if self._place.username and self._token is None:
            self._token = self._authenticate(path, share)
        if self._token is not None:
            headers['Authorization'] = self._token
        return self._send(path, body, headers, share)

    def _authenticate(self, path: str, share: requests.Deadline) -> str:
        version = '/'.join(path.split('/')[:2])
        body = {'name': self._place.username, 'password': self._place.password}
        said = self._send(
            f'{version}/auth/authenticate', jsonlib.dumps(body), {}, share
        ).json()
        return str(said['token'])

    def _send(
        self,
        path: str,
        body: str,
        headers: dict[str, str],
        share: requests.Deadline,
    ) -> Answer:
        server = self._place.servers[self._server]
        name = f'etcd {server}'
        scheme = 'https' if self._place.secure else 'http'
        wait = share.left()
        if not wait:
            raise exceptions.BackendUnreachable(name, 'no answer in time')
        with (
            _translated(name),
            self._session.post(
                f'{scheme}://{server}{path}',
                data=body,
                headers=headers,
                timeout=urllib3.Timeout(total=wait),
                stream=True,
                allow_redirects=False,
            ) as found,
        ):
            answer = Answer(found.status_code, _read(found, name))
        return _judge(name, answer)


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """Have another server be asked where there is no whole answer."""
    try:
        yield
    except (
        http.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
    ) as error:
        raise exceptions.BackendUnreachable(
            name, requests.reason(error)
        ) from error


def _session() -> Any:
    """Return a session that heeds nothing of the environment."""
    made = http.Session()
    made.trust_env = False
    # What is packed has no size before it is unpacked.
    made.headers['Accept-Encoding'] = 'identity'
    for each in made.adapters.values():
        manager = each.poolmanager
        manager.pool_classes_by_scheme = {
            scheme: _pool(kind)
            for scheme, kind in manager.pool_classes_by_scheme.items()
        }
    return made


def _pool(kind: Any) -> type:
    """Return a class of pools of urllib3 whose connections are bounded."""
    connections = bounded.connecting(kind.ConnectionCls, 'connect', 'timeout')
    return type(kind.__name__, (kind,), {'ConnectionCls': connections})


def _read(found: Any, name: str) -> str:
    """Return the text of an answer.

    :raises BackendError: there is too much of it
    """
    text = b''
    for chunk in found.raw.stream(_CHUNK, decode_content=False):
        text += chunk
        if len(text) > bounded.LARGEST:
            raise exceptions.BackendError(name, 'the answer is too long')
    return text.decode(errors='replace')


def _judge(name: str, answer: Answer) -> Answer:
    """Return an answer that is no error.

    :raises BackendUnreachable: another server, or another time, may do
    :raises NoAccess: the token is not, or no more, accepted
    :raises BackendError: any other error
    """
    # A stream, as that of keepalive, has begun well before it fails.
    well = answer.status_code == 200
    broken = well and answer.text.startswith('{"error"')
    if well and not broken:
        return answer
    kind: type[exceptions.BackendError] = exceptions.BackendError
    if broken or answer.status_code >= 500:
        kind = exceptions.BackendUnreachable
    elif answer.status_code in (400, 401):
        kind = exceptions.NoAccess
    raise kind(name, answer.message())
