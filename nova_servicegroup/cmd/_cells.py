# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""What stands in one place of a table."""

from collections.abc import Iterable, Mapping
import datetime
from typing import Any

from cliff import columns

from nova_servicegroup import escaping

#: Formats that have no lists.
_FLAT = ('csv', 'value')
#: Formats that show control characters as escapes of their own.
_ESCAPING = ('json', 'yaml')


# The class takes a type since cliff 4.9 only.
class Cell(columns.FormattableColumn):  # type: ignore[type-arg]
    """A value in a table for people.

    Those that are unknown come last when it is sorted.
    """

    def human_readable(self) -> str:
        """See cliff."""
        if self._value is None:
            return '-'
        if isinstance(self._value, bool):
            return 'yes' if self._value else 'no'
        if isinstance(self._value, list):
            return '\n'.join(map(_line, self._value)) or '-'
        return escaping.printable(self._value)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Cell):
            return NotImplemented
        mine, its = self._value, other._value
        return bool((mine is None, mine) < (its is None, its))


def _line(value: Any) -> str:
    if not isinstance(value, dict):
        return escaping.printable(value)
    parts = [f'{name} {each}' for name, each in value.items() if each]
    return escaping.printable(', '.join(parts).removeprefix('name '))


def cells(
    known: Mapping[str, Any], names: Iterable[str], formatter: str
) -> tuple[Any, ...]:
    """Return what is known under some names, for one of cliff's formats.

    For programs they are plain: numbers, truths, texts, None and, where the
    format has them, lists. For a line of words, each is a word. Formats that
    escape control characters themselves, JSON and YAML, have texts as they
    are.
    """
    values = [known[name] for name in names]
    if formatter == 'table':
        return tuple(map(Cell, values))
    if formatter in _FLAT:
        values = [_flat(each) for each in values]
    if formatter not in _ESCAPING:
        values = [_shown(each) for each in values]
    if formatter == 'value':
        values = ['-' if each in (None, '') else each for each in values]
    return tuple(values)


def _flat(value: Any) -> Any:
    return ','.join(map(_line, value)) if isinstance(value, list) else value


def _shown(value: Any) -> Any:
    return escaping.printable(value) if isinstance(value, str) else value


def time(seconds: float | None, unit: str = 'seconds') -> str | None:
    """Return seconds since the epoch as a time in ISO 8601, in UTC."""
    if seconds is None:
        return None
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.isoformat(timespec=unit)


def seconds(value: float | None) -> float | None:
    """Return seconds in tenths, which is as exact as anybody reads them."""
    return None if value is None else round(value, 1)
