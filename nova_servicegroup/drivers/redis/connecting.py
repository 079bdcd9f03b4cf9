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

"""How the clients that tooz makes of redis-py connect.

Functional tests fail when tooz or redis-py changes what this relies on.
"""

from collections.abc import Mapping
from concurrent import futures
import functools
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
    """Make a coordinator reject nested data and bound its waits.

    :param timeout: seconds that an attempt may take; it is not repeated
    :param options: those of [redis]. tooz does not pass all of them to
        redis-py, and takes some only in a URL
    """
    coordinator._loads = decoding.decode_or_none
    # The thread of tooz's own executor takes a second to stop.
    coordinator._executor.default_executor_factory = functools.partial(
        futures.ThreadPoolExecutor, 1, 'servicegroup-redis'
    )
    make = coordinator._make_client

    def make_client(*args: Any) -> Any:
        pool = (client := make(*args)).connection_pool
        _fail_once(pool)
        _configure(pool, timeout, options, '')
        manager = getattr(pool, 'sentinel_manager', None)
        for each in manager.sentinels if manager is not None else ():
            # A few that do not answer leave time for the others.
            _configure(each.connection_pool, timeout / 4, options, 'sentinel_')
        return client

    coordinator._make_client = make_client


def bounded_class(kind: type) -> type:
    """Return a class of connections of redis-py with bounded sockets."""
    return bounded.connecting(kind, '_connect', 'socket_connect_timeout')


def _configure(
    pool: Any, timeout: float, options: Mapping[str, Any], prefix: str
) -> None:
    """Change how a pool makes connections.

    :param timeout: seconds that the answers to one request may take
    :param prefix: of the options with the user name and the password
    """
    pool.connection_class = bounded_class(pool.connection_class)
    arguments = pool.connection_kwargs
    for name in ('username', 'password'):
        if options[prefix + name]:
            arguments[name] = options[prefix + name]
    arguments.update(
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        socket_keepalive=True,
        retry=redis_retry.Retry(redis_backoff.NoBackoff(), 0),
    )
    if issubclass(pool.connection_class, redis_connection.SSLConnection):
        arguments.update(
            ssl_check_hostname=options['check_hostname'],
            ssl_password=options['key_password'],
        )


def _fail_once(pool: Any) -> None:
    """Report a failed connection once instead of retrying it.

    tooz repeats a call fifteen times after a ConnectionError. redis-py also
    raises one when no Sentinel names a master.
    """
    connect = pool.get_connection

    def get_connection(*args: Any, **kwargs: Any) -> Any:
        try:
            return connect(*args, **kwargs)
        except redis_sentinel.MasterNotFoundError as error:
            # In some versions its text contains the password.
            reason = (
                'no Sentinel that can be asked knows the master '
                f'{pool.service_name}'
            )
            raise redis_exceptions.RedisError(reason) from error
        except redis_exceptions.ConnectionError as error:
            raise redis_exceptions.RedisError(str(error)) from error

    pool.get_connection = get_connection
