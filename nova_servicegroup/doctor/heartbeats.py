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

"""Checks whether heartbeats reach the database in time."""

from collections.abc import Iterator, Sequence

from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup import services

#: The share of a group that may be late without a warning.
_FEW = 0.05
_ADVICE = (
    'Look at the load of the database, nova-conductor and the message queue, '
    'and at the clocks of the hosts. The log of nova-compute tells whether a '
    'collector takes its heartbeats.'
)


def check(subject: finding.Subject) -> Iterator[finding.Finding]:
    """See finding.Check. Only the db driver has heartbeats in the database."""
    if subject.backend != base.DATABASE or subject.databases is None:
        return
    for group in services.GROUPS:
        yield from judge(
            group,
            _read_ages(subject, group),
            subject.conf.report_interval,
            opts.service_down_time(subject.conf),
        )


def _read_ages(subject: finding.Subject, group: str) -> list[float]:
    view = subject.api('db').view(group)
    if view.error is not None:
        raise exceptions.BackendError(view.error.backend, view.error.reason)
    return ages(view.members)


def ages(members: Sequence[views.Member]) -> list[float]:
    """Return the sorted ages of the heartbeats of members that are up (s)."""
    return sorted(
        each.proof_age
        for each in members
        if each.up and each.proof_age is not None
    )


def judge(
    group: str, ages: Sequence[float], report_interval: int, down_time: int
) -> Iterator[finding.Finding]:
    """Judge the ages of the heartbeats of a group.

    :param ages: in seconds, sorted
    """
    if not ages:
        return
    limit = 2 * report_interval
    fresh = sum(age <= limit for age in ages)
    median, oldest = ages[len(ages) // 2], ages[-1]
    what = (
        f'{group}: {fresh} of {len(ages)} services that are up have reported '
        f'within {limit} s; half of them within {median:.0f} s, all '
        f'within {oldest:.0f} s.'
    )
    if len(ages) - fresh <= _FEW * len(ages):
        yield finding.ok(what)
        return
    report = finding.error if fresh <= len(ages) / 2 else finding.warning
    why = (
        f'Heartbeats come late. At {down_time} s a live service is down, '
        'unless the whole group is late.'
    )
    yield report(what, why, _ADVICE)
