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

"""Makes the zk driver's connections to ZooKeeper, from its options."""

from collections.abc import Sequence
import math
import socket
from typing import Any
import unicodedata

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup.drivers.common import addresses
from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import settings
from nova_servicegroup.drivers.zk import internals
from nova_servicegroup.drivers.zk import kazoo_log
from nova_servicegroup.drivers.zk import kazoo_loop
from nova_servicegroup.drivers.zk import tls
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup import process

coordination = requests.try_import('tooz.coordination')

zookeeper = requests.try_import('tooz.drivers.zookeeper')

LOG = logging.getLogger(__name__)

#: Seconds between two attempts of kazoo to reconnect, at most: a quarter of
#: the 10 s session timeout, all that servers with a short tick may grant.
_LONGEST_DELAY = 2.5


class Settings(settings.Settings):
    """Settings of the zk driver, from its options.

    :param only: the servers to connect to, instead of all
    :param granted: collects the timeout of each session, in seconds; without
        it, unexpected ones are logged
    :raises ConfigurationError: an option cannot be used
    """

    driver, backend_name = 'zk', 'ZooKeeper'

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        only: Sequence[str] = (),
        granted: list[float] | None = None,
    ) -> None:
        super().__init__(
            conf, _servers(conf, only), opts.session_timeout(conf)
        )
        group = conf.zookeeper
        _check_credentials(group.username or '', group.password or '')
        self.limits = self._limits(2.5)
        self.namespace = group.namespace.strip('/')
        self._warnings = _Warnings(
            self.addresses, self.expiry, opts.service_down_time(conf)
        )
        self._granted = (
            self._warnings.granted if granted is None else granted.append
        )
        self._handshakes = kazoo_loop.Handshakes(
            len(self.addresses), self.expiry
        )
        self._tls = tls.Tls(group, self.addresses) if group.use_tls else None

    @property
    def found_within(self) -> float:
        """See base.Driver.

        Servers expire sessions once a tick; a session has at least two ticks.
        """
        return 1.5 * self.expiry

    def _limits(
        self, patience: float, max_idle: float = math.inf
    ) -> connections.Limits:
        """Return when to replace a coordinator.

        :param patience: in session timeouts
        """
        return connections.Limits(
            patience * self.expiry, self.expiry / 2, max_idle
        )

    def member_connection(self, host: str) -> connections.Connection:
        """See settings.Settings.

        A second coordinator is started soon after a failure: a server that
        stays mute would let the session expire.
        """
        return connections.Connection(self, host, self._limits(1 / 12))

    def reader_connection(self) -> connections.Connection:
        """See settings.Settings."""
        # A new coordinator is tried before members that are held are down.
        patience = min(2.5, opts.hold_time(self.conf) / self.expiry / 2)
        # Green threads stand still between requests, so that the session
        # expires.
        green = process.handler() == 'eventlet'
        idle = self.expiry / 2 if green else math.inf
        return connections.Connection(
            self, 'reader', self._limits(patience, idle)
        )

    def make(self, member_id: bytes) -> Any:
        """See starting.Factory."""
        kazoo_log.quieten(self.conf)
        handler = process.handler()
        coordinator = self._make(member_id, handler)
        if self._tls is not None:
            self._tls.secure(coordinator)
        if handler == 'eventlet':
            kazoo_loop.never_block(coordinator)
        kazoo_loop.on_session(coordinator, self._granted)
        self._handshakes.guard(coordinator)
        kazoo_loop.Frames().guard(coordinator)
        internals.guard(coordinator)
        return coordinator

    def _make(self, member_id: bytes, handler: str) -> Any:
        group = self.conf.zookeeper
        return coordination.get_coordinator(
            self._url(),
            member_id,
            hosts=','.join(self.addresses[1:]),
            namespace=self.namespace,
            timeout=self.expiry,
            connection_retry=self._connection_retry(handler),
            handler=handler,
            use_ssl=group.use_tls,
            ca=group.ca_file,
            certfile=group.cert_file,
            keyfile=group.key_file,
            keyfile_password=group.key_password,
        )

    def stop(self, coordinator: Any) -> None:
        """See starting.Factory."""
        try:
            super().stop(coordinator)
        finally:
            internals.stop(coordinator)

    def failed(self) -> None:
        """See starting.Factory."""
        self._warnings.failed()

    def _url(self) -> str:
        group = self.conf.zookeeper
        user = ''
        if group.username:
            user = f'{group.username}:{group.password}@'
        return f'zookeeper://{user}{self.addresses[0]}'

    def _connection_retry(self, handler: str) -> dict[str, Any]:
        # kazoo's default backoff grows until sessions expire in outages that
        # they could survive. kazoo requires the sleep function of its handler.
        return {
            'max_tries': -1,
            'delay': 0.2,
            'backoff': 2,
            'max_delay': min(self.expiry / 4, _LONGEST_DELAY),
            'sleep_func': zookeeper.KazooDriver.HANDLERS[handler].sleep_func,
        }


class _Warnings:
    """Logs each problem of the servers once."""

    def __init__(
        self, hosts: list[str], session_timeout: int, service_down_time: int
    ) -> None:
        self._hosts = hosts
        self._session_timeout = session_timeout
        self._service_down_time = service_down_time
        self._granted: float | None = None
        self._full = False

    def granted(self, seconds: float) -> None:
        """Record the timeout of a new session."""
        self._full = False
        if seconds == self._granted:
            return
        self._granted = seconds
        if seconds != self._session_timeout:
            LOG.warning(
                'The ZooKeeper servers granted a session timeout of %g s '
                'instead of [zookeeper] session_timeout = %d: they take from '
                '2 to 20 of their ticks.',
                seconds,
                self._session_timeout,
            )
        if seconds > self._service_down_time:
            LOG.warning(
                'Dead services cannot be found within service_down_time = '
                '%d s: the ZooKeeper session timeout is %g s.',
                self._service_down_time,
                seconds,
            )

    def failed(self) -> None:
        """Log why no connection could be made, if it can be found out."""
        if self._full:
            return
        full = [host for host in self._hosts if _closes_at_once(host)]
        if full:
            self._full = True
            LOG.warning(
                '%s: the ZooKeeper server takes new connections only to end '
                'them at once. Most likely more sessions come from this '
                'address than its setting maxClientCnxns allows: raise it. '
                'This process goes on trying.',
                ', '.join(full),
            )


def _closes_at_once(address: str) -> bool:
    """Return whether a server closes new connections at once."""
    try:
        with socket.create_connection(addresses.split(address), 1) as end:
            end.settimeout(0.5)
            return not end.recv(1)
    except ConnectionResetError:
        return True
    except OSError:
        return False


def _servers(conf: cfg.ConfigOpts, only: Sequence[str]) -> list[str]:
    address = conf.zookeeper.address
    found = list(only) or addresses.parse('[zookeeper] address', address, 2181)
    if not found:
        raise exceptions.ConfigurationError(
            '[zookeeper] address',
            address,
            'host:port of each ZooKeeper server, separated by commas',
        )
    return found


def _check_credentials(username: str, password: str) -> None:
    """Check for characters that tooz cannot take in the URL of a server."""
    addresses.check_credentials('zookeeper', username, password)
    if not set(username).isdisjoint('/?#[]:@') or _has_delimiter(username):
        raise exceptions.ConfigurationError(
            '[zookeeper] username', username, 'no character of /?#[]:@'
        )
    plain = password.replace(':', '').replace('@', '')
    if not set(password).isdisjoint('/?#[]') or _has_delimiter(plain):
        raise exceptions.ConfigurationError(
            '[zookeeper] password', None, 'no character of /?#[]'
        )


def _has_delimiter(text: str) -> bool:
    """Return whether urllib finds a delimiter in text, as in the sign for a/c.

    It refuses such a URL, and its error shows the whole URL.
    """
    normalized = unicodedata.normalize('NFKC', text)
    return not set(normalized).isdisjoint('/?#:@')
