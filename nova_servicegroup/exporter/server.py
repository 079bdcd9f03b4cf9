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


"""What the exporter serves, by its options; with or without TLS."""

from collections.abc import Mapping
import ssl
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
import prometheus_client
from prometheus_client import exposition
from prometheus_client import registry

from nova_servicegroup import exceptions
from nova_servicegroup.web import pages
from nova_servicegroup.web import server

LOG = logging.getLogger(__name__)

METRICS = '/metrics'


class MetricsPage(pages.Page):
    """The page of the metrics, in the format that the client accepts."""

    def __init__(self, served: registry.CollectorRegistry) -> None:
        self._app = prometheus_client.make_wsgi_app(served)

    def answer(self, request: pages.Request) -> pages.Response:
        """See pages.Page."""
        head: dict[str, Any] = {}

        def begin(status: str, headers: list[tuple[str, str]]) -> None:
            head.update(headers, status=int(status.split()[0]))

        body = b''.join(self._app(_environ(request), begin))
        return pages.Response(
            head.pop('status'), body, head.pop('Content-Type'), head
        )


def _environ(request: pages.Request) -> dict[str, str]:
    """Return the part of WSGI's environment that is used."""
    return {
        'REQUEST_METHOD': 'GET',
        'PATH_INFO': METRICS,
        'QUERY_STRING': request.query,
        'HTTP_ACCEPT': _accepted(request.headers.get('Accept', '')),
        'HTTP_ACCEPT_ENCODING': request.headers.get('Accept-Encoding', ''),
    }


def _accepted(header: str) -> str:
    """Return what a client accepts; '' if the library does not understand."""
    try:
        exposition.choose_encoder(header)
    except Exception:
        return ''
    return header


def start(conf: cfg.ConfigOpts, served: Mapping[str, pages.Page]) -> None:
    """Serve pages from threads of their own, for ever.

    :raises ConfigurationError: TLS is configured in part
    :raises OSError: the port is taken, or a file cannot be read
    """
    options = conf.servicegroup_exporter
    _check_tls(options)
    context = _tls_context(options) if options.cert_file else None
    port = server.start(options.listen, options.port, served, context)
    LOG.info('Serving metrics on %s', url(conf, port))


def url(conf: cfg.ConfigOpts, port: int) -> str:
    """Return the URL of metrics that are served on a port."""
    options = conf.servicegroup_exporter
    return server.url(
        options.listen, port, METRICS, tls=bool(options.cert_file)
    )


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
