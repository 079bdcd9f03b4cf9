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

"""The HTTP server of the metrics, with or without TLS."""

import contextlib
import socket
import socketserver
import ssl
import threading
import time
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import netutils
import prometheus_client
from prometheus_client import registry

from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

#: The most connections that are open at once, each with a thread.
_MOST = 16
#: The most seconds that a connection lasts.
_LONGEST = 10.0
#: Seconds for which a new connection waits until the oldest has ended.
_WAIT = 0.2


class Connections:
    """The open connections, each with a thread; all threads may use it.

    :param most: how many may be open at once
    :param longest: seconds after which a connection is cut
    :param wait: seconds for which a new one waits for room
    """

    def __init__(
        self, most: int, longest: float, *, wait: float = _WAIT
    ) -> None:
        self._most = most
        self._longest = longest
        self._wait = wait
        # The start of each connection, the oldest first.
        self._begun: dict[socket.socket, float] = {}
        self._ended = threading.Condition()

    def admit(self, connection: socket.socket) -> bool:
        """Add a new connection; return whether there is room for it.

        If there are too many the oldest is cut, so that slow clients do not
        keep others out.
        """
        with self._ended:
            if len(self._begun) >= self._most:
                _cut(next(iter(self._begun)))
            if not self._ended.wait_for(self._has_room, self._wait):
                return False
            self._begun[connection] = time.monotonic()
        return True

    def leave(self, connection: socket.socket) -> None:
        """Remove a connection that has ended."""
        with self._ended:
            self._begun.pop(connection, None)
            self._ended.notify()

    def cut_overdue(self) -> None:
        """Cut connections that last too long, which ends their threads."""
        with self._ended:
            for connection, begun in self._begun.items():
                if time.monotonic() - begun < self._longest:
                    return
                _cut(connection)

    def _has_room(self) -> bool:
        return len(self._begun) < self._most


def _cut(connection: socket.socket) -> None:
    # The method of a TLS socket would drop the session that its thread uses.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def start(conf: cfg.ConfigOpts, served: registry.Collector) -> None:
    """Serve metrics from threads of their own, for ever.

    :raises ConfigurationError: TLS is configured in part
    :raises OSError: the port is taken, or a file cannot be read
    """
    options = conf.servicegroup_exporter
    _check_tls(options)
    server = Server(
        options.listen,
        options.port,
        served,
        _tls_context(options) if options.cert_file else None,
        Connections(_MOST, _LONGEST),
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    LOG.info('Serving metrics on %s', url(conf, int(server.server_address[1])))


def url(conf: cfg.ConfigOpts, port: int) -> str:
    """Return the URL of metrics that are served on a port."""
    options = conf.servicegroup_exporter
    scheme = 'https' if options.cert_file else 'http'
    return f'{scheme}://{netutils.escape_ipv6(options.listen)}:{port}/metrics'


class _Handler(prometheus_client.MetricsHandler):
    """A handler of one request, with a timeout for silent clients."""

    #: Seconds for which a client may be silent; see socketserver.
    timeout = 2 * _LONGEST

    def handle(self) -> None:
        """Serve the request."""
        try:
            super().handle()
        except (OSError, ValueError) as error:
            LOG.debug('A client went away: %r', error)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """An HTTP server with a bounded number of threads.

    :param served: the metrics
    :param context: the settings of TLS, or None to serve without it
    :param connections: admits its connections and cuts those too long
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    # With the default, 5, a burst of connections delays others by seconds.
    request_queue_size = 128

    def __init__(
        self,
        host: str,
        port: int,
        served: registry.Collector,
        context: ssl.SSLContext | None,
        connections: Connections,
    ) -> None:
        self.address_family, address = _resolve(host, port)
        self._connections = connections
        super().__init__(address, _Handler.factory(served))
        if context is not None:
            # The thread of the request does the handshake: in accept(), a
            # silent client would keep all others waiting.
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def process_request(self, request: Any, client_address: Any) -> None:
        """See socketserver."""
        if not self._connections.admit(request):
            LOG.debug('Too many clients at once.')
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._connections.leave(request)
            raise

    def process_request_thread(
        self, request: Any, client_address: Any
    ) -> None:
        """See socketserver."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.leave(request)

    def service_actions(self) -> None:
        """See socketserver, which calls this twice a second."""
        self._connections.cut_overdue()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """See socketserver."""
        LOG.exception('Metrics cannot be served.')


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    found = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, address = found[0]
    return family, address


def _tls_context(options: cfg.ConfigOpts.GroupAttr) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert_file, options.key_file)
    if options.client_ca_file:
        context.load_verify_locations(options.client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _check_tls(options: cfg.ConfigOpts.GroupAttr) -> None:
    """Refuse incomplete options of TLS, which would have no effect."""
    pairs = (
        ('cert_file', 'key_file'),
        ('key_file', 'cert_file'),
        ('client_ca_file', 'cert_file'),
    )
    for given, needed in pairs:
        if options[given] and not options[needed]:
            raise exceptions.ConfigurationError(
                f'[servicegroup_exporter] {needed}',
                options[needed],
                f'a file, which {given} needs',
            )
