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


"""Reads the status of each ZooKeeper server, for operators' checks."""

import dataclasses
import re
import socket
import ssl
import time

from oslo_config import cfg

from nova_servicegroup.drivers.common import addresses as common_addresses
from nova_servicegroup.drivers.common import bounded
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup.drivers.zk import tls
from nova_servicegroup import exceptions


@dataclasses.dataclass(frozen=True)
class Session:
    """The measurements of a session with one server.

    :ivar latency: seconds that a request took
    :ivar granted: the session timeout in seconds, or None if unknown
    :ivar groups: all groups that the server has
    """

    latency: float
    granted: float | None
    groups: frozenset[str]


@dataclasses.dataclass(frozen=True)
class ServerStatus:
    """A server's answers to four-letter words; None for what it hides.

    :ivar mode: ``leader``, ``follower``, ``observer``, ``standalone``; empty
        if it runs but serves no clients
    :ivar limit: the sessions that it takes from one address; 0: any number
    :ivar busiest: the address with most sessions, and their number
    """

    mode: str | None = None
    version: str | None = None
    limit: int | None = None
    busiest: tuple[str, int] | None = None


class ConnectionRejected(exceptions.BackendError):
    """A server accepted the connection and closed it at once."""


class TLSError(exceptions.BackendError):
    """A server's certificate is not trusted, or it does not speak TLS."""


def addresses(conf: cfg.ConfigOpts) -> list[str]:
    """Return the configured servers, each as host:port.

    :raises ConfigurationError: an option cannot be used
    """
    return kazoo_client.Settings(conf).addresses


def session(conf: cfg.ConfigOpts, address: str, wait: float) -> Session:
    """Open a session with one server, measure it, and close it.

    :param wait: seconds, at most
    :raises BackendError: the server grants none, or does not answer
    """
    granted: list[float] = []
    settings = kazoo_client.Settings(conf, [address], granted)
    connection = settings.reader_connection()
    deadline = requests.Deadline(wait)
    try:
        with connection.use(deadline) as connected:
            begun = time.monotonic()
            found = connected.coordinator.get_groups().get(deadline.left())
            latency = time.monotonic() - begun
    finally:
        connection.close(wait=1.0)
    return Session(
        latency,
        granted[-1] if granted else None,
        frozenset(each.decode(errors='replace') for each in found),
    )


def handshake(conf: cfg.ConfigOpts, address: str, wait: float) -> None:
    """Connect to one server with TLS, without a request.

    :param wait: seconds, at most, to connect, and again for the handshake
    :raises TLSError: the handshake failed
    :raises BackendError: the server does not answer
    """
    name, port = common_addresses.split(address)
    secured = tls.Tls(conf.zookeeper, [address])
    try:
        secured.connect(
            socket.create_connection, (name, port), name, wait
        ).close()
    except ssl.SSLError as error:
        raise TLSError(
            f'ZooKeeper {address}', exceptions.first_line(error)
        ) from error
    except OSError as error:
        raise exceptions.BackendError(
            f'ZooKeeper {address}', exceptions.first_line(error)
        ) from error


def read_status(address: str, wait: float) -> ServerStatus:
    """Send one server the four-letter words srvr, conf and cons.

    :param wait: seconds for each word, at most
    :raises ConnectionRejected: the server closes connections at once
    :raises BackendError: the server does not answer
    """
    status = _ask(address, 'srvr', wait)
    return ServerStatus(
        mode(status),
        _found(r'^Zookeeper version: ([\w.]+)', status),
        limit(_ask(address, 'conf', wait)),
        busiest(_ask(address, 'cons', wait)),
    )


def mode(answer: str) -> str | None:
    """Read the mode in the answer to srvr; see ServerStatus."""
    if 'not currently serving' in answer:
        return ''
    return _found(r'^Mode: (\S+)', answer)


def limit(answer: str) -> int | None:
    """Read maxClientCnxns in the answer to conf."""
    found = _found(r'^maxClientCnxns=(\d+)', answer)
    return None if found is None else int(found)


def busiest(answer: str) -> tuple[str, int] | None:
    """Read the address with most sessions in the answer to cons."""
    counts: dict[str, int] = {}
    for each in re.findall(r'^ */([^\s\[]+):\d+\[.*sid=', answer, re.M):
        counts[each] = counts.get(each, 0) + 1
    return max(counts.items(), key=lambda item: item[1], default=None)


def _found(pattern: str, answer: str) -> str | None:
    found = re.search(pattern, answer, re.MULTILINE)
    return None if found is None else found[1]


def _ask(address: str, word: str, wait: float) -> str:
    try:
        answer = _converse(address, word, requests.Deadline(wait))
    except TimeoutError:
        raise exceptions.BackendTimeout(
            f'ZooKeeper {address}', f'no answer in {wait:g} s'
        ) from None
    except (ConnectionResetError, BrokenPipeError):
        answer = ''
    except OSError as error:
        raise exceptions.BackendError(
            f'ZooKeeper {address}', exceptions.first_line(error)
        ) from error
    if not answer:
        raise ConnectionRejected(
            f'ZooKeeper {address}', 'it takes connections only to end them'
        )
    return answer


def _converse(address: str, word: str, deadline: requests.Deadline) -> str:
    """Send a word, return what the server sends until it disconnects."""
    with socket.create_connection(
        common_addresses.split(address), deadline.left()
    ) as end:
        # A timeout of 0 would make the socket non-blocking.
        end.settimeout(max(0.001, deadline.left()))
        asked = bounded.Socket(end)
        asked.sendall(word.encode())
        pieces = iter(lambda: asked.recv(65536), b'')
        return b''.join(pieces).decode(errors='replace')
