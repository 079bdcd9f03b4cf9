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

"""The tables: what happens, what is seen, and which test measures it.

They are in CSV files beside this one, a row each:

``event``
    What happens; empty: as in the row before.
``driver``, ``seen``
    The verdict, and what is measured.
``bound``
    What follows from options, see bounds.py; empty: nothing does.
``test``, ``name``, ``place``
    Where the figure is, see figures.span; empty: nothing measures it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import csv
import pathlib

from tools._outages import bounds
from tools._outages import figures

NAMES = ('members', 'one', 'all', 'database', 'network', 'clocks')
HEADERS = (
    'What happens',
    'Driver',
    'What is seen',
    'At the latest',
    'Measured',
    'Run',
)

Row = Mapping[str, str]
#: The options of a test, in seconds, by the beginning of its id.
Options = Callable[[str], Mapping[str, float]]


def read(name: str) -> list[Row]:
    """Return the rows of a table."""
    file = pathlib.Path(__file__).with_name(f'{name}.csv')
    with file.open(newline='') as lines:
        return list(csv.DictReader(lines))


class Runs:
    """The options with which was measured, each set of them with a number.

    :param options: see Options
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._found: list[Mapping[str, float]] = []
        self._classes: list[set[str]] = []

    def number(self, test: str) -> str:
        """Return the number of a test's options; empty: it has none."""
        found = self._options(test)
        if not found:
            return ''
        if found not in self._found:
            self._found.append(found)
            self._classes.append(set())
        place = self._found.index(found)
        self._classes[place].add('.'.join(test.split('.')[1:3]))
        return str(place + 1)

    def rows(self, names: Sequence[str]) -> list[list[str]]:
        """Return a row for each set: number, options of these names, tests."""
        return [
            [
                str(number),
                *(f'{each[name]:g}' if name in each else '' for name in names),
                ', '.join(sorted(classes)),
            ]
            for number, (each, classes) in enumerate(
                zip(self._found, self._classes, strict=True), 1
            )
        ]


def cells(
    row: Row, measured: Iterable[figures.Figure], runs: Runs, options: Options
) -> list[str]:
    """Return a row for the page, in the order of HEADERS."""
    span = run = bound = ''
    test = row['test']
    if test:
        place = int(row['place']) if row['place'] else None
        span = figures.span(measured, test, row['name'], place)
        run = runs.number(test)
        if row['bound']:
            bound = bounds.text(row['bound'], options(test))
    return [row['event'], row['driver'], row['seen'], bound, span, run]
