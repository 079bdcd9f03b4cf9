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


"""A process of Nova's that asks again and again which hosts are up.

Run as a program, it is that process. It asks the servicegroup API about each
record, as the scheduler does; those of a cell it reads from the database
before.
"""

import argparse
from collections.abc import Callable
import pathlib
import sys
import threading
import time
from typing import Any

from benchmarks import contestants
from benchmarks import records as records_
from benchmarks import remote
from nova_servicegroup.tests.harness import process

#: Seconds between two changes of a host's state, and its verdict.
Change = tuple[float, str, bool]


class Reader(remote.Program):
    """The teller's end.

    :param file: a nova.conf
    :param hosts: how many it asks about
    :param first: the number of the first one
    :param interval: seconds between two passes
    """

    def __init__(
        self,
        contestant: contestants.Contestant,
        file: pathlib.Path,
        hosts: int,
        first: int = 0,
        interval: float = 1.0,
    ) -> None:
        super().__init__(
            __name__,
            [
                str(file),
                str(hosts),
                str(first),
                str(interval),
                *(['--records'] if contestant.in_cell else []),
            ],
            file.with_suffix('.log'),
            contestant.stock,
        )
        self._contestant = contestant
        self._hosts = hosts

    def count(self) -> dict[str, Any]:
        """Return what was found since the last count.

        :raises RuntimeError: another driver answers than the contestant's
        """
        found: dict[str, Any] = self.ask('count')
        ours = str(found['driver']).startswith('nova_servicegroup')
        if ours == self._contestant.stock:
            raise RuntimeError(
                f'{self._contestant.name}: the reader has {found["driver"]}'
            )
        return found

    def settle(self, within: float) -> None:
        """Wait until all hosts are up.

        :raises TimeoutError: they are not, in time
        """
        name = self._contestant.name
        process.wait_until(
            lambda: self.ask('up') == self._hosts,
            within,
            0.2,
            f'{name}: of {self._hosts} hosts {self.ask("up")} are up',
        )


class _Reader:
    """Asks, and counts the verdicts since the last count.

    :param records: returns those to ask about
    """

    def __init__(
        self, records: Callable[[], list[Any]], interval: float
    ) -> None:
        from nova import servicegroup

        self._api = servicegroup.API()
        self._records = records
        self._interval = interval
        self._lock = threading.Lock()
        self._up: set[str] = set()
        self._new()
        self._driver = type(self._api._driver).__module__

    def _new(self) -> None:
        self._reads = self._verdicts = self._down = self._failed = 0
        self._hosts: set[str] = set()
        self._changes: list[Change] = []

    def run(self) -> None:
        """Ask for ever."""
        while True:
            begun = time.monotonic()
            try:
                self._read()
            except Exception as error:
                # As whoever asks in Nova, it has no answer then.
                self._fail(error)
            time.sleep(max(0.0, begun + self._interval - time.monotonic()))

    def _read(self) -> None:
        records = self._records()
        changes: list[Change] = []
        down = []
        for each in records:
            up = self._api.service_is_up(each)
            if not up:
                down.append(each.host)
            if up != (each.host in self._up):
                changes.append((time.monotonic(), each.host, up))
        with self._lock:
            self._reads += 1
            self._verdicts += len(records)
            self._down += len(down)
            self._hosts.update(down)
            self._changes += changes
            self._up = {each.host for each in records}.difference(down)

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self._failed += 1
        print(f'a pass failed: {error!r}', file=sys.stderr, flush=True)

    def up(self) -> int:
        """Return how many hosts are up."""
        return len(self._up)

    def count(self) -> dict[str, Any]:
        """Return what was found since the last count."""
        with self._lock:
            found = {
                'driver': self._driver,
                'reads': self._reads,
                'verdicts': self._verdicts,
                'down': self._down,
                'failed passes': self._failed,
                'hosts': len(self._hosts),
                'changes': self._changes,
            }
            self._new()
        return found


def _source(hosts: list[str], in_cell: bool) -> Callable[[], list[Any]]:
    if not in_cell:
        made = records_.make('compute', hosts)
        return lambda: made
    from nova import context
    from nova import objects

    admin, wanted = context.get_admin_context(), set(hosts)
    return lambda: [
        each
        for each in objects.ServiceList.get_all(admin)
        if each.host in wanted
    ]


def main() -> None:
    """Ask until told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument('file')
    parser.add_argument('hosts', type=int)
    parser.add_argument('first', type=int)
    parser.add_argument('interval', type=float)
    parser.add_argument('--records', action='store_true')
    args = parser.parse_args()
    remote.become_nova(args.file)
    hosts = records_.hosts(args.hosts, args.first)
    reader = _Reader(_source(hosts, args.records), args.interval)
    threading.Thread(target=reader.run, daemon=True).start()
    remote.obey({'count': reader.count, 'up': reader.up})


if __name__ == '__main__':
    main()
