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

"""What the options say about redis servers, and how to connect to them."""

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
_UNUSED = ('use_tls', 'ca_file', 'cert_file', 'key_file', 'database')


class Settings(settings.Settings):
    """What the options say about the server, or the Sentinels that tell it.

    A client connects anew by itself, so no coordinator is ever replaced.

    :ivar timeout: seconds that an answer may take: a server that is mute must
        not use up the time that a member has
    :raises ConfigurationError: an option cannot be used
    """

    driver = backend_name = 'redis'

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        group = conf.redis
        own = group.address or group.sentinel_addresses or group.sentinel_name
        # With secrets only if that of other services is used.
        self._url = _own_url(conf) if own else _shared_url(conf)
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
    """Return what other services of OpenStack use, if that is redis."""
    addresses.backend_url(conf, 'redis', ['redis'], _UNUSED)
    found: str = conf.coordination.backend_url
    return found


def _own_url(conf: cfg.ConfigOpts) -> str:
    group = conf.redis
    servers = addresses.parse(_ADDRESS, group.address, _PORT)
    sentinels = addresses.parse(
        '[redis] sentinel_addresses', group.sentinel_addresses, 26379
    )
    watched = bool(group.sentinel_name)
    alone = len(servers) == 1 and not sentinels and not watched
    if not alone and (servers or not sentinels or not watched):
        raise exceptions.ConfigurationError(
            _ADDRESS,
            group.address,
            'one server; or none, and both sentinel_name and '
            'sentinel_addresses',
        )
    query = {'db': [str(group.database)]}
    if sentinels:
        query['sentinel'] = [group.sentinel_name]
        query['sentinel_fallback'] = sentinels[1:]
    if group.use_tls:
        query.update(_tls(group, bool(sentinels)))
    here = (servers or sentinels)[0]
    return f'redis://{here}?{urllib.parse.urlencode(query, doseq=True)}'


def _tls(
    group: cfg.ConfigOpts.GroupAttr, watched: bool
) -> dict[str, list[str]]:
    files = tls.files(group)
    tls.context('redis', files)
    names = ('ssl_ca_certs', 'ssl_certfile', 'ssl_keyfile')
    said = {
        name: [path] for name, path in zip(names, files, strict=False) if path
    }
    said['ssl'] = ['true']
    # Without Sentinels, tooz hands it on to who does not know it.
    if watched:
        said['sentinel_ssl'] = ['true']
    return said


def _servers(url: str) -> list[str]:
    """Return the server of a URL of tooz, or the Sentinels.

    :raises ConfigurationError: one is no address
    """
    parts = urllib.parse.urlsplit(url)
    here = parts.netloc.rpartition('@')[2]
    more = urllib.parse.parse_qs(parts.query).get('sentinel_fallback', [])
    return addresses.of_backend_url([here, *more], _PORT)
