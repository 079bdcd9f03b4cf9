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

They are in CSV files beside this one, with the columns:

``event``
    What happens; empty: as in the row before.
``driver``, ``seen``
    The driver, its verdict, and what is measured.
``bound``
    The bound that follows from options, see bounds.py; empty: none.
``test``, ``name``, ``place``
    The figure, see figures.py; empty: not measured.
"""

from collections.abc import Iterable, Mapping
import csv
import pathlib

from tools._outages import bounds
from tools._outages import figures

NAMES = (
    'members',
    'one',
    'all',
    'database',
    'network',
    'clocks',
    'unfit',
    'recovery',
)
#: The options that are shown, and that a bound may name.
OPTIONS = (
    'session_timeout',
    'tick',
    'ttl',
    'report_interval',
    'service_down_time',
    'hold_time',
    'refresh_interval',
    'read_timeout',
    'check_interval',
)
HEADERS = (
    'What happens',
    'Driver',
    'What is seen',
    'At the latest',
    'Measured',
    'Run',
)
RUNS = ('Run', *(f'``{each}``' for each in OPTIONS), 'Tests')

Row = Mapping[str, str]


def read(name: str) -> list[Row]:
    """Return the rows of a table."""
    file = pathlib.Path(__file__).with_name(f'{name}.csv')
    with file.open(newline='') as lines:
        return list(csv.DictReader(lines))


class Runs:
    """The sets of options of the test runs, each with a number."""

    def __init__(self) -> None:
        self._found: list[Mapping[str, float]] = []
        self._classes: list[set[str]] = []

    def number(self, figure: figures.Figure) -> str:
        """Return the number of a figure's options; empty if it has none."""
        if not figure.options:
            return ''
        return self.add(
            figure.options, ['.'.join(figure.test.split('.')[1:3])]
        )

    def add(self, options: Mapping[str, float], classes: Iterable[str]) -> str:
        """Add options and the tests run with them; return their number."""
        shown = {each: options[each] for each in OPTIONS if each in options}
        if shown not in self._found:
            self._found.append(shown)
            self._classes.append(set())
        place = self._found.index(shown)
        self._classes[place].update(classes)
        return str(place + 1)

    def rows(self) -> list[list[str]]:
        """Return a row for each set: its number, OPTIONS and tests."""
        return [
            [
                str(number),
                *(
                    f'{each[name]:g}' if name in each else ''
                    for name in OPTIONS
                ),
                ', '.join(sorted(classes)),
            ]
            for number, (each, classes) in enumerate(
                zip(self._found, self._classes, strict=True), 1
            )
        ]


def cells(
    row: Row, measured: Iterable[figures.Figure], runs: Runs
) -> list[str]:
    """Return a row for the page, in the order of HEADERS.

    Cells that are not measured are empty.
    """
    span = run = bound = ''
    found = figures.find(measured, row['test'], row['name'])
    if row['test'] and found:
        span = figures.span(found, int(row['place']) if row['place'] else None)
        run = runs.number(found[0])
        if row['bound']:
            bound = bounds.text(row['bound'], found[0].options)
    return [row['event'], row['driver'], row['seen'], bound, span, run]
