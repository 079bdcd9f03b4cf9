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


"""Runs checks on a subject, each in bounded time."""

from collections.abc import Mapping
import functools

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup import exceptions

#: Seconds for all checks, which run side by side.
BOUND = 10.0


def examine(
    subject: finding.Subject,
    checks: Mapping[str, finding.Check],
    bound: float = BOUND,
) -> list[finding.Finding]:
    """Run checks side by side; return what they find, in their order.

    A check that breaks, or does not come to an end, is a finding itself.

    :param checks: by name
    :param bound: seconds
    """
    answers = asking.ask_all(
        {
            name: functools.partial(_run, check, subject)
            for name, check in checks.items()
        },
        bound,
    )
    found = [
        each
        for name, answer in answers.items()
        for each in _findings(name, answer, bound)
    ]
    return _once(found)


def _run(
    check: finding.Check, subject: finding.Subject
) -> list[finding.Finding]:
    return list(check(subject))


def _findings(
    name: str, answer: asking.Answer[list[finding.Finding]], bound: float
) -> list[finding.Finding]:
    if answer.error is not None:
        return [_broken(name, answer.error, bound)]
    return answer.value or []


def _broken(name: str, error: Exception, bound: float) -> finding.Finding:
    broken = functools.partial(finding.Finding, finding.Level.ERROR, name)
    if isinstance(error, exceptions.BackendTimeout) and error.backend == name:
        return broken(
            f'The check {name} did not come to an end in {bound:g} s.',
            'Something that it asks is mute, or very slow.',
            'See what the other checks say of the backend and the database.',
        )
    if isinstance(error, exceptions.ServiceGroupError):
        return broken(
            str(error),
            'Without it the rest of this check cannot be made.',
            'Mend it, and run the check again.',
        )
    return broken(
        f'The check is broken: {type(error).__name__}: {error}',
        'What it looks at is not known now.',
        'Run it again with --debug, and report what that shows.',
    )


def _once(found: list[finding.Finding]) -> list[finding.Finding]:
    """Leave out what several checks have met, but for the first."""
    seen: dict[str, finding.Finding] = {}
    for each in found:
        seen.setdefault(each.what, each)
    return list(seen.values())
