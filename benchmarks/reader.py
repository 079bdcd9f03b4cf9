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

"""A Nova process that repeatedly asks which hosts are up.

Run as a program, it is that process. It asks the servicegroup API about each
record, as the scheduler does; in a cell, it first reads the records from the
database.
"""

import argparse
from collections.abc import Callable, Sequence
import pathlib
import sys
import threading
import time
from typing import Any

from benchmarks import contestants
from benchmarks import records as records_
from benchmarks import remote
from nova_servicegroup.tests.harness import process

#: When a verdict changed, by the monotonic clock, the host, and whether up.
Change = tuple[float, str, bool]


class Reader(remote.Program):
    """The program, as its parent sees it.

    :param file: a nova.conf
    :param hosts: the number of hosts that it asks about
    :param first: the number of the first host
    :param interval: seconds between two passes
    :param prefix: put before the command line
    """

    def __init__(
        self,
        contestant: contestants.Contestant,
        file: pathlib.Path,
        hosts: int,
        first: int = 0,
        interval: float = 1.0,
        prefix: Sequence[str] = (),
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
            prefix,
        )
        self._contestant = contestant
        self._hosts = hosts

    def count(self) -> dict[str, Any]:
        """Return the counts since the last call.

        :raises RuntimeError: the reader has another driver
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

        :raises TimeoutError: some are not, in time
        """
        name = self._contestant.name
        process.wait_until(
            lambda: self.ask('up') == self._hosts,
            within,
            0.2,
            f'{name}: of {self._hosts} hosts {self.ask("up")} are up',
        )


class _Reader:
    """Asks about hosts, and counts the verdicts.

    :param records: returns the records to ask about
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
        self._reset()

    def _reset(self) -> None:
        names = 'reads', 'verdicts', 'down', 'failed passes'
        self._counts = dict.fromkeys(names, 0)
        self._hosts: set[str] = set()
        self._changes: list[Change] = []

    def run(self) -> None:
        """Make passes for ever."""
        while True:
            begun = time.monotonic()
            try:
                self._read()
            except Exception as error:
                # A request to Nova would fail, too.
                with self._lock:
                    self._counts['failed passes'] += 1
                print(f'a pass failed: {error!r}', file=sys.stderr, flush=True)
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
            self._counts['reads'] += 1
            self._counts['verdicts'] += len(records)
            self._counts['down'] += len(down)
            self._hosts.update(down)
            self._changes += changes
            self._up = {each.host for each in records}.difference(down)

    def up(self) -> int:
        """Return how many hosts are up."""
        return len(self._up)

    def count(self) -> dict[str, Any]:
        """Return the counts since the last call."""
        with self._lock:
            found = {
                'driver': type(self._api._driver).__module__,
                **self._counts,
                'hosts': len(self._hosts),
                'changes': self._changes,
            }
            self._reset()
        return found


def _source(hosts: list[str], in_cell: bool) -> Callable[[], list[Any]]:
    if not in_cell:
        records = records_.make('compute', hosts)
        return lambda: records
    from nova import context
    from nova import objects

    admin, wanted = context.get_admin_context(), set(hosts)
    return lambda: [
        each
        for each in objects.ServiceList.get_all(admin)
        if each.host in wanted
    ]


def main() -> None:
    """Make passes until the input ends."""
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
