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

"""Settings of the redis driver, from its options."""

from typing import Any
import urllib.parse

from oslo_config import cfg

from nova_servicegroup.drivers.common import addresses
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import settings
from nova_servicegroup.drivers.common import tls
from nova_servicegroup.drivers.redis import connecting
from nova_servicegroup import exceptions

coordination = requests.try_import('tooz.coordination')

_ADDRESS = '[redis] address'
_PORT = 6379
#: The options that are refused where [coordination] backend_url is used.
_UNUSED = ('use_tls', 'ca_file', 'cert_file', 'key_file', 'database')


class Settings(settings.Settings):
    """Settings of the server, or of the Sentinels that name it.

    redis-py reconnects by itself, so no coordinator is ever replaced.

    :ivar timeout: seconds that an answer may take. A server that does not
        answer must not use up the time until a member expires.
    :ivar has_sentinels: whether Sentinels name the server
    :raises ConfigurationError: an option cannot be used
    """

    driver = backend_name = 'redis'

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        group = conf.redis
        own = group.address or group.sentinel_addresses or group.sentinel_name
        # It has a password only if it is that of other services.
        self._url = _own_url(group) if own else _shared_url(conf)
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self._url).query)
        self.has_sentinels = 'sentinel' in query
        super().__init__(conf, _servers(self._url), group.ttl)
        read_timeout = float(conf.servicegroup.read_timeout)
        self.timeout = min(read_timeout, self.expiry / 5)

    def make(self, member_id: bytes) -> Any:
        """See starting.Factory."""
        made = coordination.get_coordinator(
            self._url,
            member_id,
            membership_timeout=self.expiry,
            namespace=self.conf.redis.namespace,
        )
        connecting.guard(made, self.timeout, self.conf.redis)
        return made


def _shared_url(conf: cfg.ConfigOpts) -> str:
    """Return the URL of other OpenStack services, if it is one of redis."""
    return addresses.backend_url(conf, 'redis', ['redis'], _UNUSED).geturl()


def _own_url(group: cfg.ConfigOpts.GroupAttr) -> str:
    """Return a URL for tooz by the options of [redis]; it has no secrets."""
    servers, sentinels = _own_servers(group)
    query: dict[str, Any] = {
        'db': str(group.database),
        'sentinel': group.sentinel_name,
        'sentinel_fallback': sentinels[1:],
    }
    if group.use_tls:
        files = tls.files(group)
        tls.context('redis', files)
        query.update(
            ssl='true',
            # Without Sentinels tooz passes it on, and redis-py rejects it.
            sentinel_ssl='true' if sentinels else None,
            ssl_ca_certs=files.ca_file,
            ssl_certfile=files.cert_file,
            ssl_keyfile=files.key_file,
        )
    given = {name: value for name, value in query.items() if value}
    first = (servers or sentinels)[0]
    return f'redis://{first}?{urllib.parse.urlencode(given, doseq=True)}'


def _own_servers(
    group: cfg.ConfigOpts.GroupAttr,
) -> tuple[list[str], list[str]]:
    """Return the server and the Sentinels; one of the lists is empty."""
    servers = addresses.parse(_ADDRESS, group.address, _PORT)
    sentinels = addresses.parse(
        '[redis] sentinel_addresses', group.sentinel_addresses, 26379
    )
    watched = bool(group.sentinel_name)
    if len(servers) + watched != 1 or bool(sentinels) != watched:
        raise exceptions.ConfigurationError(
            _ADDRESS,
            group.address,
            'one server; or none, and both sentinel_name and '
            'sentinel_addresses',
        )
    return servers, sentinels


def _servers(url: str) -> list[str]:
    """Return the server of a URL of tooz, or the Sentinels.

    :raises ConfigurationError: an address is not valid
    """
    parts = urllib.parse.urlsplit(url)
    first = parts.netloc.rpartition('@')[2]
    others = urllib.parse.parse_qs(parts.query).get('sentinel_fallback', [])
    return addresses.of_backend_url([first, *others], _PORT)
