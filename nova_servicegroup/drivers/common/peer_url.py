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

"""A group of peers on whatever backend of tooz a URL names."""

from importlib import metadata
from typing import Any
import urllib.parse

from oslo_config import cfg
from oslo_utils import strutils

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import decoding
from nova_servicegroup.drivers.common import peers
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import starting
from nova_servicegroup import exceptions

coordination = requests.try_import('tooz.coordination')

#: What such backends take, at the least (seconds).
_TTL = 10
_LIMITS = connections.Limits(2.5 * _TTL, 5.0)


def peer_group(
    conf: cfg.ConfigOpts, url: str, group: str, host: str
) -> peers.PeerGroup:
    """Return this process's part in a group on a backend of tooz.

    :param url: of tooz
    :param host: where it runs
    :raises ConfigurationError: tooz knows no such backend
    :raises LibraryMissing: tooz, or the backend's client, is not installed
    :raises LibraryUnusable: it is, and cannot be imported
    """
    requests.require('monitor', 'tooz', 'zk')
    connection = connections.Connection(_Url(url), host, _LIMITS)
    wait = float(conf.servicegroup.read_timeout)
    return peers.PeerGroup(connection, group, _TTL, wait)


class _Url(starting.Factory):
    """Makes the coordinators of a URL, in a program of our own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._parts = parts = urllib.parse.urlsplit(url)
        known = sorted(metadata.entry_points(group='tooz.backends').names)
        if parts.scheme not in known:
            raise _refused(
                f'a URL of tooz that begins with {", ".join(known)}'
            )
        place = parts.hostname or parts.path.rpartition('@')[2]
        self.backend = f'{parts.scheme}://{place}'
        decoding.guard_tooz()

    def make(self, member_id: bytes) -> Any:
        """See starting.Factory.

        :raises ConfigurationError: TLS is wanted, and tooz does not do it
        """
        made = coordination.get_coordinator(self._url, member_id)
        if self._parts.scheme.startswith('etcd3+'):
            # tooz says that a membership needs no heartbeats. Its lease does.
            made.CHARACTERISTICS = ()
        said = dict(urllib.parse.parse_qsl(self._parts.query))
        if (
            self._parts.scheme == 'memcached'
            and strutils.bool_from_string(said.get('use_ssl'))
            and getattr(made, 'ssl_context', None) is None
        ):
            raise _refused(
                'memcached without use_ssl, or tooz 7.0 or later: pip install '
                'nova-servicegroup[mc-tls]'
            )
        return made


def _refused(accepted: str) -> exceptions.ConfigurationError:
    return exceptions.ConfigurationError(
        '[servicegroup_monitor] backend_url', None, accepted
    )
