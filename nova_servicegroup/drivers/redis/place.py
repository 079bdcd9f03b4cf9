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

"""Where the server is: in [redis], or in [coordination] backend_url."""

import os
import urllib.parse

from oslo_config import cfg

from nova_servicegroup.drivers.common import addresses
from nova_servicegroup.drivers.common import coordination_url
from nova_servicegroup import exceptions

_ADDRESS = '[redis] address'
_UNUSED = ('use_tls', 'ca_file', 'cert_file', 'key_file', 'database')
_FILES = {
    'ca_file': 'ssl_ca_certs',
    'cert_file': 'ssl_certfile',
    'key_file': 'ssl_keyfile',
}


def url(conf: cfg.ConfigOpts) -> str:
    """Return the URL for tooz; with secrets only if that of others is used.

    :raises ConfigurationError: an option cannot be used
    """
    group = conf.redis
    if group.address or group.sentinel_addresses or group.sentinel_name:
        return _by_options(conf)
    if coordination_url.parts(conf).scheme != 'redis':
        raise exceptions.ConfigurationError(
            _ADDRESS,
            group.address,
            'host:port of the server, or sentinel_name and '
            f'sentinel_addresses, or a {coordination_url.OPTION} that begins '
            'with redis:',
        )
    coordination_url.check_unused(conf, 'redis', _UNUSED)
    found: str = conf.coordination.backend_url
    return found


def _by_options(conf: cfg.ConfigOpts) -> str:
    group = conf.redis
    servers = addresses.parse(_ADDRESS, group.address, 6379)
    sentinels = addresses.parse(
        '[redis] sentinel_addresses', group.sentinel_addresses, 26379
    )
    query = [('db', str(group.database))]
    if sentinels:
        query.append(('sentinel', group.sentinel_name or ''))
        query += [('sentinel_fallback', each) for each in sentinels[1:]]
    watched = bool(group.sentinel_name)
    alone = len(servers) == 1 and not sentinels and not watched
    if not alone and (servers or not sentinels or not watched):
        raise exceptions.ConfigurationError(
            _ADDRESS,
            group.address,
            'one server; or none, and both sentinel_name and '
            'sentinel_addresses',
        )
    if group.use_tls:
        query += [('ssl', 'true'), *_files(conf)]
        # Without Sentinels, tooz hands it on to who does not know it.
        query += [('sentinel_ssl', 'true')] if sentinels else []
    here = (servers or sentinels)[0]
    return f'redis://{here}?{urllib.parse.urlencode(query)}'


def _files(conf: cfg.ConfigOpts) -> list[tuple[str, str]]:
    found = []
    for option, name in _FILES.items():
        path = conf.redis[option]
        if path and not os.access(path, os.R_OK):
            raise exceptions.ConfigurationError(
                f'[redis] {option}',
                path,
                'a PEM file that the user of this process may read',
            )
        if path:
            found.append((name, path))
    return found


def servers(url: str) -> list[str]:
    """Return the server of a URL of tooz, or the Sentinels.

    :raises ConfigurationError: one is no address
    """
    parts = urllib.parse.urlsplit(url)
    here = parts.netloc.rpartition('@')[2]
    more = urllib.parse.parse_qs(parts.query).get('sentinel_fallback', [])
    return coordination_url.servers([here, *more], 6379)
