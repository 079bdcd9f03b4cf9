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

"""Hollow computes: hosts that only send heartbeats.

Run as a program, it is one process with a share of the hosts. ``Load`` is all
of these processes. They reach the database through nova-conductor only, as
nova-compute does. Since real hosts are other machines, these processes get the
CPU before everything else.
"""

import argparse
from collections.abc import Callable
import contextlib
import functools
import logging
import math
import os
import pathlib
import sys
import threading
import time
from typing import Any

from benchmarks import records as records_
from benchmarks import remote

STOCK, OURS = 'stock', 'ours'
#: The most hosts in a process.
_SHARE = 1250
_DRAIN = 90.0
_NICE = -10


class Load(contextlib.ExitStack):
    """The processes of all hosts.

    :param file: a nova.conf without a database
    :param interval: seconds between two heartbeats of a host
    :param hosts: the number of hosts
    :param first: the number of the first host
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
    ) -> remote.Program:
        log = file.with_name(f'{file.stem}-{share.replace("/", "-")}.log')
        return self.enter_context(
            remote.Program(__name__, [str(file), share, *arguments], log)
        )

    def wait(self) -> None:
        """Wait until all processes are ready."""
        if sum(self._ask('hosts')) != self._hosts:
            raise RuntimeError('there are more hosts, or fewer')

    def begin(self, way: str) -> None:
        """Begin to send heartbeats, the stock way or ours."""
        self._ask(f'begin {way}')

    def end(self) -> dict[str, Any]:
        """Send no more and wait for the answers; return as ``count``."""
        self._ask('end')
        return self.count()

    def count(self) -> dict[str, Any]:
        """Return the sums of the counts since the last call."""
        parts = self._ask('count')
        return {
            name: sum((each[name] for each in parts), type(value)())
            for name, value in parts[0].items()
        }

    def _ask(self, command: str) -> list[Any]:
        for each in self._programs:
            each.tell(command)
        return [each.answer() for each in self._programs]


#: Sends a heartbeat; returns the seconds by which to delay the next, if any.
_Beat = Callable[[], float | None]


class _Counts:
    """The counts of heartbeats since the last call of take."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new()

    def _new(self) -> None:
        self._count = {'sent': 0, 'answered': 0, 'failed': 0, 'saved': 0}
        self._late: list[float] = []
        self._cpu = time.process_time()

    def add(self, name: str, late: float | None = None) -> None:
        with self._lock:
            self._count[name] += 1
            if late is not None:
                self._late.append(late)

    def take(self) -> dict[str, Any]:
        with self._lock:
            cpu = time.process_time() - self._cpu
            taken = {**self._count, 'late': self._late, 'cpu': cpu}
            self._new()
        return taken


class _Host:
    """A service that only sends heartbeats, in a thread of its own."""

    tg = None

    def __init__(self, record: Any, interval: float, counts: _Counts) -> None:
        import nova.conf

        from nova_servicegroup import opts

        self.service_ref = record
        self.host, self.binary = record.host, record.binary
        self.report_interval = interval
        self._down_time = opts.service_down_time(nova.conf.CONF)
        self._counts = counts

    def run(self, beat: _Beat, due: float, ended: threading.Event) -> None:
        """Send heartbeats until the end, the first one when it is due.

        A heartbeat that is due while the last one lasts is sent right after
        it, as by a timer of oslo.service; the ones after it are left out.
        """
        interval = self.report_interval
        while not ended.wait(max(0.0, due - time.monotonic())):
            begun = time.monotonic()
            # Half of the delay, since a timer is never exact.
            delay = interval + self._beat(beat, due) / 2
            skipped = max(begun - due, delay)
            due += interval * math.ceil(skipped / interval)

    def way(self, way: str) -> _Beat:
        """Return what sends heartbeats, as in a service that just joined."""
        from nova_servicegroup.drivers.db import routes

        if way == STOCK:
            return self._save
        service = _service(self, self._counts)
        return routes.choose(service, self.host, self._down_time).beat

    def _beat(self, beat: _Beat, due: float) -> float:
        """Send a heartbeat; return the seconds by which to delay the next."""
        self._counts.add('sent')
        try:
            delay = beat()
            self._counts.add('answered', time.monotonic() - due)
        except Exception as error:
            self._counts.add('failed')
            _log(f'{self.host}: {error!r}')
            return 0.0
        return delay or 0.0

    def _save(self) -> None:
        """Do what Nova's DbDriver does in _report_state."""
        self.service_ref.report_count += 1
        self.service_ref.save()


def _service(host: _Host, counts: _Counts) -> Any:
    """Return our driver's view of a service, which counts saves of records."""
    from nova_servicegroup.plugin import service

    class Counted(service.NovaService):
        def save_heartbeat(self) -> None:
            counts.add('saved')
            super().save_heartbeat()

    return Counted(host)


class _Share:
    """The hosts of this process.

    :param offset: seconds by which they send later than the first process
    """

    def __init__(
        self, records: list[Any], interval: float, offset: float
    ) -> None:
        self.counts = _Counts()
        self._hosts = [_Host(each, interval, self.counts) for each in records]
        self._step = interval / len(records)
        self._offset = offset
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self, way: str) -> None:
        self._ended = threading.Event()
        first = time.monotonic() + self._offset
        self._threads = [
            threading.Thread(
                target=host.run,
                args=(host.way(way), first + number * self._step, self._ended),
                daemon=True,
            )
            for number, host in enumerate(self._hosts)
        ]
        for each in self._threads:
            each.start()

    def end(self) -> None:
        self._ended.set()
        end = time.monotonic() + _DRAIN
        for each in self._threads:
            each.join(max(0.0, end - time.monotonic()))


@functools.cache
def _log(text: str) -> None:
    """Write a line to standard error, once."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Send heartbeats as commanded."""
    args = _parse()
    os.nice(_NICE)
    # It logs each answer that came too late.
    logging.getLogger('oslo.messaging').setLevel(logging.ERROR)
    number, count = map(int, args.share.split('/'))
    hosts = records_.hosts(args.hosts, args.first)[number::count]
    remote.become_nova(args.file)
    records = records_.read(hosts)
    offset = args.interval / len(records) * number / count
    share = _Share(records, args.interval, offset)
    remote.obey(
        {
            'hosts': lambda: len(records),
            'begin': share.begin,
            'end': share.end,
            'count': share.counts.take,
        }
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument('file')
    parser.add_argument('share', help='K/N, K from 0')
    parser.add_argument('interval', type=float)
    parser.add_argument('hosts', type=int)
    parser.add_argument('first', type=int)
    return parser.parse_args()


if __name__ == '__main__':
    main()
