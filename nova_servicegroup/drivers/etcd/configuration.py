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

from __future__ import annotations

from typing import Any
import urllib.parse

from oslo_config import cfg

from nova_servicegroup.drivers.common import addresses
from nova_servicegroup.drivers.common import settings
from nova_servicegroup.drivers.common import tls
from nova_servicegroup.drivers.etcd import coordinator
from nova_servicegroup.drivers.etcd import gateway

_PORT = 2379
_UNUSED = ('use_tls', 'ca_file', 'cert_file', 'key_file')


class Settings(settings.Settings):
    """What the options say about servers.

    A coordinator that fails goes on to the next server by itself, and gets a
    lease when it can, so it need not be replaced.

    :raises ConfigurationError: an option cannot be used
    """

    driver = backend_name = 'etcd'

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.place = place = _own_place(conf) or _shared_place(conf)
        super().__init__(conf, place.servers, conf.etcd.ttl)
        addresses.check_credentials('etcd', place.username, place.password)
        if place.secure:
            tls.context('etcd', place.files)
        self.namespace: str = conf.etcd.namespace
        # tooz knows no namespaces of etcd's.
        self.peer_prefix = f'{self.namespace}:'
        # Seconds that several questions may take, one after the other.
        self.wait = min(
            float(conf.servicegroup.read_timeout), max(1.0, self.expiry / 6)
        )

    @property
    def found_within(self) -> float:
        """See base.Driver.

        etcd looks twice in a second, and a leader may take as long.
        """
        return self.expiry + 1.0

    def make(self, member_id: bytes) -> Any:
        """See starting.Factory."""
        return coordinator.Coordinator(self, member_id)

    def for_peers(self) -> _Peers:
        """See settings.Settings."""
        return _Peers(self.conf)


class _Peers(Settings):
    """Makes tooz's own coordinators."""

    def make(self, member_id: bytes) -> Any:
        """See starting.Factory."""
        return coordinator.for_peer(self, member_id)


def _own_place(conf: cfg.ConfigOpts) -> gateway.Place | None:
    group = conf.etcd
    servers = addresses.parse('[etcd] address', group.address, _PORT)
    if not servers:
        return None
    return gateway.Place(
        servers,
        group.use_tls,
        tls.files(group),
        group.username,
        group.password,
    )


def _shared_place(conf: cfg.ConfigOpts) -> gateway.Place:
    """Return what other services of OpenStack use, if that is etcd.

    Its timeouts are for others: 60 s is more than a lease lasts.
    """
    schemes = 'etcd3+http', 'etcd3+https'
    parts = addresses.backend_url(conf, 'etcd', schemes, _UNUSED)
    user, _, hosts = parts.netloc.rpartition('@')
    name, _, password = map(urllib.parse.unquote, user.partition(':'))
    said: dict[str, Any] = dict(urllib.parse.parse_qsl(parts.query))
    return gateway.Place(
        addresses.of_backend_url([hosts or 'localhost'], _PORT),
        parts.scheme == 'etcd3+https',
        tls.Files(*map(said.get, ('ca_cert', 'cert_cert', 'cert_key'))),
        conf.etcd.username or name or None,
        conf.etcd.password or password or None,
    )
