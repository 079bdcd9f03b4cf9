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

"""What redis servers and Sentinels say of themselves, for operators' checks.

The clients are those that tooz makes. It does not promise to keep what this
relies on; functional tests fail when it is gone.
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


class Watch(NamedTuple):
    """What a Sentinel says of the server that it watches.

    :ivar master: its address, as host:port
    :ivar flags: what it is, and what is wrong: ``s_down``, ``o_down``
    :ivar down_after: seconds after which one that is mute counts as down
    :ivar others: how many other Sentinels it knows
    :ivar replicas: their addresses, and their flags
    :ivar quorum: why no replica could be promoted; empty: one could
    """

    master: str
    flags: frozenset[str]
    down_after: float
    others: int
    replicas: Mapping[str, frozenset[str]]
    quorum: str = ''


class Way(NamedTuple):
    """How the servers are asked.

    :ivar sentinel_name: what Sentinels call the server; None: none are asked
    :ivar user: None: the default user
    :ivar password: whether there is one
    :ivar secure: whether there is TLS
    """

    sentinel_name: str | None
    user: str | None
    password: bool
    secure: bool


def addresses(conf: cfg.ConfigOpts) -> list[str]:
    """Return the configured server, or the Sentinels, each as host:port.

    :raises ConfigurationError: an option cannot be used
    """
    return configuration.Settings(conf).addresses


def way(conf: cfg.ConfigOpts) -> Way:
    """Return how the servers are asked.

    :raises ConfigurationError: an option cannot be used
    """
    with _asking(conf) as client:
        pool = client.connection_pool
        how = pool.connection_kwargs
        return Way(
            getattr(pool, 'service_name', None),
            how.get('username'),
            bool(how.get('password')),
            issubclass(pool.connection_class, redis_connection.SSLConnection),
        )


def watch(conf: cfg.ConfigOpts, address: str) -> Watch:
    """Ask one Sentinel, in half a second for each of three questions.

    :raises BackendError: it does not answer, or watches something else
    """
    with requests.translated(f'Sentinel {address}'), _asking(conf) as client:
        pool = client.connection_pool
        name, everyone = pool.service_name, pool.sentinel_manager.sentinels
        asked = everyone[addresses(conf).index(address)]
        with contextlib.closing(asked):
            said = asked.sentinel_master(name)
            return Watch(
                _address(said),
                _flags(said),
                int(said['down-after-milliseconds']) / 1000,
                int(said['num-other-sentinels']),
                {
                    _address(each): _flags(each)
                    for each in asked.sentinel_slaves(name)
                },
                _quorum(asked, name),
            )


def about(conf: cfg.ConfigOpts, address: str) -> tuple[dict[str, Any], float]:
    """Ask one server what it says of itself, and how long that takes.

    :returns: the answer to INFO, and seconds
    :raises BackendError: it does not answer
    """
    with (
        requests.translated(f'redis {address}'),
        _asking(conf, address) as client,
    ):
        # The first question also connects.
        client.info()
        begun = time.monotonic()
        said = client.info()
        return said, time.monotonic() - begun


def _client(conf: cfg.ConfigOpts) -> Any:
    """Return the client that a coordinator would have, not connected."""
    made = configuration.Settings(conf).make(b'doctor')
    return made._make_client(made._parsed_url, made._options, made.timeout)


@contextlib.contextmanager
def _asking(conf: cfg.ConfigOpts, address: str | None = None) -> Iterator[Any]:
    """Lend a client; of a server that Sentinels name, one for it alone.

    :param address: of the server; None: it does not matter
    """
    with contextlib.closing(_client(conf)) as client:
        pool = client.connection_pool
        if address is None or not hasattr(pool, 'sentinel_manager'):
            yield client
            return
        made = _direct(pool, address)
        try:
            yield redis_client.Redis(connection_pool=made)
        finally:
            made.disconnect()


def _direct(pool: Any, address: str) -> Any:
    """Return a pool of connections to one server, made as that of a client."""
    host, _, port = address.rpartition(':')
    how = {**pool.connection_kwargs, 'host': host, 'port': int(port)}
    del how['connection_pool']
    secure = redis_connection.SSLConnection
    kind = redis_connection.Connection
    if issubclass(pool.connection_class, secure):
        kind = secure
    return redis_connection.ConnectionPool(
        connection_class=connecting.bounded_class(kind), **how
    )


def _address(said: Mapping[str, Any]) -> str:
    return f'{said["ip"]}:{said["port"]}'


def _flags(said: Mapping[str, Any]) -> frozenset[str]:
    """Return the flags; they are text, or a set, by redis-py's version."""
    flags = said['flags']
    return frozenset(flags.split(',') if isinstance(flags, str) else flags)


def _quorum(asked: Any, name: str) -> str:
    try:
        asked.sentinel_ckquorum(name)
    except redis_exceptions.ResponseError as error:
        return requests.reason(error)
    return ''
