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

"""The report: its tables as markdown, as CSV and as a documentation page."""

from collections.abc import Callable, Sequence
import csv
import dataclasses
import datetime
from importlib import metadata
import json
import os
import pathlib
import textwrap
from typing import Any

from benchmarks import environment

_TITLE = 'Benchmarks'
_WIDTH = 79
#: The file in a report's directory that keeps its parts.
_PARTS = 'report.json'
#: Of each figure: the name, the table above it, and the title.
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
_INTRODUCTION = """Written by ``benchmarks/run``, which measures the drivers
side by side with Nova's own, from its package on PyPI, and with a bare floor.
Compare the ratios: the times are those of one machine.
"""
_RUNS_NOTES = """A run of some parts leaves the others unchanged. The versions
at the top are those of the last run.
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
    """One table of the report.

    :ivar name: that of the CSV file
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
        """Return a section of the page, which includes the CSV file."""
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
        """Return each row as a dict by the headers."""
        return [dict(zip(self.headers, row, strict=True)) for row in self.rows]

    def save(self, directory: pathlib.Path) -> None:
        """Write the table as CSV."""
        with (directory / f'{self.name}.csv').open('w', newline='') as file:
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(self.headers)
            writer.writerows(
                [_cell(each) for each in row] for row in self.rows
            )


@dataclasses.dataclass(frozen=True)
class Part:
    """The tables of one part, with the time and place of its run.

    :ivar date: when it began, in UTC
    :ivar minutes: how long it ran; or None if unknown
    :ivar load: the load average before
    :ivar version: that of this package
    :ivar machine: see environment
    """

    name: str
    date: str
    minutes: float | None
    load: float
    version: str
    machine: str
    tables: list[Table]


def measure(name: str, run: Callable[[], list[Table]]) -> Part:
    """Run a part and return its measurements."""
    begun, load = _now(), os.getloadavg()[0]
    tables = run()
    return Part(
        name,
        f'{begun:%Y-%m-%d %H:%M}',
        (_now() - begun).total_seconds() / 60,
        load,
        metadata.version('nova-servicegroup'),
        environment.machine(),
        tables,
    )


def load(directory: pathlib.Path) -> dict[str, Part]:
    """Return the parts of the report in a directory, if there is one."""
    file = directory / _PARTS
    found = json.loads(file.read_text()) if file.exists() else []
    return {
        each['name']: Part(
            **{**each, 'tables': [Table(**table) for table in each['tables']]}
        )
        for each in found
    }


class Report:
    """The whole report.

    :param parts: the parts, in the order of the report
    :param more: tables that are computed from those of the parts
    :param quick: whether the figures come from quick mode and mean little
    """

    def __init__(
        self, parts: Sequence[Part], more: Sequence[Table], quick: bool
    ) -> None:
        self._parts = parts
        self._quick = quick
        self._tables = [
            *(table for part in parts for table in part.tables),
            *more,
            _runs(parts),
        ]

    def text(self) -> str:
        """Return the report as markdown."""
        facts = [f'- {name}: {value}' for name, value in self._facts()]
        tables = [each.markdown() for each in self._tables]
        return '\n'.join([f'# {_TITLE}', '', *facts, '', *tables])

    def save(self, directory: pathlib.Path) -> None:
        """Write the report as markdown, page and CSV, and its parts."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / 'report.md').write_text(self.text())
        (directory / 'index.rst').write_text(self._page())
        parts = [dataclasses.asdict(each) for each in self._parts]
        (directory / _PARTS).write_text(json.dumps(parts, indent=1) + '\n')
        for each in self._tables:
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
        tables = [each.rst() for each in self._tables]
        return '\n'.join([*lines, '', *tables]).rstrip() + '\n'

    def _facts(self) -> list[tuple[str, str]]:
        facts = [('versions', environment.versions())]
        if self._quick:
            facts.append(('quick mode', 'the figures mean little'))
        return facts


def _runs(parts: Sequence[Part]) -> Table:
    """Return the table of when and where each part ran."""
    return Table(
        'runs',
        'When and where',
        ['part', 'date, UTC', 'minutes', 'load before', 'version', 'machine'],
        [list(dataclasses.astuple(each)[:-1]) for each in parts],
        _RUNS_NOTES,
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _wrapped(text: str) -> list[str]:
    """Wrap paragraphs into lines of the page."""
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
