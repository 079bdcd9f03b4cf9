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


"""The report: tables as markdown, as CSV and as a page to be read."""

import csv
import dataclasses
import datetime
from importlib import metadata
import os
import pathlib
import platform
import subprocess
import textwrap
from typing import Any

_PACKAGES = (
    'nova',
    'nova-servicegroup',
    'tooz',
    'kazoo',
    'pymemcache',
    'etcd3gw',
    'redis',
    'dogpile.cache',
    'oslo.cache',
    'oslo.messaging',
)
_SERVERS = (
    'etcd-server',
    'mariadb-server',
    'memcached',
    'rabbitmq-server',
    'redis-server',
    'zookeeper',
)
_TITLE = 'Benchmarks'
_WIDTH = 79
#: The name, the table that it stands below, and the title of each figure.
FIGURES = (
    ('is_up', 'is_up', 'Time of one service_is_up'),
    ('passes', 'passes', 'Time of a pass over a fleet'),
    ('refresh', 'refresh', 'Time of a refresh of a membership'),
    ('renewals', 'renewals', 'Server CPU of a host and second'),
    ('detection', 'detection', 'Time until a killed host is down'),
    ('dilemma', 'dilemma', 'Load and false downs over the time until down'),
    ('stress', 'stress', 'False downs under stress'),
    ('storm', 'storm', 'Bytes that an observer reads'),
    ('costs', 'costs', 'CPU of a host times its time until down'),
)
_INTRODUCTION = """Written by ``benchmarks/run``, side by side with Nova's own
drivers, from its package on PyPI, and with a bare floor. Ratios count; times
are those of one machine.
"""
_SECTION = """\
{title}
{rule}

{notes}
.. csv-table:: {title}
   :file: {name}.csv
   :header-rows: 1
"""
_FIGURE = """
.. figure:: {name}.svg
   :alt: {title}

   {title}
"""


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

    def rst(self) -> str:
        """Return a section of the page; it reads the CSV file."""
        figures = ''.join(
            _FIGURE.format(name=name, title=title)
            for name, table, title in FIGURES
            if table == self.name
        )
        section = _SECTION.format(
            name=self.name,
            title=self.title,
            rule='=' * len(self.title),
            notes='\n'.join(_wrapped(self.notes)),
        )
        return section + figures

    def dicts(self) -> list[dict[str, Any]]:
        """Return each row by the headers."""
        return [dict(zip(self.headers, row, strict=True)) for row in self.rows]

    def save(self, directory: pathlib.Path) -> None:
        """Write the table as CSV."""
        with (directory / f'{self.name}.csv').open('w', newline='') as file:
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(self.headers)
            writer.writerows(
                [_cell(each) for each in row] for row in self.rows
            )


class Report:
    """All of it.

    :param command: how to get it again
    :param quick: the figures mean little
    """

    def __init__(self, command: str, quick: bool) -> None:
        self._begun = _now()
        self._load = os.getloadavg()[0]
        self._command = command
        self._quick = quick
        self.tables: list[Table] = []

    def text(self) -> str:
        """Return it as markdown."""
        facts = [f'- {name}: {value}' for name, value in self._facts()]
        tables = [each.markdown() for each in self.tables]
        return '\n'.join([f'# {_TITLE}', '', *facts, '', *tables])

    def save(self, directory: pathlib.Path) -> None:
        """Write report.md, index.rst and a CSV file for each table."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / 'report.md').write_text(self.text())
        (directory / 'index.rst').write_text(self._page())
        for each in self.tables:
            each.save(directory)

    def _page(self) -> str:
        lines = ['=' * len(_TITLE), _TITLE, '=' * len(_TITLE), '']
        lines += _wrapped(_INTRODUCTION)
        for name, value in self._facts():
            lines += textwrap.wrap(
                f'- {name}: {value}',
                _WIDTH,
                subsequent_indent='  ',
                break_long_words=False,
                break_on_hyphens=False,
            )
        tables = [each.rst() for each in self.tables]
        return '\n'.join([*lines, '', *tables]).rstrip() + '\n'

    def _facts(self) -> list[tuple[str, str]]:
        now = _now()
        facts = [
            ('command', f'``{self._command}``'),
            ('date', f'{self._begun:%Y-%m-%d %H:%M} UTC'),
            (
                'duration',
                f'{(now - self._begun).total_seconds() / 60:.0f} min',
            ),
            ('machine', machine()),
            ('load average before', f'{self._load:.1f}'),
            ('versions', versions()),
        ]
        if self._quick:
            facts.append(('quick mode', 'it proves that all runs, not more'))
        return facts


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _wrapped(text: str) -> list[str]:
    """Return paragraphs as lines of the page."""
    lines: list[str] = []
    for paragraph in text.strip().split('\n\n'):
        lines += [
            *textwrap.wrap(
                ' '.join(paragraph.split()), _WIDTH, break_on_hyphens=False
            ),
            '',
        ]
    return lines


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.0f}' if abs(value) >= 100 else f'{value:.3g}'
    return '' if value is None else str(value)


def machine() -> str:
    """Return what this runs on."""
    model = platform.machine()
    for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            model = line.partition(':')[2].strip()
            break
    pages = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return f'{os.cpu_count()} x {model}, {pages / 2**30:.0f} GiB'


def versions() -> str:
    """Return the versions of what is measured, as far as it is installed."""
    versions = [f'Python {platform.python_version()}']
    for name in _PACKAGES:
        try:
            versions.append(f'{name} {metadata.version(name)}')
        except metadata.PackageNotFoundError:
            continue
    versions += [f'{name} {version}' for name, version in _packages()]
    return ', '.join(versions)


def _packages() -> list[tuple[str, str]]:
    """Return the versions of the servers, where they are Debian's."""
    found = []
    for name in _SERVERS:
        done = subprocess.run(
            ['dpkg-query', '-W', '-f', '${Version}', name],
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            found.append((name, done.stdout))
    return found
