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

"""The command: reads what was measured, and writes the tables."""

import argparse
from collections.abc import Iterable, Sequence
import csv
import datetime
import functools
import pathlib
import sys

from benchmarks import report
from tools._ministack import venv
from tools._outages import figures
from tools._outages import options
from tools._outages import tables


def main() -> int:
    """Write the tables; say on standard error what nobody has measured."""
    parser = argparse.ArgumentParser(
        prog='tools/outages',
        description='Write the tables of the page on outages.',
    )
    parser.add_argument('figures', type=pathlib.Path)
    parser.add_argument('directory', type=pathlib.Path)
    args = parser.parse_args()
    found = figures.parse(args.figures.read_text().splitlines())
    of = functools.cache(options.of)
    runs = tables.Runs(of)
    for name in tables.NAMES:
        _write_table(args.directory, name, found, runs, of)
    _write(
        args.directory / 'outages_runs.csv',
        ['Run', *(f'``{each}``' for each in options.NAMES), 'Tests'],
        runs.rows(options.NAMES),
    )
    _write(
        args.directory / 'outages_machine.csv',
        ['What', 'On what it was measured'],
        [
            ['date', _date(args.figures)],
            ['machine', report.machine()],
            ['versions', f'nova {venv.NOVA_VERSION}, {report.versions()}'],
        ],
    )
    return 0


def _write_table(
    directory: pathlib.Path,
    name: str,
    found: Sequence[figures.Figure],
    runs: tables.Runs,
    of: tables.Options,
) -> None:
    rows = tables.read(name)
    written = [tables.cells(row, found, runs, of) for row in rows]
    for row, cells in zip(rows, written, strict=True):
        if row['test'] and not cells[4]:
            print(
                f'not measured: {row["test"]}: {row["name"]}', file=sys.stderr
            )
    _write(directory / f'outages_{name}.csv', tables.HEADERS, written)


def _write(
    file: pathlib.Path,
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
) -> None:
    with file.open('w', newline='') as lines:
        writer = csv.writer(lines, lineterminator='\n')
        writer.writerow(headers)
        writer.writerows(rows)


def _date(file: pathlib.Path) -> str:
    """Return when the figures were written last."""
    at = datetime.datetime.fromtimestamp(
        file.stat().st_mtime, datetime.timezone.utc
    )
    return f'{at:%Y-%m-%d}'
