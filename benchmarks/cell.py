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
import os
import pathlib
import re
import subprocess
import time

from benchmarks import load
from benchmarks import reader
from benchmarks import told
from tools._ministack import config
from tools._ministack import database
from tools._ministack import settings
from tools._ministack import stack

_TICKS = os.sysconf('SC_CLK_TCK')
_RABBITMQCTL = '/usr/lib/rabbitmq/bin/rabbitmqctl'
_RECEIVED = re.compile(r'messages_received_total\s*=>\s*(\d+)')
_STOP = 6.0
_ROWS = """\
INSERT INTO services (created_at, updated_at, last_seen_up, uuid, host,
  `binary`, topic, report_count, disabled, forced_down, deleted, version)
SELECT UTC_TIMESTAMP(), UTC_TIMESTAMP(), UTC_TIMESTAMP(), UUID(),
  CONCAT('compute-', LPAD(seq, 6, '0'), '.example.org'),
  'nova-compute', 'compute', 1, 0, 0, 0, newest.version
FROM seq_{first}_to_{last}, (SELECT MAX(version) AS version FROM services
  WHERE `binary` = 'nova-conductor') AS newest;
"""
_QUESTIONS = "SHOW GLOBAL STATUS LIKE 'Questions'"

Reading = dict[str, float]


class Cell(contextlib.ExitStack):
    """The cell, without API, scheduler and placement.

    The conductor has one worker and this package, so it serves both ways.

    :param interval: Nova's report_interval
    :param down_time: Nova's service_down_time
    """

    def __init__(
        self, directory: pathlib.Path, interval: int, down_time: int
    ) -> None:
        super().__init__()
        self.directory = directory
        self.interval = interval
        chosen = settings.Settings(
            driver='db',
            computes=0,
            workers=1,
            report_interval=interval,
            service_down_time=down_time,
        )
        self._stack = stack.Stack(directory / 'stack', chosen)
        self._hosts = 0
        self._file = directory / 'load.conf'
        self._stack.up()
        self.callback(self._stack.down)
        try:
            self._prepare(chosen)
        except BaseException:
            self.close()
            raise

    def _prepare(self, chosen: settings.Settings) -> None:
        """End what is not wanted, and configure the hollow computes."""
        for name in ('api', 'scheduler'):
            self._stack.stop(name, _STOP)
        servers = self._stack.servers
        for each in servers.all:
            if each not in (servers.mariadb, servers.rabbitmq):
                each.stop()
        at = servers.endpoints()
        config.write(self._file, config.compute(chosen, at, 'hollow'))

    def load(self, hosts: int) -> load.Load:
        """Make hosts, and start the processes that will beat for them."""
        if hosts > self._hosts:
            rows = _ROWS.format(first=self._hosts + 1, last=hosts)
            self._stack.mariadb.execute(rows, database.CELL1)
            self._hosts = hosts
        made = load.Load(self._file, hosts, self.interval)
        if made.wait() != hosts:
            raise RuntimeError('there are more hosts, or less')
        return made

    def reader(self, way: str) -> told.Program:
        """Start a process that asks about all hosts."""
        return reader.start(
            self._stack.directory / 'conf' / 'nova.conf',
            self.directory / f'reader-{way}.log',
            way == load.STOCK,
        )

    def read(self) -> Reading:
        """Return the meters: seconds of CPU and statements so far."""
        mariadb, rabbitmq = self._stack.mariadb, self._stack.rabbitmq
        conductor = self._stack.process('conductor')
        return {
            'seconds': time.monotonic(),
            'conductor CPU': _cpu(conductor.pid),
            'MariaDB CPU': _cpu(mariadb.pid),
            'RabbitMQ CPU': _cpu(rabbitmq.pid),
            'statements': float(mariadb.execute(_QUESTIONS).split()[1]),
        }

    def messages(self) -> int:
        """Return how many messages RabbitMQ has received."""
        rabbitmq = self._stack.rabbitmq
        done = subprocess.run(
            [_RABBITMQCTL, 'eval', 'rabbit_global_counters:overview().'],
            env={**os.environ, **rabbitmq.env()},
            capture_output=True,
            text=True,
            timeout=60,
        )
        found = _RECEIVED.findall(done.stdout)
        if not found:
            raise RuntimeError(f'rabbitmqctl: {done.stdout}{done.stderr}')
        return sum(map(int, found))


def _cpu(leader: int | None) -> float:
    """Return the seconds of a process and those that it started."""
    total = 0
    for place in pathlib.Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            fields = place.read_text().rpartition(')')[2].split()
            if int(fields[3]) == leader:
                total += int(fields[11]) + int(fields[12])
    return total / _TICKS
