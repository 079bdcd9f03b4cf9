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

"""Writes the tables of what happens in an outage, from measurements."""

import argparse
from collections.abc import Sequence
import datetime
import pathlib
import sys

from benchmarks import environment
from nova_servicegroup.tests.ministack import venv
from tools._outages import figures
from tools._outages import kept
from tools._outages import tables


def main() -> None:
    """Write the tables; report missing measurements on standard error."""
    args = _parse()
    old = kept.Kept(args.directory)
    runs = old.runs() if args.keep else tables.Runs()
    before = len(runs.rows())
    found = figures.parse(args.figures.read_text().splitlines())
    for name in tables.NAMES:
        rows = [tables.cells(row, found, runs) for row in tables.read(name)]
        _report_missing(name, rows)
        if args.keep:
            rows = old.fill(name, rows)
        kept.write(args.directory, name, tables.HEADERS, rows)
    kept.write(args.directory, 'runs', tables.RUNS, runs.rows())
    machines = old.rows('machine') if args.keep else []
    kept.write(
        args.directory,
        'machine',
        ['What', 'On what it was measured'],
        [*machines, *_machine(args.figures, before, len(runs.rows()))],
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='tools/outages',
        description='Write the tables of the page on outages.',
    )
    parser.add_argument('figures', type=pathlib.Path)
    parser.add_argument('directory', type=pathlib.Path)
    parser.add_argument(
        '--keep',
        action='store_true',
        help='keep the rows of the directory that have no new figures',
    )
    return parser.parse_args()


def _machine(
    file: pathlib.Path, before: int, runs: int
) -> list[tuple[str, str]]:
    """Return the date, the machine and the versions of the new runs, if any.

    :param before: the number of runs from an earlier day
    :param runs: the number of all runs
    """
    if runs == before:
        return []
    which = f' of runs {before + 1} to {runs}' if before else ''
    return [
        (f'date{which}', _date(file)),
        (f'machine{which}', environment.machine()),
        (
            f'versions{which}',
            f'nova {venv.NOVA_VERSION}, {environment.versions()}',
        ),
    ]


def _report_missing(name: str, rows: Sequence[Sequence[str]]) -> None:
    for row, cells in zip(tables.read(name), rows, strict=True):
        if row['test'] and not cells[4]:
            what = f'{row["test"]}: {row["name"]}'
            print(f'not measured: {what}', file=sys.stderr)


def _date(file: pathlib.Path) -> str:
    """Return the date of the last write of the figures."""
    at = datetime.datetime.fromtimestamp(
        file.stat().st_mtime, datetime.timezone.utc
    )
    return f'{at:%Y-%m-%d}'


if __name__ == '__main__':
    main()
