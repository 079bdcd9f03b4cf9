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


"""TLS to ZooKeeper that trusts only the configured authorities.

kazoo adds all authorities of the system to ca_file, and compares the server's
name only since 2.11, with an argument that tooz does not pass on.
"""

from collections.abc import Callable, Sequence
import functools
import socket
import ssl
import time
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup.drivers.common import addresses
from nova_servicegroup.drivers.common import bounded
from nova_servicegroup.drivers.common import tls
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

#: Seconds between two checks whether a client has connected.
_POLL = 0.05


class Tls:
    """Makes the TLS connections of coordinators.

    :param options: those of [zookeeper]
    :param hosts: the servers, each as host:port
    :ivar error: why the last handshake failed, or None if it succeeded
    :raises ConfigurationError: a file cannot be used
    """

    def __init__(
        self, options: cfg.ConfigOpts.GroupAttr, hosts: Sequence[str]
    ) -> None:
        self._options = options
        self._hosts = [addresses.split(each) for each in hosts]
        self._reported: set[Any] = set()
        self._refused: set[str] = set()
        self.error: ssl.SSLError | None = None
        context(options)

    def secure(self, coordinator: Any) -> None:
        """Make a coordinator that was not started connect through this.

        :raises AttributeError: tooz has changed and must not be used
        """
        kazoo = coordinator._coord
        kazoo.handler.create_connection = functools.partial(
            self.connect, kazoo.handler.create_connection
        )
        kazoo.start = functools.partial(self._start, kazoo)

    def connect(
        self,
        plain: Callable[..., Any],
        address: tuple[Any, ...],
        hostname: str | None = None,
        timeout: float | None = None,
        **ignored: Any,
    ) -> ssl.SSLSocket:
        """Connect to a server, as kazoo's handlers do.

        :param plain: connects without TLS
        :param hostname: passed by kazoo since 2.11, beside its address
        :raises OSError: there is no connection, or the server is not trusted
        """
        name = hostname or self._name_of(address)
        made = plain(address, timeout=timeout)
        try:
            secure = self._handshake(made, name, timeout)
        except ssl.SSLError as error:
            self._fail(name, address, error)
            raise
        self.error = None
        self._refused.discard(name)
        self._reported.discard(address)
        return secure

    def _handshake(
        self, made: socket.socket, name: str, timeout: float | None
    ) -> ssl.SSLSocket:
        try:
            with bounded.within(timeout):
                return self._context().wrap_socket(made, server_hostname=name)
        except BaseException:
            made.close()
            raise

    def _context(self) -> ssl.SSLContext:
        # Files are read for each connection, so that renewed ones are used.
        try:
            return context(self._options)
        except exceptions.ConfigurationError as error:
            # Any other error would end kazoo's thread for good.
            raise ssl.SSLError(0, str(error)) from error

    def _fail(self, name: str, address: Any, error: ssl.SSLError) -> None:
        self.error = error
        self._refused.add(name)
        if address in self._reported:
            return
        self._reported.add(address)
        LOG.warning(
            'No TLS with the ZooKeeper server %s (%s port %d): %s. See '
            '[zookeeper] address, ca_file, cert_file and check_hostname. This '
            'process goes on trying.',
            name,
            *address[:2],
            error,
        )

    def _start(self, kazoo: Any, timeout: float) -> None:
        """Start a client as it does itself, but only until all have failed.

        :raises ssl.SSLError: the last server's failure
        """
        self.error = None
        self._refused.clear()
        names = {name for name, _ in self._hosts}
        end = time.monotonic() + timeout
        connected = kazoo.start_async()
        while not connected.wait(_POLL):
            if self._refused >= names or time.monotonic() >= end:
                kazoo.stop()
                raise self.error or kazoo.handler.timeout_exception(
                    'Connection time-out'
                )

    def _name_of(self, address: tuple[Any, ...]) -> str:
        """Return the configured name of an address."""
        host, port = address[:2]
        for name, its_port in self._hosts:
            if port == its_port and host in _addresses(name, port):
                return name
        return str(host)


def context(options: cfg.ConfigOpts.GroupAttr) -> ssl.SSLContext:
    """Return the context of connections to the servers.

    :param options: those of [zookeeper]
    :raises ConfigurationError: a file cannot be used
    """
    made = tls.context('zookeeper', tls.files(options))
    made.check_hostname = options.check_hostname
    return made


def _addresses(name: str, port: int) -> set[Any]:
    """Return a name and its addresses."""
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        return {name}
    return {name, *(each[4][0] for each in found)}
