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

"""What several runs of a soak have seen, in one file, and what it proves."""

from collections.abc import Iterator, Sequence
import dataclasses
import datetime
import json
import os
import pathlib
from typing import Any

from benchmarks import meters

HEADERS = [
    'driver',
    'stress',
    'member-hours',
    'false downs',
    'false downs a member and hour, at most',
    'deaths',
    'never seen',
    'p50, s',
    'p99, s',
    'max, s',
]
#: Beyond which a normally distributed value is in 5 % of cases.
_DEVIATIONS = 1.645
#: Of a log, the last bytes that are read, and the lines that are kept.
_TAIL, _LINES = 1 << 18, 5


@dataclasses.dataclass
class Count:
    """What was seen of one driver under one kind of stress.

    :ivar hours: member-hours of hosts that were alive
    :ivar downs: false downs of any host
    :ivar unseen: deaths after which the host was not down in time
    :ivar took: seconds from each other death until the host was down
    """

    hours: float = 0.0
    downs: int = 0
    unseen: int = 0
    took: list[float] = dataclasses.field(default_factory=list)

    def __add__(self, other: 'Count') -> 'Count':
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Count(*(mine + theirs for mine, theirs in pairs))

    def row(self) -> list[Any]:
        """Return the cells of a row after the driver and the stress."""
        return [
            self.hours,
            self.downs,
            upper_bound(self.downs, self.hours),
            len(self.took) + self.unseen,
            self.unseen,
            meters.quantile(self.took, 0.5),
            meters.quantile(self.took, 0.99),
            max(self.took, default=None),
        ]


def upper_bound(events: int, hours: float) -> float | None:
    """Return the 95 % upper bound of a rate, or None if nothing was seen.

    It is the rule of three without events, else Byar's approximation.
    """
    if not hours:
        return None
    if not events:
        return 3 / hours
    above = events + 1
    root = 1 - 1 / (9 * above) + _DEVIATIONS / (3 * above**0.5)
    return above * root**3 / hours


class Tally:
    """The counts of all runs with the same file.

    :param file: None: of this run only
    :param version: that of the package in this run
    :ivar events: the false downs, with what may explain them
    """

    def __init__(self, file: pathlib.Path | None, version: str) -> None:
        self._file = file
        found = json.loads(file.read_text()) if file and file.exists() else {}
        self.versions = sorted({version, *found.get('versions', ())})
        self.events: list[dict[str, Any]] = found.get('events', [])
        self._unexplained: list[
            tuple[dict[str, Any], Sequence[pathlib.Path]]
        ] = []
        self._counts = {
            name: {kind: Count(**each) for kind, each in kinds.items()}
            for name, kinds in found.get('counts', {}).items()
        }

    def of(self, name: str, stress: str) -> Count:
        """Return the count of a driver under a kind of stress, to add to."""
        return self._counts.setdefault(name, {}).setdefault(stress, Count())

    def add_false_down(
        self,
        name: str,
        stress: str,
        host: str,
        seconds: float,
        logs: Sequence[pathlib.Path],
    ) -> None:
        """Count a false down; keep what may explain it.

        :param seconds: since the stress began
        :param logs: files whose last lines about the host are kept by save
        """
        self.of(name, stress).downs += 1
        event = {
            'driver': name,
            'stress': stress,
            'host': host,
            'seconds': round(seconds, 3),
            'date': datetime.datetime.now(datetime.timezone.utc).isoformat(),
            'load': os.getloadavg()[0],
        }
        self.events.append(event)
        self._unexplained.append((event, logs))

    def rows(self) -> list[list[Any]]:
        """Return the rows of the table, with a sum of each driver."""
        return list(self._rows())

    def _rows(self) -> Iterator[list[Any]]:
        for name, kinds in self._counts.items():
            total = sum(kinds.values(), Count())
            for stress, count in {**kinds, 'all': total}.items():
                yield [name, stress, *count.row()]

    def save(self) -> None:
        """Write the file, so that it is whole at any time."""
        # A process that stands still logs it later.
        for event, logs in self._unexplained:
            event['logs'] = [
                line for each in logs for line in _about(event['host'], each)
            ]
        self._unexplained.clear()
        if self._file is None:
            return
        counts = {
            name: {kind: vars(each) for kind, each in kinds.items()}
            for name, kinds in self._counts.items()
        }
        state = {
            'versions': self.versions,
            'counts': counts,
            'events': self.events,
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix('.new')
        new.write_text(json.dumps(state, indent=1) + '\n')
        new.replace(self._file)


def _about(host: str, log: pathlib.Path) -> list[str]:
    """Return the last lines of a log about a host, without their middle."""
    with log.open('rb') as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        lines = file.read().decode(errors='replace').splitlines()
    found = [line for line in lines if host in line][-_LINES:]
    return [
        line if len(line) < 300 else f'{line[:100]} ... {line[-190:]}'
        for line in found
    ]
