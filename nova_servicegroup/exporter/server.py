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


"""Serves metrics over HTTP, with or without TLS."""

import ssl
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
import prometheus_client
from prometheus_client import registry

from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)


def start(conf: cfg.ConfigOpts, served: registry.Collector) -> int:
    """Serve metrics from threads of their own, for ever.

    :returns: the port
    :raises ConfigurationError: TLS is set up in part
    :raises OSError: the port is taken, or a file cannot be read
    """
    options = conf.servicegroup_exporter
    _check_tls(options)
    server, _ = prometheus_client.start_http_server(
        options.port,
        options.listen,
        served,
        certfile=options.cert_file,
        keyfile=options.key_file,
        client_cafile=options.client_ca_file,
        client_auth_required=bool(options.client_ca_file),
    )
    bases: Any = (_Patience, server.RequestHandlerClass)
    server.RequestHandlerClass = type('Handler', bases, {})
    if isinstance(server.socket, ssl.SSLSocket):
        # Else a client that says nothing would keep all others waiting.
        server.socket.do_handshake_on_connect = False  # type: ignore
    LOG.info(
        'Serving metrics on %s://%s:%d/metrics',
        'https' if options.cert_file else 'http',
        options.listen,
        server.server_port,
    )
    return int(server.server_port)


class _Patience:
    """Bounds what a client may do to the thread that serves it."""

    #: Seconds for which it may be silent; see socketserver.
    timeout = 10.0

    def handle(self) -> None:
        """Serve one request."""
        try:
            super().handle()  # type: ignore[misc]
        except OSError as error:
            LOG.debug('A client went away: %r', error)


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
