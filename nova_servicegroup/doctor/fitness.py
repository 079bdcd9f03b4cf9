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

"""Judges which checks nova-compute runs of itself, and which fail."""

from collections.abc import Iterator

from oslo_config import cfg

from nova_servicegroup.checks import loading
from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.watch import inventory


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    asked = subject.api(subject.driver)
    drivers = asked.driver, *asked.secondary.drivers.values()
    shown = any(each.shows_marks for each in drivers)
    return list(judge(subject.conf, subject.driver, shown))


def judge(
    conf: cfg.ConfigOpts, driver: str, shown: bool
) -> Iterator[finding.Finding]:
    """Judge which checks run, and whether their results are used.

    :param shown: whether a driver shows the results to others
    """
    options = conf.servicegroup
    if not shown:
        yield finding.ok(f'With {driver}, no nova-compute checks itself.')
        return
    names = list(dict.fromkeys(options.checks))
    yield from _judge_checks(names, options.check_interval)
    if not options.pass_over_unfit:
        yield finding.ok(
            '[servicegroup] pass_over_unfit is false: a nova-scheduler that '
            'has these options gives servers also to those that are degraded '
            'or draining.'
        )


def _judge_checks(
    names: list[str], interval: float
) -> Iterator[finding.Finding]:
    broken = [each for name in names for each in _load(name)]
    yield from broken
    if not names:
        yield finding.ok('[servicegroup] checks is empty: none is run.')
    elif not broken:
        yield finding.ok(
            f'Each nova-compute checks {", ".join(names)} every '
            f'{interval:g} s.'
        )


def _load(name: str) -> Iterator[finding.Finding]:
    """Judge whether a check can be loaded."""
    try:
        loading.find(name)
    except Exception as error:
        yield finding.warning(
            f'The check {name} cannot be loaded here: '
            f'{exceptions.first_line(error)}.',
            'A nova-compute that cannot load it runs the others only.',
            'Install what has it wherever nova-compute runs, or take it out '
            'of [servicegroup] checks.',
        )


def judge_group(
    group: str, seen: inventory.Inventory
) -> Iterator[finding.Finding]:
    """Judge the results of checks in a group; part of the check of members."""
    failing = {
        f'{host} ({each.condition.reason})'
        for host, each in seen.entries.items()
        if each.state == views.DEGRADED and each.condition is not None
    }
    if failing:
        yield finding.warning(
            f'{group}: {len(failing)} degraded: {finding.names(failing)}.',
            'nova-scheduler gives them no new servers. For everything else '
            'they are up, so that none of their servers can be evacuated.',
            'The log of each service has the error of its check. It is fit '
            'again when the check succeeds once.',
        )
    for name in seen.view.ignored:
        yield finding.warning(
            f'{group}: the check {name} fails on so many that it is ignored.',
            'It is hardly their fault, and they are not passed over for it. '
            'Servers that they are given may fail.',
            'See what they share: the message queue, the storage, or a change '
            'that was just made to all.',
        )
