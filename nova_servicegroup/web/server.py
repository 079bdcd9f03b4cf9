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

"""The HTTP server of the daemons, with or without TLS."""

from collections.abc import Mapping
import contextlib
import http.server
import socket
import socketserver
import ssl
import threading
import time
from typing import Any

from oslo_log import log as logging
from oslo_utils import netutils

from nova_servicegroup.web import pages

LOG = logging.getLogger(__name__)

#: The most connections that are open at once, each with a thread.
_MOST = 16
#: The most seconds that a connection lasts.
_LONGEST = 10.0
#: Seconds for which a new connection waits until the oldest has ended.
_WAIT = 0.2

#: The headers of every response.
_HEADERS = {
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
}


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


class _Handler(http.server.BaseHTTPRequestHandler):
    """A handler of one request, with a timeout for silent clients."""

    #: Seconds for which a client may be silent; see socketserver.
    timeout = 2 * _LONGEST

    server: 'Server'

    def handle(self) -> None:
        """Serve the request."""
        try:
            super().handle()
        except (OSError, ValueError) as error:
            LOG.debug('A client went away: %r', error)

    def do_GET(self) -> None:
        """See BaseHTTPRequestHandler."""
        self.wfile.write(self._send_head())

    def do_HEAD(self) -> None:
        """See BaseHTTPRequestHandler."""
        self._send_head()

    def _send_head(self) -> bytes:
        """Send the status and the headers; return the body."""
        path, _, query = self.path.partition('?')
        response = self.server.answer(
            pages.Request(path, query, self.headers)  # type: ignore[arg-type]
        )
        self.send_response(response.status)
        for name, value in {
            'Content-Type': response.content_type,
            'Content-Length': str(len(response.body)),
            **_HEADERS,
            **response.headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        return response.body

    def version_string(self) -> str:
        """Return the name of the server, without versions."""
        return 'nova-servicegroup'

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: clients decide how often they ask, and for what."""


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """An HTTP server with a bounded number of threads.

    :param served: the pages by path
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
        served: Mapping[str, pages.Page],
        context: ssl.SSLContext | None,
        connections: Connections,
    ) -> None:
        self.address_family, address = _resolve(host, port)
        self._connections = connections
        self._pages = served
        super().__init__(address, _Handler)
        if context is not None:
            # The thread of the request does the handshake: in accept(), a
            # silent client would keep all others waiting.
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def answer(self, request: pages.Request) -> pages.Response:
        """Return the response to a request. Never raises."""
        page = self._pages.get(request.path)
        if page is None:
            return pages.text(404, 'there is no such page')
        try:
            return page.answer(request)
        except ValueError:
            return pages.text(400, 'the query cannot be understood')
        except Exception:
            LOG.exception('The page %s cannot be served.', request.path)
            return pages.text(500, 'see the log')

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
        LOG.exception('A request cannot be served.')


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    found = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, address = found[0]
    return family, address


def start(
    host: str,
    port: int,
    served: Mapping[str, pages.Page],
    context: ssl.SSLContext | None = None,
) -> int:
    """Serve pages from threads of their own, for ever; return the port.

    :param context: the settings of TLS, or None to serve without it
    :raises OSError: the port is taken, or the address is not of this machine
    """
    server = Server(host, port, served, context, Connections(_MOST, _LONGEST))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


def url(host: str, port: int, path: str, *, tls: bool = False) -> str:
    """Return the URL of a page that is served."""
    scheme = 'https' if tls else 'http'
    return f'{scheme}://{netutils.escape_ipv6(host)}:{port}{path}'
