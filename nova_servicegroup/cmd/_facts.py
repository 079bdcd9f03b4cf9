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


"""What is known of one service, under the names that a table shows."""

from collections.abc import Iterable
import dataclasses
from typing import Any

from nova_servicegroup.cmd import _cells
from nova_servicegroup.drivers import base
from nova_servicegroup.watch import inventory


def facts(
    entry: inventory.Entry, called: inventory.Inventory
) -> dict[str, Any]:
    """Return what is known of a service; None: it is not known."""
    incarnations = () if entry.member is None else entry.member.incarnations
    return {
        'Host': entry.host,
        'Group': entry.group,
        'State': entry.state,
        'Reason': reason(entry),
        'Since': _cells.time(entry.since),
        'Proof age': _cells.seconds(proof_age(entry)),
        'Processes': len(incarnations) or None,
        'Incarnations': [each.name for each in incarnations],
        'Machines': _distinct(each.machine for each in incarnations),
        'Reads': _distinct(each.reads for each in incarnations),
        'Registered': _is_registered(entry, called),
        'Disabled': _recorded(entry, 'disabled'),
    }


def more_facts(
    entry: inventory.Entry, called: inventory.Inventory
) -> dict[str, Any]:
    """Return what else is known, which is too much for a list."""
    incarnations = () if entry.member is None else entry.member.incarnations
    seen = base.aware(_recorded(entry, 'last_seen_up'))
    return {
        'Incarnations': [_incarnation(each) for each in incarnations],
        'Disabled reason': _recorded(entry, 'disabled_reason'),
        'Recorded heartbeat': seen and _cells.time(seen.timestamp()),
        'View age': _cells.seconds(called.view.age),
    }


def proof_age(entry: inventory.Entry) -> float | None:
    """Return the seconds since the last proof of life; None: no proof."""
    return None if entry.member is None else entry.member.proof_age


def is_known(entry: inventory.Entry) -> bool:
    """Tell whether the state is more than a presumption."""
    return entry.state != base.HELD or proof_age(entry) is not None


def reason(entry: inventory.Entry) -> str:
    """Return in words why a service is in its state."""
    age = proof_age(entry)
    if entry.state == inventory.FORCED_DOWN:
        return 'an operator has declared it down'
    if entry.state == base.UP:
        return _ago('its last proof of life is {} old', age)
    if entry.state == base.HELD:
        return (
            'not seen, but nothing is known yet of who is missing'
            if age is None
            else _ago('not seen for {}, but that is no evidence', age)
        )
    if entry.member is None:
        return 'missing from a group that was just confirmed'
    return _ago('not seen for {}', age)


def _ago(text: str, age: float | None) -> str:
    return text.format('an unknown time' if age is None else f'{age:.1f} s')


def _is_registered(
    entry: inventory.Entry, called: inventory.Inventory
) -> bool | None:
    if entry.record is not None:
        return True
    return False if called.unregistered is None else None


def _recorded(entry: inventory.Entry, name: str) -> Any:
    return None if entry.record is None else entry.record.get(name, None)


def _distinct(values: Iterable[str | None]) -> list[str]:
    return sorted({each for each in values if each is not None})


def _incarnation(each: base.Incarnation) -> dict[str, Any]:
    return {**dataclasses.asdict(each), 'since': _cells.time(each.since)}
