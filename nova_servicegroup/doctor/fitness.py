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

"""Does a nova-compute check whether it is of use, and who is of none?"""

from collections.abc import Iterator

from oslo_config import cfg

from nova_servicegroup.checks import loading
from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.watch import inventory

NAME = 'fitness'

#: What judges groups tells it as part of the check of the members.
_MEMBERS = 'members'

_FAILS = (
    'nova-scheduler gives them no new servers. For everything else they are '
    'up, so that none of their servers can be evacuated.'
)


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    asked = subject.api(subject.driver)
    drivers = asked.driver, *asked.secondary.drivers.values()
    shown = any(each.shows_marks for each in drivers)
    return list(judge(subject.conf, subject.driver, shown))


def judge(
    conf: cfg.ConfigOpts, driver: str, shown: bool
) -> Iterator[finding.Finding]:
    """Tell which checks run, and whether anybody heeds them.

    :param shown: whether others know what they find, by a driver
    """
    options = conf.servicegroup
    if not shown:
        yield _ok(f'With {driver}, no nova-compute checks itself.')
        return
    names = list(dict.fromkeys(options.checks))
    broken = [each for each in map(_broken, names) if each is not None]
    yield from broken
    if not names:
        yield _ok('[servicegroup] checks is empty: none is run.')
    elif not broken:
        yield _ok(
            f'Each nova-compute checks {", ".join(names)} every '
            f'{options.check_interval:g} s.'
        )
    if not options.pass_over_unfit:
        yield _ok(
            '[servicegroup] pass_over_unfit is false: a nova-scheduler that '
            'has these options gives servers also to those that are degraded '
            'or draining.'
        )


def _broken(name: str) -> finding.Finding | None:
    """Return what is wrong with a check; None: nothing is."""
    try:
        loading.find(name)
    except Exception as error:
        return finding.Finding(
            finding.Level.WARNING,
            NAME,
            f'The check {name} cannot be loaded here: '
            f'{exceptions.first_line(error)}.',
            'A nova-compute that cannot load it runs the others only.',
            'Install what has it wherever nova-compute runs, or take it out '
            'of [servicegroup] checks.',
        )
    return None


def judge_group(
    group: str, seen: inventory.Inventory
) -> Iterator[finding.Finding]:
    """Judge what the members of a group say of themselves."""
    failing = {
        f'{host} ({each.condition.reason})'
        for host, each in seen.entries.items()
        if each.state == views.DEGRADED and each.condition is not None
    }
    if failing:
        yield _warning(
            f'{group}: {len(failing)} degraded: {finding.names(failing)}.',
            _FAILS,
            'The log of each service has the error of its check. It is of use '
            'again when the check succeeds once.',
        )
    for name in seen.view.ignored:
        yield _warning(
            f'{group}: the check {name} fails on so many that it is ignored.',
            'It is hardly their fault, and they are not passed over for it. '
            'Servers that they are given may fail.',
            'See what they share: the message queue, the storage, or a change '
            'that was just made to all.',
        )


def _warning(what: str, why: str, advice: str) -> finding.Finding:
    level = finding.Level.WARNING
    return finding.Finding(level, _MEMBERS, what, why, advice)


def _ok(what: str) -> finding.Finding:
    return finding.Finding(finding.Level.OK, NAME, what)
