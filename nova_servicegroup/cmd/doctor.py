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

"""nova-servicegroup doctor: what is wrong here, and what to do."""

import collections
from collections.abc import Iterator
import contextlib
import dataclasses
import itertools
import json
import logging
import shutil
import textwrap
from typing import Any

from nova_servicegroup import api
from nova_servicegroup.cmd import _command
from nova_servicegroup.cmd import _startup
from nova_servicegroup.doctor import checks
from nova_servicegroup.doctor import examination
from nova_servicegroup.doctor import finding
from nova_servicegroup import escaping
from nova_servicegroup.opts import secrets

#: The most characters of a line.
_MAX_WIDTH = 100


class Doctor(_command.Command):
    """Examine this installation; say what is wrong and what to do.

    Exit status: 0 all is well, 1 there are warnings, 2 there are errors.
    """

    @property
    def arguments(self) -> _command.Arguments:
        """See Command."""
        return {
            '--check': {
                'action': 'append',
                'choices': list(checks.CHECKS),
                'metavar': 'NAME',
                'help': 'Make only this check; may be repeated. One of '
                f'{", ".join(checks.CHECKS)}.',
            },
            '--towards': {
                'action': 'append',
                'default': [],
                'choices': api.installed_drivers(),
                'metavar': 'DRIVER',
                'help': 'Report the progress of a migration to this driver, '
                'too, besides those of also_report_to; may be repeated.',
            },
            '--json': {
                'action': 'store_true',
                'help': 'Print a list of findings in JSON.',
            },
        }

    def take_action(self, parsed_args: Any) -> int:
        """Examine the installation and return the exit status."""
        chosen = {
            name: check
            for name, check in checks.CHECKS.items()
            if not parsed_args.check or name in parsed_args.check
        }
        app = self.app
        subject = _startup.make_subject(
            app.conf, app.nova_error, parsed_args.towards
        )
        with _quiet(app.options.debug or app.options.verbose_level > 1):
            try:
                found = examination.examine(subject, chosen)
            finally:
                subject.close()
        shown = [self._without_secrets(each) for each in found]
        write = as_json if parsed_args.json else as_text
        app.stdout.write(write(shown))
        return int(max((each.level for each in found), default=0))

    def _without_secrets(self, each: finding.Finding) -> finding.Finding:
        conf = self.app.conf
        return dataclasses.replace(
            each,
            what=secrets.hide(conf, each.what),
            why=secrets.hide(conf, each.why),
            advice=secrets.hide(conf, each.advice),
        )


@contextlib.contextmanager
def _quiet(verbose: bool) -> Iterator[None]:
    """Disable logging while the body runs, unless verbose.

    What matters of the log is among the findings.
    """
    before = logging.root.manager.disable
    logging.disable(before if verbose else logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def as_json(found: list[finding.Finding]) -> str:
    """Return findings as a list of objects of JSON."""
    objects = [
        {**dataclasses.asdict(each), 'level': each.level.name.lower()}
        for each in found
    ]
    return json.dumps(objects, indent=2) + '\n'


def as_text(found: list[finding.Finding]) -> str:
    """Return findings as text for people, under the name of their check."""
    width = min(_MAX_WIDTH, shutil.get_terminal_size().columns)
    lines: list[str] = []
    for check, group in itertools.groupby(found, lambda each: each.check):
        lines.append(check)
        for each in group:
            lines += _lines(each, width)
    return '\n'.join([*lines, _summary(found), ''])


def _lines(each: finding.Finding, width: int) -> Iterator[str]:
    paragraphs = [(each.level.name, each.what)]
    if each.level > finding.Level.OK:
        paragraphs += [('  Why', each.why), ('  Do', each.advice)]
    for label, text in paragraphs:
        if text:
            yield from textwrap.wrap(
                escaping.line(text),
                width,
                initial_indent=f'  {label:9}',
                subsequent_indent=' ' * 11,
                break_long_words=False,
                break_on_hyphens=False,
            )


def _summary(found: list[finding.Finding]) -> str:
    counts = collections.Counter(each.level for each in found)
    parts = [
        f'{counts[level]} {level.name.lower()}{"s" * (counts[level] > 1)}'
        for level in (finding.Level.ERROR, finding.Level.WARNING)
        if counts[level]
    ]
    return ', '.join(parts) or 'All is well.'
