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


"""The status page of the exporter, for people."""

from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib import resources
import socket
from typing import Any
import urllib.parse

import jinja2
from oslo_config import cfg

from nova_servicegroup import escaping
from nova_servicegroup.exporter import hostmap
from nova_servicegroup.exporter import status
from nova_servicegroup.exporter import watch
from nova_servicegroup.watch import inventory
from nova_servicegroup.web import pages

_PACKAGE = 'nova_servicegroup.exporter'

#: The least seconds between two updates of a page by its script; and between
#: those without it, which interrupt a reader.
_UPDATE = 5.0
_REFRESH = 30.0

#: The most characters of a filter.
_LONGEST = 255

#: The files that the page refers to.
_FILES = {
    'status.css': 'text/css; charset=utf-8',
    'status.js': 'text/javascript; charset=utf-8',
    'icon.svg': 'image/svg+xml',
}

#: Nothing is loaded from another place or written into the page, nor may
#: another page frame this one.
_POLICY = '; '.join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


class StatusPage(pages.Page):
    """The page that shows the last readings of the groups.

    A request does not ask the backend.
    """

    def __init__(
        self, conf: cfg.ConfigOpts, watches: Sequence[watch.GroupWatch]
    ) -> None:
        self._watches = watches
        interval = float(conf.servicegroup.refresh_interval)
        self._always = {
            'driver': escaping.printable(conf.servicegroup_driver),
            'version': metadata.version('nova-servicegroup'),
            'machine': escaping.printable(socket.gethostname()),
            'update': max(_UPDATE, interval),
            'refresh': round(max(_REFRESH, interval)),
            'states': inventory.STATES,
        }
        self._template = _environment().get_template('status.html')

    def answer(self, request: pages.Request) -> pages.Response:
        """See pages.Page."""
        fields = request.fields()
        needle = escaping.printable(fields.get('host', '').strip()[:_LONGEST])
        found = status.Status(self._watches, needle)
        text = self._template.render(
            self._always,
            status=found,
            needle=needle,
            **_paged(found, needle, fields.get('page', '')),
        )
        headers = {'Content-Security-Policy': _POLICY}
        return pages.Response(200, text.encode(), pages.HTML, headers)


class File(pages.Page):
    """A file of the package."""

    def __init__(self, name: str, content_type: str) -> None:
        file = resources.files(_PACKAGE).joinpath('static', name)
        self._content = file.read_bytes()
        self._content_type = content_type

    def answer(self, request: pages.Request) -> pages.Response:
        """See pages.Page."""
        return pages.Response(200, self._content, self._content_type)


def all_of(
    conf: cfg.ConfigOpts, watches: Sequence[watch.GroupWatch]
) -> Mapping[str, pages.Page]:
    """Return the status page and its files by path."""
    files = {f'/static/{each}': File(each, it) for each, it in _FILES.items()}
    return {'/': StatusPage(conf, watches), **files}


def _paged(found: status.Status, needle: str, number: str) -> dict[str, Any]:
    """Return a page of the table, and the links to those beside it.

    :param number: the number of the page, untrusted
    """
    last = max(0, found.unfit - 1) // status.ROWS
    page = min(int(number), last) if number.isdecimal() else 0
    begin = page * status.ROWS
    services = found.services(begin)
    return {
        'services': services,
        'begin': begin,
        'earlier': _link(needle, page - 1) if page else None,
        'later': _link(needle, page + 1) if page < last else None,
    }


def _link(needle: str, page: int) -> str:
    return '?' + urllib.parse.urlencode({'host': needle, 'page': page})


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader(_PACKAGE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters.update(
        moment=status.moment,
        duration=status.duration,
        slug=hostmap.slug,
        icon=hostmap.icon,
    )
    return made
