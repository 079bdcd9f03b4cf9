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

"""What tests have measured, as they write it to a file; pure."""

from collections.abc import Iterable
import re
from typing import NamedTuple

PREFIX = 'nova_servicegroup.tests.'

_LINE = re.compile(
    r'(?P<test>[\w.]+): (?P<name>.+): '
    r'(?P<values>-?\d+\.\d+(?:, -?\d+\.\d+)*) (?P<unit>\S*)'
)


class Figure(NamedTuple):
    """One line of the file.

    :ivar test: the id of the test, without PREFIX
    :ivar name: what was measured
    """

    test: str
    name: str
    values: tuple[float, ...]
    unit: str


def parse(lines: Iterable[str]) -> list[Figure]:
    """Return the figures of a file, as base.TestCase.measured writes it.

    :raises ValueError: a line is none
    """
    return [_figure(line.rstrip('\n')) for line in lines]


def _figure(line: str) -> Figure:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError(f'not a figure: {line!r}')
    return Figure(
        found['test'].removeprefix(PREFIX),
        found['name'],
        tuple(float(each) for each in found['values'].split(', ')),
        found['unit'],
    )


def span(
    figures: Iterable[Figure], test: str, name: str, place: int | None
) -> str:
    """Return the least and the greatest of the values, as text.

    Empty where there is none.

    :param test: how the ids of the tests begin
    :param name: a regular expression for all of the name
    :param place: of the value in its line; None: all of them count
    """
    chosen = [
        each
        for each in figures
        if each.test.startswith(test) and re.fullmatch(name, each.name)
    ]
    values = [
        value
        for each in chosen
        for value in (
            each.values if place is None else each.values[place : place + 1]
        )
    ]
    if not values:
        return ''
    least, most = f'{min(values):g}', f'{max(values):g}'
    text = least if least == most else f'{least} to {most}'
    return f'{text} {chosen[0].unit}'.strip()
