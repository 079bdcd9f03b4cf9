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

"""The measurements that tests write to a file. Pure."""

from collections.abc import Iterable, Mapping, Sequence
import json
import re
from typing import NamedTuple

_PREFIX = 'nova_servicegroup.tests.'


class Figure(NamedTuple):
    """One line of the file.

    :ivar test: the id of the test, from its folder on
    :ivar name: what was measured
    :ivar options: the options of the test run, in seconds
    """

    test: str
    name: str
    values: Sequence[float]
    unit: str
    options: Mapping[str, float]


def parse(lines: Iterable[str]) -> list[Figure]:
    """Return the figures of a file, as base.TestCase.measured writes it."""
    found = [Figure(**json.loads(line)) for line in lines]
    return [
        each._replace(test=each.test.removeprefix(_PREFIX)) for each in found
    ]


def find(figures: Iterable[Figure], test: str, name: str) -> list[Figure]:
    """Return the figures with a name.

    :param test: the prefix of the ids of the tests
    :param name: a regular expression for the whole name
    """
    return [
        each
        for each in figures
        if each.test.startswith(test) and re.fullmatch(name, each.name)
    ]


def span(figures: Sequence[Figure], place: int | None) -> str:
    """Return the smallest and the largest value as text; empty without any.

    :param place: the index of the value in each line; None: all values
    """
    chosen = slice(None) if place is None else slice(place, place + 1)
    values = [value for each in figures for value in each.values[chosen]]
    if not values:
        return ''
    least, most = f'{min(values):g}', f'{max(values):g}'
    text = least if least == most else f'{least} to {most}'
    return f'{text} {figures[0].unit}'.strip()
