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

"""The columns that describe a service, and the format of their values."""

from collections.abc import Iterable, Mapping
import dataclasses
import datetime
from typing import Any

from cliff import columns

from nova_servicegroup import condition
from nova_servicegroup import dates
from nova_servicegroup.drivers import views
from nova_servicegroup import escaping
from nova_servicegroup.watch import inventory

#: Formats that have no lists.
_FLAT = ('csv', 'value')
#: Formats that show control characters as escapes of their own.
_ESCAPING = ('json', 'yaml')


# The class takes a type since cliff 4.9 only.
class Column(columns.FormattableColumn):  # type: ignore[type-arg]
    """A value of a table for people; unknown values sort last."""

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
        if not isinstance(other, Column):
            return NotImplemented
        left, right = self._value, other._value
        return bool((left is None, left) < (right is None, right))


def _line(value: Any) -> str:
    if not isinstance(value, dict):
        return escaping.printable(value)
    parts = [f'{name} {each}' for name, each in value.items() if each]
    return escaping.printable(', '.join(parts).removeprefix('name '))


def format_values(
    row: Mapping[str, Any], names: Iterable[str], formatter: str
) -> tuple[Any, ...]:
    """Return the named values of a row, as one of cliff's formats needs them.

    Formats for programs get plain values: numbers, booleans, strings, None
    and, where the format has them, lists. The value format, which separates
    values by spaces, gets no empty ones. JSON and YAML get strings unchanged,
    since they escape control characters themselves.
    """
    values = [row[name] for name in names]
    if formatter == 'table':
        return tuple(map(Column, values))
    if formatter in _FLAT:
        values = [_flat(each) for each in values]
    if formatter not in _ESCAPING:
        values = [_printable(each) for each in values]
    if formatter == 'value':
        values = ['-' if each in (None, '') else each for each in values]
    return tuple(values)


def _flat(value: Any) -> Any:
    return ','.join(map(_line, value)) if isinstance(value, list) else value


def _printable(value: Any) -> Any:
    return escaping.printable(value) if isinstance(value, str) else value


def time(seconds: float | None, unit: str = 'seconds') -> str | None:
    """Return seconds since the epoch as a time in ISO 8601 and UTC.

    :param unit: the least unit that is shown
    """
    if seconds is None:
        return None
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.isoformat(timespec=unit)


def seconds(value: float | None) -> float | None:
    """Return seconds rounded to tenths."""
    return None if value is None else round(value, 1)


def facts(entry: inventory.Entry, seen: inventory.Inventory) -> dict[str, Any]:
    """Return what is known of a service; None if unknown."""
    incarnations = () if entry.member is None else entry.member.incarnations
    unfit = entry.condition
    return {
        'Host': entry.host,
        'Group': entry.group,
        'State': entry.state,
        'Reason': reason(entry),
        'Since': time(entry.since),
        'Proof age': seconds(proof_age(entry)),
        'Processes': len(incarnations) or None,
        'Incarnations': [each.name for each in incarnations],
        'Machines': _distinct(each.machine for each in incarnations),
        'Reads': _distinct(each.reads for each in incarnations),
        'Registered': _is_registered(entry, seen),
        'Disabled': _recorded(entry, 'disabled'),
        'Condition': unfit and unfit.reason,
        'Condition since': unfit and condition.date(unfit),
        'Evidence': entry.evidence,
        'Domain': entry.domain,
    }


def more_facts(
    entry: inventory.Entry, seen: inventory.Inventory
) -> dict[str, Any]:
    """Return the facts that are too long for a list of services."""
    incarnations = () if entry.member is None else entry.member.incarnations
    heartbeat = dates.aware(_recorded(entry, 'last_seen_up'))
    return {
        'Incarnations': [
            {**dataclasses.asdict(each), 'since': time(each.since)}
            for each in incarnations
        ],
        'Disabled reason': _recorded(entry, 'disabled_reason'),
        'Recorded heartbeat': heartbeat and time(heartbeat.timestamp()),
        'View age': seconds(seen.view.age),
    }


def proof_age(entry: inventory.Entry) -> float | None:
    """Return the seconds since the last proof of life, or None if none."""
    return None if entry.member is None else entry.member.proof_age


def is_known(entry: inventory.Entry) -> bool:
    """Return whether the state is known rather than presumed."""
    return entry.state != views.HELD or proof_age(entry) is not None


def reason(entry: inventory.Entry) -> str:
    """Return the reason for the state of a service, for people."""
    age = proof_age(entry)
    if entry.state == inventory.FORCED_DOWN:
        return 'an operator has declared it down'
    if entry.state == views.UP:
        return _ago('its last proof of life is {} old', age)
    if entry.state == views.HELD:
        return (
            'not seen, but it is not known yet which hosts are missing'
            if age is None
            else _ago('not seen for {}, but that is no evidence', age)
        )
    if entry.member is None:
        return 'missing from a group that was just confirmed'
    if entry.condition is not None:
        return condition.words(entry.condition)
    return _ago('not seen for {}', age)


def _ago(text: str, age: float | None) -> str:
    return text.format('an unknown time' if age is None else f'{age:.1f} s')


def _is_registered(
    entry: inventory.Entry, seen: inventory.Inventory
) -> bool | None:
    if entry.record is not None:
        return True
    return False if seen.unregistered is None else None


def _recorded(entry: inventory.Entry, name: str) -> Any:
    return None if entry.record is None else entry.record.get(name, None)


def _distinct(values: Iterable[str | None]) -> list[str]:
    return sorted({each for each in values if each is not None})
