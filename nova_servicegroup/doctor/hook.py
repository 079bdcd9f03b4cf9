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

"""Checks whether Nova, as installed here, uses the package's drivers."""

from collections.abc import Callable
from importlib import metadata
import sys

from nova_servicegroup import api
from nova_servicegroup.doctor import finding
from nova_servicegroup.plugin import hook

_HOOKS = ('castellan.drivers', 'oslo.policy.rule_checks')
_WHY = (
    'Only a Nova that has loaded the hook accepts the names of our drivers '
    'and asks them.'
)


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    return [judge(subject.nova_error, subject.hook_problems)]


def judge(
    nova_error: str | None, problems: Callable[[], list[str]]
) -> finding.Finding:
    """Judge whether the hook is in effect.

    :param nova_error: see finding.Subject
    :param problems: see finding.Subject.hook_problems
    """
    if nova_error is not None:
        return finding.error(
            f'{sys.executable} cannot import Nova: {nova_error}.',
            _WHY,
            'Install nova-servicegroup into the environment in which Nova '
            'runs, and run the command that is installed there.',
        )
    found = problems()
    if found:
        return _unused(found)
    drivers = ', '.join(api.installed_drivers())
    return finding.ok(f'Nova {hook.nova_version()} accepts {drivers}.')


def _unused(problems: list[str]) -> finding.Finding:
    missing = [
        group
        for group in _HOOKS
        if not metadata.entry_points(group=group, name='nova_servicegroup')
    ]
    if missing:
        return finding.error(
            f'The package is not registered under {" and ".join(missing)}.',
            _WHY,
            'Install nova-servicegroup again with the pip of the environment '
            'in which Nova runs.',
        )
    return finding.error(
        f'Nova {hook.nova_version()} does not use the installed drivers: '
        f'{"; ".join(problems)}.',
        _WHY,
        'Install a release of nova-servicegroup that knows this Nova, with '
        'the pip of the environment in which Nova runs.',
    )
