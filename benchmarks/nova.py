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

"""The environment of all parts: servers with members, and Nova's API."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import functools
import itertools
import pathlib
import resource
from typing import Any

from benchmarks import cell as cell_
from benchmarks import contestants
from benchmarks import records
from nova_servicegroup import opts
from nova_servicegroup.tests.harness import etcd as etcd_
from nova_servicegroup.tests.harness import hollow
from nova_servicegroup.tests.harness import memcached
from nova_servicegroup.tests.harness import redis as redis_
from nova_servicegroup.tests.harness import zookeeper as zookeeper_

OURS = ('db', 'zk', 'mc')
SESSION_TIMEOUT = 30
# Members are written once and must not expire during the run.
DOWN_TIME = 3600
_INTERVAL = 1200

_CONFIG = """
[DEFAULT]
service_down_time = {down_time}
report_interval = {interval}
memcached_servers = {our_memcached}
[zookeeper]
address = {zookeeper}
[etcd]
address = {etcd}
[redis]
address = {redis}
[cache]
enabled = true
backend = dogpile.cache.pymemcache
memcache_servers = {their_memcached}
"""


class Stage(contextlib.ExitStack):
    """Servers that start on first use, and this process as a Nova service.

    :param directory: of all files; the caller deletes it
    """

    def __init__(self, directory: pathlib.Path) -> None:
        super().__init__()
        self.directory = directory

    @functools.cached_property
    def zookeeper(self) -> zookeeper_.ZooKeeper:
        """The server of our zk driver."""
        return self.new_zookeeper('zk')

    def new_zookeeper(self, name: str) -> zookeeper_.ZooKeeper:
        """Start another server."""
        server = zookeeper_.ZooKeeper(self.directory / name, heap_mb=1024)
        return self._started(server)

    @property
    def tick(self) -> float:
        """ZooKeeper's tick, in seconds."""
        return self.zookeeper.tick_ms / 1000

    @functools.cached_property
    def etcd(self) -> etcd_.Etcd:
        """The server of our etcd driver."""
        return self.new_etcd('etcd')

    def new_etcd(self, name: str) -> etcd_.Etcd:
        """Start another server."""
        return self._started(etcd_.Etcd(self.directory / name))

    @functools.cached_property
    def redis(self) -> redis_.Redis:
        """The server of our redis driver."""
        return self.new_redis('redis')

    def new_redis(self, name: str) -> redis_.Redis:
        """Start another server."""
        more = {'maxclients': _connections()}
        return self._started(redis_.Redis(self.directory / name, None, more))

    @functools.cached_property
    def our_memcached(self) -> memcached.Memcached:
        """The server of our mc driver."""
        return self.new_memcached('ours')

    @functools.cached_property
    def their_memcached(self) -> memcached.Memcached:
        """The server of Nova's mc driver."""
        return self.new_memcached('theirs')

    def new_memcached(self, name: str) -> memcached.Memcached:
        """Start another server."""
        return self._started(
            memcached.Memcached(
                self.directory / name,
                memory_mb=512,
                options=('-I', '64m', '-c', str(_connections())),
            )
        )

    @functools.cached_property
    def cell(self) -> cell_.Cell:
        """A cell with the intervals of Nova's defaults."""
        return self.enter_context(cell_.Cell(self.directory / 'cell'))

    @property
    def places(self) -> contestants.Places:
        """The addresses of the servers."""
        return contestants.Places(
            self.zookeeper.address,
            self.our_memcached.address,
            self.their_memcached.address,
            etcd=self.etcd.address,
            redis=self.redis.address,
        )

    @functools.cached_property
    def config(self) -> pathlib.Path:
        """A nova.conf that names all servers."""
        path = self.directory / 'nova.conf'
        path.write_text(
            _CONFIG.format(
                down_time=DOWN_TIME,
                interval=_INTERVAL,
                **dataclasses.asdict(self.places),
            )
        )
        return path

    @functools.cached_property
    def conf(self) -> Any:
        """Nova's configuration, loaded from that file."""
        import nova.conf
        from nova import objects
        import nova.policies  # noqa: F401

        nova.conf.CONF(['--config-file', str(self.config)], project='nova')
        opts.register_opts(nova.conf.CONF)
        objects.register_all()
        return nova.conf.CONF

    def api(self, driver: str) -> Any:
        """Return Nova's API with a driver of ours."""
        self.conf.set_override('servicegroup_driver', driver)
        from nova import servicegroup

        api = servicegroup.API()
        assert type(api._driver).__module__.startswith('nova_servicegroup')
        return api

    def apis(self) -> dict[str, Any]:
        """Return Nova's API with each driver, by the contestant's name."""
        return {
            **{f'stock {name}': self.stock_api(name) for name in ('db', 'mc')},
            **{f'our {name}': self.api(name) for name in OURS},
        }

    def stock_api(self, name: str) -> Any:
        """Return Nova's API with a driver of its own."""
        assert self.conf
        from nova.servicegroup.drivers import db
        from nova.servicegroup.drivers import mc

        return self.api_of(
            {'db': db.DbDriver, 'mc': mc.MemcachedDriver}[name]()
        )

    def api_of(self, driver: Any) -> Any:
        """Return Nova's API with any object as its driver."""
        assert self.conf
        from nova.servicegroup import api

        result = api.API.__new__(api.API)
        result._driver = driver
        return result

    def services(self, group: str, count: int) -> list[Any]:
        """Return records as Nova passes them to the drivers."""
        assert self.conf
        return records.make(group, records.hosts(count))

    def join(self, group: str, count: int) -> None:
        """Add members to ZooKeeper and to our memcached."""
        self.join_zookeeper(group, records.hosts(count))
        self.join_memcached(group, records.hosts(count))

    def join_zookeeper(self, group: str, names: Sequence[str]) -> None:
        """Add members with one session, which does not affect readers."""
        members = hollow.HollowProcess(
            self.zookeeper.address,
            self.conf.zookeeper.namespace,
            group,
            SESSION_TIMEOUT,
        )
        self.callback(members.close)
        members.join(names, sessions=1)

    def join_memcached(
        self, group: str, names: Sequence[str], prefix: str = ''
    ) -> None:
        """Add members to the lists in memcached, and write the marker."""
        from nova_servicegroup.drivers.mc import keyspace
        from tooz.drivers import memcached as tooz

        keys = keyspace.Keys(prefix or self.conf.memcached.key_prefix)
        ids = [keys.member(group, host).encode('ascii') for host in names]
        with self._tooz_client() as client:
            client.set(keys.marker, b'marker')
            lists: dict[bytes, dict[bytes, Any]] = {
                shard: {} for shard in keys.shards(group)
            }
            for each in ids:
                shard = keys.shard(group, each.decode('ascii'))
                lists[shard][each] = {b'capabilities': None}
            for shard, members in lists.items():
                key = tooz.MemcachedDriver.GROUP_PREFIX + shard
                client.set(key, members, noreply=False)
        self.renew_memcached(group, names, keys)

    def renew_memcached(
        self, group: str, names: Sequence[str], keys: Any, seconds: int = 0
    ) -> None:
        """Set the members' keys for so many seconds; 0: for ever."""
        from tooz.drivers import memcached as tooz

        prefix = tooz.MemcachedDriver.MEMBER_PREFIX
        with self._tooz_client() as client:
            client.set_many(
                {
                    prefix + keys.member(group, host).encode('ascii'): b'token'
                    for host in names
                },
                expire=seconds,
                noreply=False,
            )

    @contextlib.contextmanager
    def _tooz_client(self) -> Iterator[Any]:
        from tooz import coordination

        coordinator = coordination.get_coordinator(
            f'memcached://{self.our_memcached.address}', b'hollow'
        )
        coordinator.start()
        try:
            yield coordinator.client
        finally:
            coordinator.stop()

    def _started(self, server: Any) -> Any:
        self.callback(server.kill)
        server.start()
        return server


def _connections() -> int:
    """Return how many connections a server can have."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(16384, files - 100)


def count_up(api: Any, services: Sequence[Any]) -> int:
    """Ask about each record; return how many are up."""
    is_up = api.service_is_up
    up = 0
    for record in services:
        if is_up(record):
            up += 1
    return up


def ask_in_turn(
    api: Any, services: Sequence[Any], count: int
) -> Callable[[], int]:
    """Return a function that asks about the next so many records."""
    shares = itertools.cycle(
        [
            services[start : start + count]
            for start in range(0, len(services), count)
        ]
    )
    return lambda: count_up(api, next(shares))
