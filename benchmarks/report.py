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


"""The report: tables as markdown and as CSV."""

import csv
import dataclasses
import datetime
from importlib import metadata
import os
import pathlib
import platform
from typing import Any

_PACKAGES = (
    'nova',
    'nova-servicegroup',
    'tooz',
    'kazoo',
    'pymemcache',
    'dogpile.cache',
    'oslo.cache',
)


@dataclasses.dataclass(frozen=True)
class Table:
    """One table.

    :ivar name: of the CSV file
    :ivar title: one line
    :ivar notes: how it was measured
    """

    name: str
    title: str
    headers: list[str]
    rows: list[list[Any]]
    notes: str = ''

    def markdown(self) -> str:
        """Return the table as markdown."""
        lines = [self.headers, ['---'] * len(self.headers)]
        lines += [[_cell(each) for each in row] for row in self.rows]
        body = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
        return f'## {self.title}\n\n{self.notes}\n\n{body}\n'

    def save(self, directory: pathlib.Path) -> None:
        """Write the table as CSV."""
        with (directory / f'{self.name}.csv').open('w', newline='') as file:
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(self.headers)
            writer.writerows(self.rows)


def text(command: str, quick: bool, tables: list[Table]) -> str:
    """Return the whole report."""
    now = datetime.datetime.now(datetime.timezone.utc)
    lines = [
        '# Benchmarks of nova-servicegroup',
        '',
        f'- command: `{command}`',
        f'- date: {now:%Y-%m-%d %H:%M} UTC',
        f'- machine: {_machine()}',
        f'- load average before the report: {os.getloadavg()[0]:.1f}',
        f'- versions: {_versions()}',
    ]
    if quick:
        lines.append('- quick mode: it proves that they run, not much more')
    return '\n'.join([*lines, '', *(each.markdown() for each in tables)])


def save(directory: pathlib.Path, report: str, tables: list[Table]) -> None:
    """Write the report and a CSV file for each table."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / 'report.md').write_text(report)
    for each in tables:
        each.save(directory)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.0f}' if abs(value) >= 100 else f'{value:.3g}'
    return '' if value is None else str(value)


def _machine() -> str:
    model = platform.machine()
    for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            model = line.partition(':')[2].strip()
            break
    pages = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return f'{os.cpu_count()} x {model}, {pages / 2**30:.0f} GiB'


def _versions() -> str:
    versions = [f'Python {platform.python_version()}']
    for name in _PACKAGES:
        try:
            versions.append(f'{name} {metadata.version(name)}')
        except metadata.PackageNotFoundError:
            continue
    return ', '.join(versions)
