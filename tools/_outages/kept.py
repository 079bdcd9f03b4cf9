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

"""The tables that an earlier run has written."""

from collections.abc import Iterable, Iterator, Sequence
import csv
import pathlib

from tools._outages import tables

_Cells = Sequence[str]


class Kept:
    """The tables of a directory, for rows that are not measured again."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory

    def runs(self) -> tables.Runs:
        """Return the runs, to add others to them."""
        found = tables.Runs()
        headers, *rows = self._read('runs') or [tables.RUNS]
        for row in rows:
            # The table may be older than some options.
            cells = dict(zip(headers, row, strict=True))
            options = {
                name: float(cells[f'``{name}``'])
                for name in tables.OPTIONS
                if cells.get(f'``{name}``')
            }
            found.add(options, cells['Tests'].split(', '))
        return found

    def fill(self, name: str, rows: Iterable[_Cells]) -> list[list[str]]:
        """Return rows, with the old figure where there is no new one."""
        had = dict(_by_event(self.rows(name)))
        return [
            [*cells[:3], *(had.get(key, cells) if not cells[4] else cells)[3:]]
            for key, cells in _by_event(rows)
        ]

    def rows(self, name: str) -> list[list[str]]:
        """Return the rows of a table, without its headers."""
        return self._read(name)[1:]

    def _read(self, name: str) -> list[list[str]]:
        file = path(self._directory, name)
        if not file.exists():
            return []
        with file.open(newline='') as lines:
            return list(csv.reader(lines))


def _by_event(
    rows: Iterable[_Cells],
) -> Iterator[tuple[tuple[str, str, str], _Cells]]:
    """Yield each row with its key: what happens, the driver, what is seen."""
    event = ''
    for cells in rows:
        event = cells[0] or event
        yield (event, cells[1], cells[2]), cells


def path(directory: pathlib.Path, name: str) -> pathlib.Path:
    """Return the file of a table."""
    return directory / f'outages_{name}.csv'


def write(
    directory: pathlib.Path,
    name: str,
    headers: _Cells,
    rows: Iterable[_Cells],
) -> None:
    """Write a table."""
    with path(directory, name).open('w', newline='') as lines:
        writer = csv.writer(lines, lineterminator='\n')
        writer.writerow(headers)
        writer.writerows(rows)
