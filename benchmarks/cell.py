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

"""A real cell with hollow computes: MariaDB, RabbitMQ and nova-conductor."""

import contextlib
import functools
import os
import pathlib
import re
import subprocess
import time

from benchmarks import meters
from nova_servicegroup.tests.harness import mariadb
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import rabbitmq
from nova_servicegroup.tests.ministack import config
from nova_servicegroup.tests.ministack import database
from nova_servicegroup.tests.ministack import settings
from nova_servicegroup.tests.ministack import stack

_RABBITMQCTL = '/usr/lib/rabbitmq/bin/rabbitmqctl'
_RECEIVED = re.compile(r'messages_received_total\s*=>\s*(\d+)')
_STOP = 6.0
# A conductor that uses less of a core, for a second, has no work left.
_CALM = 0.1
_CALM_WITHIN = 180.0
_ROWS = """\
DELETE FROM services WHERE `binary` = 'nova-compute';
INSERT INTO services (created_at, updated_at, last_seen_up, uuid, host,
  `binary`, topic, report_count, disabled, forced_down, deleted, version)
SELECT UTC_TIMESTAMP(), UTC_TIMESTAMP(), UTC_TIMESTAMP(), UUID(),
  CONCAT('compute-', LPAD(seq, 6, '0'), '.example.org'),
  'nova-compute', 'compute', 1, 0, 0, 0, newest.version
FROM seq_0_to_{last}, (SELECT MAX(version) AS version FROM services
  WHERE `binary` = 'nova-conductor') AS newest;
"""
_QUESTIONS = "SHOW GLOBAL STATUS LIKE 'Questions'"


class Cell(contextlib.ExitStack):
    """A cell without API, scheduler and placement.

    The conductor has one worker and this package, so it serves both ways.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        super().__init__()
        self.directory = directory
        self._settings = settings.Settings(
            driver='db',
            computes=0,
            workers=1,
            report_interval=10,
            service_down_time=60,
        )
        self._stack = stack.Stack(directory / 'stack', self._settings)
        self._stack.up()
        self.callback(self._stack.down)
        try:
            self._trim()
        except BaseException:
            self.close()
            raise

    def _trim(self) -> None:
        """Stop the services and servers that are not needed."""
        for name in ('api', 'scheduler'):
            self._stack.stop(name, _STOP)
        servers = self._stack.servers
        for each in servers.all:
            if each not in (servers.mariadb, servers.rabbitmq):
                each.stop()

    @property
    def mariadb(self) -> mariadb.MariaDB:
        """The database."""
        return self._stack.mariadb

    @property
    def rabbitmq(self) -> rabbitmq.RabbitMQ:
        """The message queue."""
        return self._stack.rabbitmq

    @functools.cached_property
    def conductor(self) -> process.Process:
        """The only running service of Nova."""
        return self._stack.process('conductor')

    @property
    def compute(self) -> config.Config:
        """The options of a nova-compute."""
        at = self._stack.servers.endpoints()
        return config.compute(self._settings, at, 'hollow')

    @property
    def controller(self) -> config.Config:
        """The options of a service with a database."""
        at = self._stack.servers.endpoints()
        return config.controller(self._settings, at)

    def hosts(self, count: int) -> None:
        """Replace all records by those of so many hosts, from number 0."""
        rows = _ROWS.format(last=count - 1)
        self.mariadb.execute(rows, database.CELL1)

    def calm(self) -> None:
        """Wait until the conductor is idle.

        :raises TimeoutError: it stays busy
        """
        process.wait_until(
            lambda: meters.cores(self.conductor.pid, 1.0) < _CALM,
            _CALM_WITHIN,
            what='nova-conductor still works',
        )

    def read(self) -> meters.Reading:
        """Return the meters so far: seconds of CPU, and statements."""
        return {
            'seconds': time.monotonic(),
            'conductor CPU': meters.cpu(self.conductor.pid),
            'MariaDB CPU': meters.cpu(self.mariadb.pid),
            'RabbitMQ CPU': meters.cpu(self.rabbitmq.pid),
            'statements': float(self.mariadb.execute(_QUESTIONS).split()[1]),
        }

    def messages(self) -> int:
        """Return how many messages RabbitMQ has received."""
        done = subprocess.run(
            [_RABBITMQCTL, 'eval', 'rabbit_global_counters:overview().'],
            env={**os.environ, **self.rabbitmq.env()},
            capture_output=True,
            text=True,
            timeout=60,
        )
        found = _RECEIVED.findall(done.stdout)
        if not found:
            raise RuntimeError(f'rabbitmqctl: {done.stdout}{done.stderr}')
        return sum(map(int, found))
