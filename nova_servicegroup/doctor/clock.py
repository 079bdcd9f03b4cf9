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

"""Checks whether the clock of this host agrees with the databases' clocks."""

from collections.abc import Callable, Mapping
import time
from typing import Any

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.db import store
from nova_servicegroup import opts

#: Seconds that all databases together may take to answer, and the API
#: database to list them.
_WAIT = 5.0
_CELLS_WAIT = 4.0
#: Seconds by which clocks may differ.
_TOLERANCE = 1.0
_TRIES = 3


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    if subject.databases is None:
        return [finding.ok('Not compared: no database is configured here.')]
    engines = _engines(subject.databases)
    down_time = opts.service_down_time(subject.conf)
    answers = asking.ask_each(
        lambda name: _measure(engines[name]), engines, _WAIT
    )
    return [
        judge(name, answer.value, down_time)
        if answer.value is not None
        else _no_answer(name, answer.error, subject.backend)
        for name, answer in answers.items()
    ]


def _engines(
    databases: finding.Databases,
) -> Mapping[str, Callable[[], Any]]:
    """Return the factories of the databases' engines, by name.

    :raises BackendError: the databases cannot be listed in time
    """
    answer = asking.ask_one('API database', databases, _CELLS_WAIT)
    if answer.error is not None:
        raise answer.error
    return answer.value or {}


def _measure(engine: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds by which this clock is ahead, and the error of that.

    :raises BackendError: the database does not answer
    """
    asked = store.Store(engine)
    # The first question also connects.
    return min(
        (_compare(asked) for _ in range(_TRIES)), key=lambda each: each[1]
    )


def _compare(asked: store.Store) -> tuple[float, float]:
    begun = time.time()
    now = asked.now()
    ended = time.time()
    return (begun + ended) / 2 - now, abs(ended - begun) / 2


def judge(
    name: str, measured: tuple[float, float], down_time: int
) -> finding.Finding:
    """Judge the difference to the clock of one database.

    :param name: of the database
    :param measured: the seconds by which the clock of this host is ahead,
        and the error of that
    """
    ahead, error = measured
    apart = max(0.0, abs(ahead) - error)
    if apart < _TOLERANCE:
        return finding.ok(
            f'This clock and that of {name} agree to {abs(ahead):.2f} s.'
        )
    serious = apart >= down_time / 4
    report = finding.error if serious else finding.warning
    return report(
        f'The clock of this host is {abs(ahead):.1f} s '
        f'{"ahead of" if ahead > 0 else "behind"} that of {name}.',
        'Heartbeats in the database look older or younger by as much: with '
        f'service_down_time = {down_time}, Nova with its own driver calls '
        'live services down, or dead ones up.',
        'Let all hosts set their clocks by NTP.',
    )


def _no_answer(
    name: str, error: Exception | None, backend: str
) -> finding.Finding:
    report = finding.error if backend == base.DATABASE else finding.warning
    return report(
        f'{name[:1].upper()}{name[1:]} does not answer: '
        f'{asking.reason(error)}.',
        'Nova cannot work without its database, whatever the driver.',
        'See that it runs, that this host may reach it, and that '
        '[database] connection and the cell mappings are right.',
    )
