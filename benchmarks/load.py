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


"""Hollow computes: the heartbeats of many hosts, and nothing else of them.

Run as a program, it is one process with a share of the hosts. ``Load`` is all
of these processes. They reach the database by nova-conductor alone, as
nova-compute does. In truth hosts are other machines, so they go before all
else that wants CPU here.
"""

import argparse
from collections.abc import Callable
from concurrent import futures
import contextlib
import functools
import itertools
import logging
import math
import os
import pathlib
import sys
import threading
import time
from typing import Any

from benchmarks import records as records_
from benchmarks import told

STOCK, OURS = 'stock', 'ours'
#: So many hosts share a process, which has so many threads at most.
_SHARE = 1250
_THREADS = 1250
_DRAIN = 90.0
_NICE = -10


class Load(contextlib.ExitStack):
    """All hosts.

    :param file: a nova.conf without a database
    :param interval: seconds between two heartbeats of a host
    :param hosts: how many there are
    :param first: the number of the first one
    """

    def __init__(
        self, file: pathlib.Path, interval: float, hosts: int, first: int = 0
    ) -> None:
        super().__init__()
        self._hosts = hosts
        count = math.ceil(hosts / _SHARE)
        self._programs = [
            self._program(
                file, f'{share}/{count}', str(interval), str(hosts), str(first)
            )
            for share in range(count)
        ]

    def _program(
        self, file: pathlib.Path, share: str, *arguments: str
    ) -> told.Program:
        log = file.with_name(f'{file.stem}-{share.replace("/", "-")}.log')
        made = told.Program(__name__, [str(file), share, *arguments], log)
        self.callback(made.close)
        return made

    def wait(self) -> None:
        """Wait until all are ready."""
        if sum(self._ask('hosts')) != self._hosts:
            raise RuntimeError('there are more hosts, or less')

    def begin(self, way: str) -> None:
        """Begin to send heartbeats, the stock way or ours."""
        self._ask(f'begin {way}')

    def end(self) -> dict[str, Any]:
        """Send no more, and wait for the answers; count as ``count``."""
        self._ask('end')
        return self.count()

    def count(self) -> dict[str, Any]:
        """Return what happened since the last count."""
        parts = self._ask('count')
        return {
            name: sum((each[name] for each in parts), type(value)())
            for name, value in parts[0].items()
        }

    def _ask(self, command: str) -> list[Any]:
        for each in self._programs:
            each.tell(command)
        return [each.answer() for each in self._programs]


class _Counts:
    """What happened since the last count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new()

    def _new(self) -> None:
        self._count = {'sent': 0, 'answered': 0, 'failed': 0, 'saved': 0}
        self._late: list[float] = []
        self._cpu = time.process_time()

    def add(self, name: str) -> None:
        with self._lock:
            self._count[name] += 1

    def answered(self, late: float) -> None:
        with self._lock:
            self._count['answered'] += 1
            self._late.append(late)

    def take(self) -> dict[str, Any]:
        with self._lock:
            cpu = time.process_time() - self._cpu
            taken = {**self._count, 'late': self._late, 'cpu': cpu}
            self._new()
        return taken


class _Host:
    """A service that only beats.

    :ivar beat: sends a heartbeat
    """

    tg = None

    def __init__(self, record: Any, interval: float, counts: _Counts) -> None:
        import nova.conf

        from nova_servicegroup import opts

        self.service_ref = record
        self.host, self.binary = record.host, record.binary
        self.report_interval = interval
        self._down_time = opts.service_down_time(nova.conf.CONF)
        self._counts = counts
        self.beat: Callable[[], float | None] = self._save
        # When it sends the next at the earliest.
        self.put_off_until = -math.inf
        # When the beat that goes on was due, and the one after it.
        self.due: list[float] = []

    def begin(self, way: str) -> None:
        """Send heartbeats like a service that has just joined."""
        from nova_servicegroup.drivers.db import reporting

        if way == STOCK:
            self.beat = self._save
        else:
            service = _service(self, self._counts)
            self.beat = reporting.way(service, self.host, self._down_time)

    def _save(self) -> None:
        """Do what Nova's DbDriver does in _report_state."""
        self.service_ref.report_count += 1
        self.service_ref.save()


def _service(host: _Host, counts: _Counts) -> Any:
    """Return our driver's view of a service; it counts Nova's own saves."""
    from nova_servicegroup import nova_adapter

    class Counted(nova_adapter.NovaService):
        def save_heartbeat(self) -> None:
            counts.add('saved')
            super().save_heartbeat()

    return Counted(host)


class _Share:
    """The hosts of this process.

    A host whose last heartbeat still goes on when the next one is due sends
    that as soon as it can, like a timer of oslo.service.

    :param offset: seconds by which they come after those of the first process
    """

    def __init__(
        self, records: list[Any], interval: float, offset: float
    ) -> None:
        self.counts = _Counts()
        self._hosts = [_Host(each, interval, self.counts) for each in records]
        self._interval = interval
        self._offset = offset
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._pool: Any = None
        self._timer: Any = None

    def begin(self, way: str) -> None:
        self._ended.clear()
        for host in self._hosts:
            host.begin(way)
        self._pool = futures.ThreadPoolExecutor(_THREADS)
        self._timer = threading.Thread(
            target=self._run, args=(time.monotonic(),), daemon=True
        )
        self._timer.start()

    def end(self) -> None:
        self._ended.set()
        self._timer.join(_DRAIN)
        self._pool.shutdown(cancel_futures=True)
        for host in self._hosts:
            host.due.clear()
            host.put_off_until = -math.inf

    def _run(self, begun: float) -> None:
        step = self._interval / len(self._hosts)
        for number in itertools.count():
            due = begun + self._offset + number * step
            if self._ended.wait(max(0.0, due - time.monotonic())):
                return
            self._add(self._hosts[number % len(self._hosts)], due)

    def _add(self, host: _Host, due: float) -> None:
        if due < host.put_off_until:
            return
        with self._lock:
            busy = len(host.due)
            if busy < 2:
                host.due.append(due)
        if not busy:
            self._submit(host)

    def _submit(self, host: _Host) -> None:
        with contextlib.suppress(RuntimeError):  # the pool has shut down
            self._pool.submit(self._beat, host)

    def _beat(self, host: _Host) -> None:
        if self._ended.is_set():
            return
        self.counts.add('sent')
        try:
            put_off = host.beat()
            self.counts.answered(time.monotonic() - host.due[0])
            if put_off:
                # A timer is never exact.
                next_due = host.due[0] + self._interval
                host.put_off_until = next_due + put_off / 2
        except Exception as error:
            self.counts.add('failed')
            _log(f'{host.host}: {error!r}')
        with self._lock:
            host.due.pop(0)
            more = bool(host.due)
        if more:
            self._submit(host)


@functools.cache
def _log(text: str) -> None:
    """Write a line, once."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Beat as told."""
    parser = argparse.ArgumentParser()
    parser.add_argument('file')
    parser.add_argument('share', help='K/N, K from 0')
    parser.add_argument('interval', type=float)
    parser.add_argument('hosts', type=int)
    parser.add_argument('first', type=int)
    args = parser.parse_args()
    os.nice(_NICE)
    # It tells of each answer that came too late.
    logging.getLogger('oslo.messaging').setLevel(logging.ERROR)
    number, count = map(int, args.share.split('/'))
    hosts = records_.hosts(args.hosts, args.first)[number::count]
    told.become_nova(args.file)
    records = records_.read(hosts)
    offset = args.interval / len(records) * number / count
    share = _Share(records, args.interval, offset)
    told.obey(
        {
            'hosts': lambda: len(records),
            'begin': share.begin,
            'end': share.end,
            'count': share.counts.take,
        }
    )


if __name__ == '__main__':
    main()
