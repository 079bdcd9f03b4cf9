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

"""Writes the tables of what happens in an outage, from what was measured."""

import argparse
from collections.abc import Iterable, Sequence
import csv
import datetime
import pathlib
import sys

from benchmarks import report
from nova_servicegroup.tests.ministack import venv
from tools._outages import figures
from tools._outages import tables


def main() -> None:
    """Write the tables; say on standard error what nobody has measured."""
    parser = argparse.ArgumentParser(
        prog='tools/outages',
        description='Write the tables of the page on outages.',
    )
    parser.add_argument('figures', type=pathlib.Path)
    parser.add_argument('directory', type=pathlib.Path)
    args = parser.parse_args()
    found = figures.parse(args.figures.read_text().splitlines())
    runs = tables.Runs()
    for name in tables.NAMES:
        rows = [tables.cells(row, found, runs) for row in tables.read(name)]
        _write(args.directory, name, tables.HEADERS, rows)
        _complain(name, rows)
    options = [f'``{each}``' for each in tables.OPTIONS]
    _write(args.directory, 'runs', ['Run', *options, 'Tests'], runs.rows())
    _write(
        args.directory,
        'machine',
        ['What', 'On what it was measured'],
        [
            ['date', _date(args.figures)],
            ['machine', report.machine()],
            ['versions', f'nova {venv.NOVA_VERSION}, {report.versions()}'],
        ],
    )


def _complain(name: str, rows: Sequence[Sequence[str]]) -> None:
    for row, cells in zip(tables.read(name), rows, strict=True):
        if row['test'] and not cells[4]:
            what = f'{row["test"]}: {row["name"]}'
            print(f'not measured: {what}', file=sys.stderr)


def _write(
    directory: pathlib.Path,
    name: str,
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
) -> None:
    file = directory / f'outages_{name}.csv'
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


if __name__ == '__main__':
    main()
