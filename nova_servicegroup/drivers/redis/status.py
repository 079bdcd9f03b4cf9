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

"""Asks redis servers and Sentinels about themselves, for the doctor.

The clients are those that tooz makes. Functional tests fail when tooz or
redis-py changes what this relies on.
"""

from collections.abc import Iterator, Mapping
import contextlib
import time
from typing import Any, NamedTuple

from oslo_config import cfg

from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.redis import configuration
from nova_servicegroup.drivers.redis import connecting

redis_client = requests.try_import('redis')
redis_connection = requests.try_import('redis.connection')
redis_exceptions = requests.try_import('redis.exceptions')


class SentinelStatus(NamedTuple):
    """The answer of a Sentinel about the server that it watches.

    :ivar master: address of the server, as host:port
    :ivar flags: its role, and what is wrong: ``s_down``, ``o_down``
    :ivar down_after: seconds without an answer after which it counts as down
    :ivar others: number of other Sentinels that the Sentinel knows
    :ivar replicas: flags of each replica, by its address
    :ivar quorum: why no replica could be promoted, or empty if one could
    """

    master: str
    flags: frozenset[str]
    down_after: float
    others: int
    replicas: Mapping[str, frozenset[str]]
    quorum: str = ''


class ConnectionSettings(NamedTuple):
    """The settings of connections to the servers.

    :ivar sentinel_name: the Sentinels' name for the server, or None without
        Sentinels
    :ivar user: None for the default user
    :ivar password: whether there is a password
    :ivar secure: whether TLS is used
    """

    sentinel_name: str | None
    user: str | None
    password: bool
    secure: bool


def addresses(conf: cfg.ConfigOpts) -> list[str]:
    """Return the configured server or Sentinels, each as host:port.

    :raises ConfigurationError: an option cannot be used
    """
    return configuration.Settings(conf).addresses


def connection_settings(conf: cfg.ConfigOpts) -> ConnectionSettings:
    """Return the settings of connections.

    :raises ConfigurationError: an option cannot be used
    """
    with _asking(conf) as client:
        pool = client.connection_pool
        arguments = pool.connection_kwargs
        return ConnectionSettings(
            getattr(pool, 'service_name', None),
            arguments.get('username'),
            bool(arguments.get('password')),
            issubclass(pool.connection_class, redis_connection.SSLConnection),
        )


def ask_sentinel(conf: cfg.ConfigOpts, address: str) -> SentinelStatus:
    """Ask one Sentinel; each of three questions takes half a second at most.

    :raises BackendError: it does not answer, or watches no such server
    """
    with requests.translated(f'Sentinel {address}'), _asking(conf) as client:
        pool = client.connection_pool
        name, sentinels = pool.service_name, pool.sentinel_manager.sentinels
        sentinel = sentinels[addresses(conf).index(address)]
        with contextlib.closing(sentinel):
            master = sentinel.sentinel_master(name)
            return SentinelStatus(
                _address(master),
                _flags(master),
                int(master['down-after-milliseconds']) / 1000,
                int(master['num-other-sentinels']),
                {
                    _address(each): _flags(each)
                    for each in sentinel.sentinel_slaves(name)
                },
                _quorum(sentinel, name),
            )


def read_info(
    conf: cfg.ConfigOpts, address: str
) -> tuple[dict[str, Any], float]:
    """Ask one server about itself.

    :returns: the answer to INFO, and the seconds that it took
    :raises BackendError: it does not answer
    """
    with (
        requests.translated(f'redis {address}'),
        _asking(conf, address) as client,
    ):
        # The first question also connects.
        client.info()
        begun = time.monotonic()
        info = client.info()
        return info, time.monotonic() - begun


@contextlib.contextmanager
def _asking(conf: cfg.ConfigOpts, address: str | None = None) -> Iterator[Any]:
    """Provide a client, not yet connected, and close it afterwards.

    :param address: of the server to ask, also if Sentinels name another one;
        None for the client that a coordinator would use
    """
    made = configuration.Settings(conf).make(b'doctor')
    client = made._make_client(made._parsed_url, made._options, made.timeout)
    with contextlib.closing(client):
        pool = client.connection_pool
        if address is None or not hasattr(pool, 'sentinel_manager'):
            yield client
            return
        direct = _direct(pool, address)
        try:
            yield redis_client.Redis(connection_pool=direct)
        finally:
            direct.disconnect()


def _direct(pool: Any, address: str) -> Any:
    """Return a pool of connections to one server, with a pool's settings."""
    host, _, port = address.rpartition(':')
    arguments = {**pool.connection_kwargs, 'host': host, 'port': int(port)}
    del arguments['connection_pool']
    kind = redis_connection.Connection
    if issubclass(pool.connection_class, redis_connection.SSLConnection):
        kind = redis_connection.SSLConnection
    return redis_connection.ConnectionPool(
        connection_class=connecting.bounded_class(kind), **arguments
    )


def _address(server: Mapping[str, Any]) -> str:
    return f'{server["ip"]}:{server["port"]}'


def _flags(server: Mapping[str, Any]) -> frozenset[str]:
    """Return the flags; redis-py returns a text or a set, by its version."""
    flags = server['flags']
    return frozenset(flags.split(',') if isinstance(flags, str) else flags)


def _quorum(sentinel: Any, name: str) -> str:
    """Return why no replica could be promoted; see SentinelStatus."""
    try:
        sentinel.sentinel_ckquorum(name)
    except redis_exceptions.ResponseError as error:
        return requests.reason(error)
    return ''
