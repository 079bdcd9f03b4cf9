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


"""How the zk driver connects to ZooKeeper, and how it names members."""

from collections.abc import Callable, Set
import math
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import importutils

from nova_servicegroup import addresses
from nova_servicegroup.drivers import _tooz
from nova_servicegroup import exceptions
from nova_servicegroup import opts

coordination = importutils.try_import('tooz.coordination')
zookeeper = importutils.try_import('tooz.drivers.zookeeper')

LOG = logging.getLogger(__name__)


class Settings:
    """What the options say about connections.

    :raises ConfigurationError: an option cannot be used
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        group = conf.zookeeper
        self.hosts = addresses.parse(
            '[zookeeper] address', group.address, 2181
        )
        if not self.hosts:
            raise exceptions.ConfigurationError(
                '[zookeeper] address',
                group.address,
                'host:port of each ZooKeeper server, separated by commas',
            )
        _check_credentials(group.username or '', group.password or '')
        self.session_timeout = _session_timeout(conf)
        self.namespace = group.namespace.strip('/')
        self.conf = conf

    def coordinator(self, member_id: bytes) -> Any:
        """Return a coordinator that has not been started."""
        handler = _tooz.handler()
        group = self.conf.zookeeper
        return coordination.get_coordinator(
            self._url(),
            member_id,
            hosts=','.join(self.hosts[1:]),
            namespace=self.namespace,
            timeout=self.session_timeout,
            connection_retry=self._connection_retry(handler),
            handler=handler,
            use_ssl=group.use_tls,
            ca=group.ca_file,
            certfile=group.cert_file,
            keyfile=group.key_file,
            keyfile_password=group.key_password,
        )

    def connection(
        self, new_id: Callable[[], bytes], max_idle: float = math.inf
    ) -> _tooz.Connection:
        """Return a connection whose coordinators get ids of new_id."""
        return _tooz.Connection(
            f'ZooKeeper {",".join(self.hosts)}',
            self.coordinator,
            new_id,
            patience=2.5 * self.session_timeout,
            max_backoff=self.session_timeout / 2,
            max_idle=max_idle,
        )

    def _url(self) -> str:
        group = self.conf.zookeeper
        user = ''
        if group.username:
            user = f'{group.username}:{group.password}@'
        return f'zookeeper://{user}{self.hosts[0]}'

    def _connection_retry(self, handler: str) -> dict[str, Any]:
        # kazoo's own backoff grows until sessions expire in an outage that
        # they would have survived. It insists on its handler's own sleep.
        return {
            'max_tries': -1,
            'delay': 0.2,
            'backoff': 2,
            'max_delay': self.session_timeout / 4,
            'sleep_func': zookeeper.KazooDriver.HANDLERS[handler].sleep_func,
        }


def _check_credentials(username: str, password: str) -> None:
    """Check what tooz takes in the user's part of an address."""
    if bool(username) != bool(password):
        raise exceptions.ConfigurationError(
            '[zookeeper] username',
            username,
            'username and password, or neither',
        )
    if not set(username).isdisjoint('/?#[]:@'):
        raise exceptions.ConfigurationError(
            '[zookeeper] username', username, 'no character of /?#[]:@'
        )
    if not set(password).isdisjoint('/?#[]'):
        raise exceptions.ConfigurationError(
            '[zookeeper] password', None, 'no character of /?#[]'
        )


def _session_timeout(conf: cfg.ConfigOpts) -> int:
    """Return the session timeout in seconds, whole for tooz takes int()."""
    group = conf.zookeeper
    if group.recv_timeout and not opts.is_set(
        conf, 'session_timeout', opts.ZOOKEEPER
    ):
        return max(1, math.ceil(int(group.recv_timeout) / 1000))
    timeout: int = group.session_timeout
    return timeout


class Roster:
    """Turns member ids into hosts, looking only at those that changed."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._ids: Set[bytes] = frozenset()
        self._by_host: dict[str, set[bytes]] = {}
        self._hosts: Set[str] = frozenset()

    def take(self, ids: Set[bytes]) -> Set[str]:
        """Return the hosts of ids."""
        came, gone = ids - self._ids, self._ids - ids
        self._ids = ids
        for each in gone:
            self._remove(each)
        for each in came:
            self._add(each)
        if came or gone:
            self._hosts = frozenset(self._by_host)
        return self._hosts

    def incarnations(self, host: str) -> tuple[str, ...]:
        """Return the member ids of host."""
        ids = self._by_host.get(host, ())
        return tuple(sorted(each.decode('ascii') for each in ids))

    def _add(self, member_id: bytes) -> None:
        try:
            host = _tooz.host_of(member_id)
        except ValueError:
            LOG.warning(
                'Group %s: %r is no member; it is ignored.',
                self._group,
                member_id,
            )
            return
        self._by_host.setdefault(host, set()).add(member_id)

    def _remove(self, member_id: bytes) -> None:
        try:
            host = _tooz.host_of(member_id)
        except ValueError:
            return
        self._by_host[host].discard(member_id)
        if not self._by_host[host]:
            del self._by_host[host]
