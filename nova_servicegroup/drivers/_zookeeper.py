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

from collections.abc import Callable, Sequence, Set
import logging as std_logging
import math
import socket
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import importutils

from nova_servicegroup import addresses
from nova_servicegroup.drivers import _connection
from nova_servicegroup.drivers import _names
from nova_servicegroup.drivers import _tooz
from nova_servicegroup import exceptions
from nova_servicegroup import opts

coordination = importutils.try_import('tooz.coordination')
zookeeper = importutils.try_import('tooz.drivers.zookeeper')

LOG = logging.getLogger(__name__)

#: Seconds between two attempts of kazoo to reconnect: a quarter of the session
#: timeout of 10 s, which is all that servers with a short tick may grant.
_LONGEST_DELAY = 2.5


class Settings:
    """What the options say about connections.

    :param only: connect to these of the servers
    :param granted: told the timeout of each session, in seconds, instead of
        the log
    :raises ConfigurationError: an option cannot be used
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        only: Sequence[str] = (),
        granted: Callable[[float], None] | None = None,
    ) -> None:
        group = conf.zookeeper
        self.hosts = list(only) or addresses.parse(
            '[zookeeper] address', group.address, 2181
        )
        if not self.hosts:
            raise exceptions.ConfigurationError(
                '[zookeeper] address',
                group.address,
                'host:port of each ZooKeeper server, separated by commas',
            )
        _check_credentials(group.username or '', group.password or '')
        self.session_timeout = opts.session_timeout(conf)
        self.namespace = group.namespace.strip('/')
        self.conf = conf
        self._warnings = _Warnings(
            self.hosts, self.session_timeout, opts.service_down_time(conf)
        )
        self._granted = granted or self._warnings.granted

    def coordinator(self, member_id: bytes) -> Any:
        """Return a coordinator that has not been started."""
        quieten_kazoo(self.conf)
        handler = _tooz.handler()
        group = self.conf.zookeeper
        coordinator = coordination.get_coordinator(
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
        on_session(coordinator, self._granted)
        return coordinator

    def connection(
        self,
        new_id: Callable[[], bytes],
        max_idle: float = math.inf,
        patience: float = 2.5,
    ) -> _connection.Connection:
        """Return a connection whose coordinators get ids of new_id.

        :param max_idle: in seconds
        :param patience: in session timeouts
        """
        return _connection.Connection(
            f'ZooKeeper {",".join(self.hosts)}',
            self.coordinator,
            new_id,
            patience=patience * self.session_timeout,
            max_backoff=self.session_timeout / 2,
            max_idle=max_idle,
            failed=self._warnings.failed,
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
            'max_delay': min(self.session_timeout / 4, _LONGEST_DELAY),
            'sleep_func': zookeeper.KazooDriver.HANDLERS[handler].sleep_func,
        }


class _NoCredentials(std_logging.Filter):
    """Drops the line in which kazoo shows the request with the password."""

    def filter(self, record: std_logging.LogRecord) -> bool:
        """Tell whether record may be logged."""
        args = record.args if isinstance(record.args, tuple) else ()
        return not any(type(each).__name__ == 'Auth' for each in args)


def quieten_kazoo(conf: cfg.ConfigOpts) -> None:
    """Keep kazoo from logging every attempt of every process to reconnect.

    What an operator needs of it, the reporter and the observer say once.
    Its level stays where somebody has set one, or debugs; but never does it
    log a password.
    """
    client = std_logging.getLogger('kazoo.client')
    if not any(isinstance(each, _NoCredentials) for each in client.filters):
        client.addFilter(_NoCredentials())
    logger = std_logging.getLogger('kazoo')
    debug = 'debug' in conf and conf.debug
    if logger.level == std_logging.NOTSET and not debug:
        logger.setLevel(std_logging.ERROR)


class _Warnings:
    """Says, once each, what an operator should know of the servers."""

    def __init__(
        self, hosts: list[str], session_timeout: int, service_down_time: int
    ) -> None:
        self._hosts = hosts
        self._session_timeout = session_timeout
        self._service_down_time = service_down_time
        self._granted: float | None = None
        self._crowded = False

    def granted(self, seconds: float) -> None:
        """Take the timeout of a new session."""
        self._crowded = False
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
        """Look for the reason why no connection could be made."""
        if self._crowded:
            return
        crowded = [host for host in self._hosts if _turns_away(host)]
        if crowded:
            self._crowded = True
            LOG.warning(
                '%s: the ZooKeeper server takes new connections only to end '
                'them at once. Most likely more sessions come from this '
                'address than its setting maxClientCnxns allows: raise it. '
                'This process goes on trying.',
                ', '.join(crowded),
            )


def _turns_away(address: str) -> bool:
    """Tell whether a server ends a connection before anything is said."""
    host, _, port = address.rpartition(':')
    try:
        with socket.create_connection((host.strip('[]'), int(port)), 1) as end:
            end.settimeout(0.5)
            return not end.recv(1)
    except ConnectionResetError:
        return True
    except OSError:
        return False


class Children:
    """The result of get_members, also when a foreign child is not ASCII.

    Then tooz tells of no child at all.
    """

    def __init__(self, result: Any) -> None:
        self._result = result

    def done(self) -> bool:
        """Tell whether get can be called."""
        done: bool = self._result.done()
        return done

    def get(self) -> set[bytes]:
        """Return the children.

        :raises tooz.ToozError: the answer
        """
        try:
            children: set[bytes] = self._result.get()
        except UnicodeEncodeError:
            return {each.encode() for each in raw_children(self._result)}
        return children


# The next two use what neither tooz nor kazoo promises to keep. Functional
# tests fail when it is gone; the driver then lives without it.


def raw_children(result: Any) -> list[str]:
    """Return the children as ZooKeeper has them, of tooz's finished result.

    :raises AttributeError: tooz has changed
    """
    children: list[str] = result._kazoo_async_result.get(block=False)
    return children


def on_session(coordinator: Any, granted: Callable[[float], None]) -> None:
    """Have granted called with the timeout of each session, in seconds.

    kazoo keeps it to itself, but for the read timeout of two thirds of it.
    """
    try:
        connection = coordinator._coord._connection
        connect = connection._connect
    except AttributeError:
        LOG.debug('kazoo does not tell the timeout of sessions any more.')
        return

    def wrapper(*args: Any) -> Any:
        timeouts = connect(*args)
        granted(round(timeouts[0] * 1.5 / 1000, 3))
        return timeouts

    connection._connect = wrapper


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


class Roster:
    """Turns member ids into hosts, looking only at those that changed."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._ids: Set[bytes] = frozenset()
        self._by_host: dict[str, set[bytes]] = {}
        self._hosts: Set[str] = frozenset()
        #: The hosts with more than one member id.
        self.doubles: set[str] = set()

    def take(self, ids: Set[bytes]) -> Set[str]:
        """Return the hosts of ids."""
        came, gone = ids - self._ids, self._ids - ids
        self._ids = ids
        for each in gone:
            self._remove(each)
        # Near to each other in memory, as whoever asks about all goes.
        for each in sorted(came):
            self._add(each)
        if came or gone:
            self._hosts = frozenset(self._by_host)
        return self._hosts

    def all_ids(self) -> Set[bytes]:
        """Return the ids of all members."""
        return frozenset().union(*self._by_host.values())

    def ids(self, host: str) -> list[bytes]:
        """Return the member ids of host, sorted."""
        return sorted(self._by_host.get(host, ()))

    def _add(self, member_id: bytes) -> None:
        try:
            host = _names.host_of(member_id)
        except ValueError:
            LOG.warning(
                'Group %s: %r is no member; it is ignored.',
                self._group,
                member_id.decode(errors='replace'),
            )
            return
        ids = self._by_host.setdefault(host, set())
        ids.add(member_id)
        if len(ids) > 1:
            self.doubles.add(host)

    def _remove(self, member_id: bytes) -> None:
        try:
            host = _names.host_of(member_id)
        except ValueError:
            return
        ids = self._by_host[host]
        ids.discard(member_id)
        if len(ids) < 2:
            self.doubles.discard(host)
        if not ids:
            del self._by_host[host]
