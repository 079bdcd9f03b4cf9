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

"""Runs checks on a subject, in bounded time."""

from collections.abc import Iterable, Mapping
import dataclasses

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup import exceptions

#: Seconds for all checks together.
BOUND = 10.0


def examine(
    subject: finding.Subject,
    checks: Mapping[str, finding.Check],
    bound: float = BOUND,
) -> list[finding.Finding]:
    """Run checks in parallel; return their findings in the checks' order.

    A check that fails or takes too long is a finding itself. What several
    checks find is returned once, for the first of them.

    :param checks: by name
    :param bound: seconds
    """
    answers = asking.ask_each(
        lambda name: list(checks[name](subject)), checks, bound
    )
    found: dict[str, finding.Finding] = {}
    for name, answer in answers.items():
        for each in _findings(name, answer, bound):
            found.setdefault(each.what, dataclasses.replace(each, check=name))
    return list(found.values())


def _findings(
    name: str, answer: asking.Answer[list[finding.Finding]], bound: float
) -> Iterable[finding.Finding]:
    if answer.error is None:
        return answer.value or []
    return [_failed(name, answer.error, bound)]


def _failed(name: str, error: Exception, bound: float) -> finding.Finding:
    """Return the finding that a check has raised an error."""
    if isinstance(error, exceptions.BackendTimeout) and error.backend == name:
        return finding.error(
            f'The check {name} did not come to an end in {bound:g} s.',
            'Something that it asks is mute, or very slow.',
            'See what the other checks say of the backend and the database.',
        )
    if isinstance(error, exceptions.ServiceGroupError):
        return finding.error(
            str(error),
            'Without it the rest of this check cannot be made.',
            'Mend it, and run the check again.',
        )
    return finding.error(
        f'The check is broken: {type(error).__name__}: {error}',
        'The state of what it checks is unknown.',
        'Run it again with --debug, and report what that shows.',
    )
