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

"""A process of hollow members: the real driver without services behind it."""

from collections.abc import Callable, Sequence
from concurrent import futures
import dataclasses
import functools
import logging
from multiprocessing import connection
import os
import pathlib
import resource
import signal
import threading
import time
import traceback
from typing import Any

from nova_servicegroup import api
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import process
from nova_servicegroup import services
from nova_servicegroup.simulation import limits
from nova_servicegroup.simulation import timers

#: The commands to a process. When its pipe is closed, the process leaves and
#: ends.
JOIN, HOLD, MEASURE = 'join', 'hold', 'measure'

#: Seconds that a process may take to leave.
LEAVES_WITHIN = 15.0

#: How many members join, or leave, at the same time.
_TOGETHER = 16

#: The stack size of each thread in bytes; the default is 8 MiB.
_STACK = 512 * 1024

_REPORTER = 'nova_servicegroup.reporter'


@dataclasses.dataclass(frozen=True)
class Joining:
    """The message that a host has called join.

    :ivar begun: when, by time.monotonic(), which all processes share
    """

    host: str
    begun: float


@dataclasses.dataclass(frozen=True)
class Joined:
    """The message that the call of join has returned.

    :ivar error: the error that it raised; or empty
    """

    host: str
    at: float
    error: str = ''


@dataclasses.dataclass(frozen=True)
class Usage:
    """The message with what a process used while it held its members.

    :ivar cpu: seconds of CPU
    :ivar seconds: how long the members were held
    :ivar memory: bytes more than before the members joined
    :ivar heartbeats: how many were run
    :ivar failures: how many of them failed
    :ivar failure: the warning about the first one that failed
    """

    cpu: float
    seconds: float
    memory: int
    heartbeats: int
    failures: int
    failure: str = ''


class _FirstWarning(logging.Handler):
    """A log handler that keeps the first warning, since others repeat it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ''

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's message, unless there is one already."""
        self.text = self.text or record.getMessage()


class _Meter:
    """The meter of what this process uses while it holds its members."""

    def __init__(self, driver: base.Driver) -> None:
        self._driver = driver
        self._first = _FirstWarning()
        self._heartbeats = 0, 0
        self._memory = _memory()
        self._cpu, self._since = 0.0, 0.0

    def attach(self) -> None:
        """Keep the first failed heartbeat, and log nothing else.

        Many members fail for the same reason; the parent reports it once.
        """
        logging.getLogger().handlers = [logging.NullHandler()]
        reporters = logging.getLogger(_REPORTER)
        reporters.setLevel(logging.WARNING)
        reporters.addHandler(self._first)

    def begin(self) -> None:
        """Begin to measure."""
        self._first.text, self._heartbeats = '', self._count()
        self._cpu, self._since = time.process_time(), time.monotonic()

    def read(self) -> Usage:
        """Return what was used since begin."""
        heartbeats, failures = self._count()
        return Usage(
            time.process_time() - self._cpu,
            time.monotonic() - self._since,
            max(0, _memory() - self._memory),
            heartbeats - self._heartbeats[0],
            failures - self._heartbeats[1],
            self._first.text,
        )

    def _count(self) -> tuple[int, int]:
        """Return how many heartbeats were run, and how many have failed."""
        found = self._driver.reporters().values()
        return (
            sum(each.counts.beats for each in found),
            sum(each.counts.failures for each in found),
        )


def _memory() -> int:
    """Return the resident memory of this process in bytes, shared included."""
    pages = pathlib.Path('/proc/self/statm').read_text().split()[1]
    return int(pages) * resource.getpagesize()


class Hollow:
    """The hollow members of one process."""

    def __init__(
        self,
        servicegroup: api.API,
        group: str,
        hosts: Sequence[str],
        pipe: 'connection.Connection[Any, Any]',
    ) -> None:
        self._api = servicegroup
        self._group = group
        self._hosts = hosts
        self._pipe = pipe
        self._sending = threading.Lock()
        self._ending = threading.Event()
        self._timers = timers.Timers()
        self._meter = _Meter(servicegroup.driver)

    def run(self) -> None:
        """Obey commands until the pipe is closed, then leave."""
        self._meter.attach()
        commands: dict[str, Callable[[], None]] = {
            JOIN: self._start,
            HOLD: self._meter.begin,
            MEASURE: lambda: self._send(self._meter.read()),
        }
        try:
            while True:
                commands[self._pipe.recv()]()
        except (EOFError, OSError):
            self._leave()

    def _start(self) -> None:
        self._timers.start(timers.threads_for(len(self._hosts)))
        process.start_thread(self._join, 'join')

    def _join(self) -> None:
        with futures.ThreadPoolExecutor(_TOGETHER) as threads:
            list(threads.map(self._join_one, self._hosts))

    def _join_one(self, host: str) -> None:
        if self._ending.is_set():
            return
        interval = float(self._api.driver.conf.report_interval)
        # It is never stopped: its members leave by API.leave, regardless of
        # leave_on_stop.
        service = services.Unrecorded(
            host, self._group, interval, self._timers
        )
        self._send(Joining(host, time.monotonic()))
        error = ''
        try:
            self._api.join(host, self._group, service)
        except Exception as raised:
            error = exceptions.first_line(raised)
        self._send(Joined(host, time.monotonic(), error))

    def _leave(self) -> None:
        """Leave in bounded time, so that the process ends."""
        end = threading.Timer(LEAVES_WITHIN, os._exit, (1,))
        end.daemon = True
        end.start()
        self._ending.set()
        self._timers.stop()
        with futures.ThreadPoolExecutor(_TOGETHER) as threads:
            leave = functools.partial(self._api.leave, group=self._group)
            list(threads.map(leave, self._hosts))

    def _send(self, message: object) -> None:
        # If the parent has closed its end, run() will notice.
        with self._sending:
            try:
                self._pipe.send(message)
            except OSError:
                self._ending.set()


def main(
    servicegroup: api.API,
    group: str,
    hosts: Sequence[str],
    pipe: 'connection.Connection[Any, Any]',
    others: 'Sequence[connection.Connection[Any, Any]]',
) -> None:
    """Run a process of hollow members until it ends.

    :param others: the parent's ends of all pipes, to be closed here: only the
        parent may hold them, for its death to be noticed
    """
    _prepare(others)
    status = 1
    try:
        Hollow(servicegroup, group, hosts, pipe).run()
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        # Do not wait for the threads of client libraries.
        os._exit(status)


def _prepare(others: 'Sequence[connection.Connection[Any, Any]]') -> None:
    # The parent gets these signals, too, and then closes the pipes.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    for each in others:
        each.close()
    threading.stack_size(_STACK)
    limits.raise_files()
