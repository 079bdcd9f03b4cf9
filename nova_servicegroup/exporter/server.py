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

"""Serves metrics over HTTP, with or without TLS."""

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

#: Seconds for which a new one waits until the oldest has ended.
_WAIT = 0.2


class Connections:
    """Each has a thread of its own. May be used by all of them.

    :param most: so many are open at once
    :param longest: seconds after which one is cut, whatever it is at
    """

    def __init__(
        self, most: int, longest: float, *, wait: float = _WAIT
    ) -> None:
        self._most = most
        self._longest = longest
        self._wait = wait
        # When each has begun, the oldest first.
        self._begun: dict[socket.socket, float] = {}
        self._ended = threading.Condition()

    def admit(self, connection: socket.socket) -> bool:
        """Take a new connection; tell whether there is room for it.

        Where there are too many the oldest is cut: a client that takes its
        time keeps out nobody who does not.
        """
        with self._ended:
            if len(self._begun) >= self._most:
                _cut(next(iter(self._begun)))
            if not self._ended.wait_for(self._has_room, self._wait):
                return False
            self._begun[connection] = time.monotonic()
        return True

    def leave(self, connection: socket.socket) -> None:
        """Forget a connection that has ended."""
        with self._ended:
            self._begun.pop(connection, None)
            self._ended.notify()

    def cut_overdue(self) -> None:
        """Cut those that have taken too long. Their threads end by it."""
        with self._ended:
            for connection, begun in self._begun.items():
                if time.monotonic() - begun < self._longest:
                    return
                _cut(connection)

    def _has_room(self) -> bool:
        return len(self._begun) < self._most


def _cut(connection: socket.socket) -> None:
    # That of TLS would take the session from under the thread that reads.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


LOG = logging.getLogger(__name__)

#: Connections that are open at once, with a thread for each, and the seconds
#: that each has from first to last.
_MOST = 16
_LONGEST = 10.0


def start(conf: cfg.ConfigOpts, served: registry.Collector) -> int:
    """Serve metrics from threads of their own, for ever.

    :returns: the port
    :raises ConfigurationError: TLS is set up in part
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
    port = int(server.server_address[1])
    LOG.info('Serving metrics on %s', url(conf, port))
    return port


def url(conf: cfg.ConfigOpts, port: int) -> str:
    """Return where the metrics are, when they are served on a port."""
    options = conf.servicegroup_exporter
    scheme = 'https' if options.cert_file else 'http'
    return f'{scheme}://{netutils.escape_ipv6(options.listen)}:{port}/metrics'


class _Handler(prometheus_client.MetricsHandler):
    """Serves one request; whoever keeps it waiting is cut off."""

    #: Seconds for which a client may be silent; see socketserver.
    timeout = 2 * _LONGEST

    def handle(self) -> None:
        """Serve one request."""
        try:
            super().handle()
        except (OSError, ValueError) as error:
            LOG.debug('A client went away: %r', error)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """An HTTP server with a bounded number of threads.

    :param context: None: it serves without TLS
    :param open_: the connections that it has
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    # With the default of 5 a burst of connections delays others by seconds.
    request_queue_size = 128

    def __init__(
        self,
        host: str,
        port: int,
        served: registry.Collector,
        context: ssl.SSLContext | None,
        open_: Connections,
    ) -> None:
        self.address_family, address = _resolve(host, port)
        self._open = open_
        super().__init__(address, _Handler.factory(served))
        if context is not None:
            # The handshake is part of the request: else a client that says
            # nothing would keep all others waiting.
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def process_request(self, request: Any, client_address: Any) -> None:
        """See socketserver."""
        if not self._open.admit(request):
            LOG.debug('Too many clients at once.')
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._open.leave(request)
            raise

    def process_request_thread(
        self, request: Any, client_address: Any
    ) -> None:
        """See socketserver."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.leave(request)

    def service_actions(self) -> None:
        """See socketserver, which comes here twice in a second."""
        self._open.cut_overdue()

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
    """Refuse what would silently be served without TLS."""
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
