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

"""How redis-py connects, as what tooz makes of it has it.

Functional tests fail when what tooz does not promise to keep is gone.
"""

from collections.abc import Mapping
from typing import Any

from oslo_config import cfg

from nova_servicegroup.drivers.common import bounded
from nova_servicegroup.drivers.common import decoding
from nova_servicegroup.drivers.common import requests

redis_backoff = requests.try_import('redis.backoff')
redis_connection = requests.try_import('redis.connection')
redis_exceptions = requests.try_import('redis.exceptions')
redis_retry = requests.try_import('redis.retry')
redis_sentinel = requests.try_import('redis.sentinel')


def guard(
    coordinator: Any, timeout: float, options: cfg.ConfigOpts.GroupAttr
) -> None:
    """Have a coordinator decode nothing that nests, and wait for nothing long.

    :param timeout: seconds that one attempt takes at most; there is but one
    :param options: those of [redis]. tooz does not hand all of them on to
        redis-py, and some only in a URL
    """
    coordinator._loads = decoding.decode_or_none
    make = coordinator._make_client

    def make_client(*how: Any) -> Any:
        pool = (client := make(*how)).connection_pool
        _fail_once(pool)
        _bound(pool, timeout, options, '')
        manager = getattr(pool, 'sentinel_manager', None)
        for each in manager.sentinels if manager is not None else ():
            # A few that are mute leave time for the others.
            _bound(each.connection_pool, timeout / 4, options, 'sentinel_')
        return client

    coordinator._make_client = make_client


def bounded_class(kind: type) -> type:
    """Return a class of connections of redis-py, its sockets bounded."""
    return bounded.connecting(kind, '_connect', 'socket_connect_timeout')


def _bound(
    pool: Any, timeout: float, options: Mapping[str, Any], prefix: str
) -> None:
    """Change how the connections of a pool are made.

    :param timeout: seconds that the answers to what is sent at once may take
    :param prefix: of the options that say as whom
    """
    pool.connection_class = bounded_class(pool.connection_class)
    given = pool.connection_kwargs
    for name in ('username', 'password'):
        if options[prefix + name]:
            given[name] = options[prefix + name]
    given.update(
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        socket_keepalive=True,
        retry=redis_retry.Retry(redis_backoff.NoBackoff(), 0),
    )
    if issubclass(pool.connection_class, redis_connection.SSLConnection):
        given.update(
            ssl_check_hostname=options['check_hostname'],
            ssl_password=options['key_password'],
        )


def _reason(pool: Any, error: Exception) -> str:
    """Return why there is no connection; some versions tell of passwords."""
    name = getattr(pool, 'service_name', None)
    if isinstance(error, redis_sentinel.MasterNotFoundError):
        return f'no Sentinel that can be asked knows the master {name}'
    return str(error)


def _fail_once(pool: Any) -> None:
    """Have a connection that cannot be made be one failure.

    tooz tries fifteen times where a connection fails, and Sentinels that name
    no master are such a failure, too.
    """
    connect = pool.get_connection

    def wrapper(*args: Any, **how: Any) -> Any:
        try:
            return connect(*args, **how)
        except redis_exceptions.ConnectionError as error:
            raise redis_exceptions.RedisError(_reason(pool, error)) from error

    pool.get_connection = wrapper
