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


"""What Nova stands on."""

from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import pathlib
import shutil

from nova_servicegroup.tests.harness import etcd
from nova_servicegroup.tests.harness import mariadb
from nova_servicegroup.tests.harness import memcached
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import rabbitmq
from nova_servicegroup.tests.harness import redis
from nova_servicegroup.tests.harness import server
from nova_servicegroup.tests.harness import zookeeper
from nova_servicegroup.tests.ministack import config
from nova_servicegroup.tests.ministack import database
from nova_servicegroup.tests.ministack import programs
from nova_servicegroup.tests.ministack import progress

_TIMEOUT = 60.0
# Long enough for a restart of Nova, whatever the tick.
_LONGEST_SESSION_MS = 60000


class Servers:
    """The servers, placement and the stand-in for neutron."""

    def __init__(
        self, directory: pathlib.Path, make: programs.Programs, tick_ms: int
    ) -> None:
        self.directory = directory
        self.rabbitmq = rabbitmq.RabbitMQ(directory / 'rabbitmq')
        self.mariadb = mariadb.MariaDB(directory / 'mariadb')
        self.memcached = memcached.Memcached(directory / 'memcached')
        self.etcd = etcd.Etcd(directory / 'etcd')
        self.redis = redis.Redis(directory / 'redis')
        self.zookeeper = zookeeper.ZooKeeper(
            directory / 'zookeeper',
            tick_ms=tick_ms,
            settings={'maxSessionTimeout': _LONGEST_SESSION_MS},
        )
        self.ports = server.remembered_ports(directory, 3)
        self.placement = make.placement(self.ports[0])
        self.neutron = make.neutron(self.ports[1])
        self.tables = database.Tables(
            self.mariadb, make.venv, make.files, directory / 'nova-manage'
        )

    @property
    def api_port(self) -> int:
        """Where nova-api listens."""
        return self.ports[2]

    @property
    def all(self) -> list[server.Server | process.Process]:
        """Everything that there is."""
        below = [self.rabbitmq, self.mariadb, self.memcached, self.zookeeper]
        more = [self.etcd, self.redis]
        return [self.placement, self.neutron, *below, *more]

    def endpoints(self) -> config.Endpoints:
        """Return where everything is, for the configuration files."""
        return config.Endpoints(
            transport=self.rabbitmq.url,
            api_database=self.mariadb.url(database.API),
            cell_database=self.mariadb.url(database.CELL1),
            placement_database=self.mariadb.url(database.PLACEMENT),
            placement=f'http://127.0.0.1:{self.ports[0]}',
            neutron=f'http://127.0.0.1:{self.ports[1]}',
            zookeeper=self.zookeeper.address,
            memcached=self.memcached.address,
            etcd=self.etcd.address,
            redis=self.redis.address,
            state=self.directory / 'state',
        )

    def start(self, progress: progress.Progress) -> None:
        """Start everything; RabbitMQ takes longest and is not waited for."""
        with failing_with(self.rabbitmq.log):
            self.rabbitmq.launch()
        with progress.step('starting MariaDB and what drivers report to'):
            at_once(
                lambda: self.tables.start(progress),
                self.memcached.start,
                self.etcd.start,
                self.redis.start,
                self.zookeeper.start,
            )
        self.placement.start()
        self.neutron.start()

    def wait(self, progress: progress.Progress) -> None:
        """Wait for RabbitMQ and placement.

        :raises StepFailed: with the log of the one that does not serve.
        """
        with progress.step('waiting for RabbitMQ and placement'):
            with failing_with(self.rabbitmq.log):
                self.rabbitmq.wait()
            with failing_with(self.placement.log):
                process.wait_until(
                    self._placed, _TIMEOUT, what='placement does not answer'
                )

    def stop(self) -> None:
        """End everything."""
        at_once(*[one.stop for one in self.all])

    def remove(self) -> None:
        """Remove all data and logs; only while everything is stopped."""
        for one in self.all:
            shutil.rmtree(one.directory, ignore_errors=True)

    def _placed(self) -> bool:
        port = self.ports[0]
        request = b'GET / HTTP/1.0\r\n\r\n'
        return b' 200 ' in server.ask(port, request, timeout=5)[:20]


def at_once(*actions: Callable[[], object]) -> None:
    """Do several things at the same time.

    :raises: what the first one that failed has raised, after all have ended.
    """
    with futures.ThreadPoolExecutor(max_workers=len(actions) or 1) as pool:
        running = [pool.submit(action) for action in actions]
    for one in running:
        one.result()


@contextlib.contextmanager
def failing_with(log: pathlib.Path) -> Iterator[None]:
    """Turn an error into one that names the log to read."""
    try:
        yield
    except (RuntimeError, TimeoutError) as error:
        if isinstance(error, progress.StepFailed):
            raise
        raise progress.StepFailed(str(error), log) from error
