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

"""Settings of the etcd driver, from its options."""

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
#: The options that are refused where [coordination] backend_url is used.
_UNUSED = ('use_tls', 'ca_file', 'cert_file', 'key_file')


class Settings(settings.Settings):
    """Settings of the etcd driver, from its options.

    After a failure a coordinator asks the next server and gets a new lease by
    itself, so it is never replaced.

    :ivar wait: seconds for all requests that one question takes
    :ivar namespace: of the groups of one Nova on the servers
    :raises ConfigurationError: an option cannot be used
    """

    driver = backend_name = 'etcd'

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        found = _own_endpoints(conf) or _shared_endpoints(conf)
        super().__init__(conf, found.servers, conf.etcd.ttl)
        addresses.check_credentials('etcd', found.username, found.password)
        if found.secure:
            tls.context('etcd', found.files)
        self.endpoints = found
        self.namespace: str = conf.etcd.namespace
        # tooz does not know the namespaces of this driver.
        self.peer_prefix = f'{self.namespace}:'
        self.wait = min(
            float(conf.servicegroup.read_timeout), max(1.0, self.expiry / 6)
        )

    @property
    def found_within(self) -> float:
        """See base.Driver.

        etcd looks for expired leases twice a second, and its leader may take
        as long to revoke them.
        """
        return self.expiry + 1.0

    def make(self, member_id: bytes) -> Any:
        """See starting.Factory."""
        return coordinator.Coordinator(self, member_id)

    def for_peers(self) -> _Peers:
        """See settings.Settings."""
        return _Peers(self.conf)


class _Peers(Settings):
    """Settings that make tooz's own coordinators."""

    def make(self, member_id: bytes) -> Any:
        """See starting.Factory."""
        return coordinator.for_peer(self, member_id)


def _own_endpoints(conf: cfg.ConfigOpts) -> gateway.Endpoints | None:
    group = conf.etcd
    servers = addresses.parse('[etcd] address', group.address, _PORT)
    if not servers:
        return None
    return gateway.Endpoints(
        servers,
        group.use_tls,
        tls.files(group),
        group.username,
        group.password,
    )


def _shared_endpoints(conf: cfg.ConfigOpts) -> gateway.Endpoints:
    """Return the servers of other OpenStack services, if they are of etcd.

    Timeouts in the URL are ignored: 60 s is longer than a lease.
    """
    schemes = 'etcd3+http', 'etcd3+https'
    parts = addresses.backend_url(conf, 'etcd', schemes, _UNUSED)
    user, _, hosts = parts.netloc.rpartition('@')
    name, _, password = map(urllib.parse.unquote, user.partition(':'))
    query: dict[str, Any] = dict(urllib.parse.parse_qsl(parts.query))
    return gateway.Endpoints(
        addresses.of_backend_url([hosts or 'localhost'], _PORT),
        parts.scheme == 'etcd3+https',
        tls.Files(*map(query.get, ('ca_cert', 'cert_cert', 'cert_key'))),
        conf.etcd.username or name or None,
        conf.etcd.password or password or None,
    )
