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

"""What the options say about etcd servers."""

import ssl
from typing import Any, NamedTuple
import urllib.parse

from oslo_config import cfg

from nova_servicegroup.drivers.common import addresses
from nova_servicegroup.drivers.common import coordination_url
from nova_servicegroup import exceptions

_PORT = 2379
_UNUSED = ('use_tls', 'ca_file', 'cert_file', 'key_file')


class Place(NamedTuple):
    """Where the servers are, and how they are reached. None: not set."""

    servers: list[str]
    secure: bool
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    username: str | None
    password: str | None


class Settings:
    """What the options say about servers.

    :ivar servers: each as host:port
    :ivar wait: seconds that several questions may take, one after the other
    :raises ConfigurationError: an option cannot be used
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.conf = conf
        self.place = _own_place(conf) or _shared_place(conf)
        self.servers = self.place.servers
        self.ttl: int = conf.etcd.ttl
        self.namespace: str = conf.etcd.namespace
        self.wait = min(
            float(conf.servicegroup.read_timeout), max(1.0, self.ttl / 6)
        )
        _check(self.place)

    @property
    def backend(self) -> str:
        """What to call the servers in errors."""
        return f'etcd {",".join(self.servers)}'

    @property
    def url(self) -> str:
        """The URL of tooz; it takes one server, and no credentials."""
        secure = 's' if self.place.secure else ''
        return f'etcd3+http{secure}://{self.servers[0]}'


def _own_place(conf: cfg.ConfigOpts) -> Place | None:
    group = conf.etcd
    servers = addresses.parse('[etcd] address', group.address, _PORT)
    return (
        Place(
            servers,
            group.use_tls,
            group.ca_file,
            group.cert_file,
            group.key_file,
            group.username,
            group.password,
        )
        if servers
        else None
    )


def _shared_place(conf: cfg.ConfigOpts) -> Place:
    """Return what other services of OpenStack use, if that is etcd.

    Its timeouts are for others: 60 s is more than a lease lasts.
    """
    parts = coordination_url.parts(conf)
    if parts.scheme not in ('etcd3+http', 'etcd3+https'):
        raise exceptions.ConfigurationError(
            '[etcd] address',
            conf.etcd.address,
            'host:port of each etcd server, separated by commas; where it is '
            f'unset, {coordination_url.OPTION} must begin with etcd3+http:// '
            'or etcd3+https://',
        )
    coordination_url.check_unused(conf, 'etcd', _UNUSED)
    user, _, place = parts.netloc.rpartition('@')
    name, _, password = map(urllib.parse.unquote, user.partition(':'))
    said: dict[str, Any] = dict(urllib.parse.parse_qsl(parts.query))
    return Place(
        coordination_url.servers([place or 'localhost'], _PORT),
        parts.scheme == 'etcd3+https',
        said.get('ca_cert'),
        said.get('cert_cert'),
        said.get('cert_key'),
        conf.etcd.username or name or None,
        conf.etcd.password or password or None,
    )


def _check(place: Place) -> None:
    """Refuse what would trip when a member connects."""
    if bool(place.username) != bool(place.password):
        raise exceptions.ConfigurationError(
            '[etcd] username', place.username, 'username and password, or none'
        )
    if not place.secure:
        return
    try:
        context = ssl.create_default_context(cafile=place.ca_file)
        if place.cert_file:
            context.load_cert_chain(place.cert_file, place.key_file)
    except (OSError, ValueError) as error:
        raise exceptions.ConfigurationError(
            '[etcd] ca_file, cert_file, key_file',
            ', '.join(filter(None, place[2:5])),
            'PEM files that the user of this process may read, and a key '
            'without a password that belongs to the certificate '
            f'({exceptions.first_line(error)})',
        ) from error
