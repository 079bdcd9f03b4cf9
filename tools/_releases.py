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

"""Commands about Nova's releases, for tools/run-tests.

The README has the table of the releases that were tested, and the
documentation includes it.
"""

import argparse
from collections.abc import Sequence
import datetime
import pathlib
import re
import sys

from nova_servicegroup.tests.ministack import progress as progress_
from nova_servicegroup.tests.ministack import releases
from nova_servicegroup.tests.ministack import venv as venv_

README = venv_.ROOT / 'README.rst'
BEGIN = '.. tools/run-tests releases --record writes this table.\n'
END = '.. end of the table\n'
_HEADERS = ('Release', 'Nova', 'Python', 'Modes', 'Drivers', 'Tests', 'Date')
_PASSED = re.compile(r'^\{\d+\} (\S+) \[.*\] \.\.\. ok$', re.MULTILINE)
#: The class names of nova_servicegroup.tests.releases.test_stack.
_CLASS = re.compile(r'\.test_stack\.([A-Z][a-z]+)_([a-z]+)_Test\.')

#: A row of the table, in the order of _HEADERS. The modes are how Nova's
#: services ran, the release's default first; the tests are those that passed.
Row = Sequence[str]


def main() -> int:
    """Run a command and return the exit status."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except (progress_.StepFailed, LookupError, OSError) as error:
        print(f'releases: {error}', file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='releases')
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    listed = commands.add_parser('list', help="print Nova's series")
    listed.set_defaults(run=_list)
    default = commands.add_parser('default', help='print the newest one')
    default.set_defaults(run=_default)
    prepared = commands.add_parser('prepare', help='print its Python')
    prepared.set_defaults(run=_prepare)
    prepared.add_argument('nova', nargs='?', default=releases.DEFAULT)
    recorded = commands.add_parser('record', help='write a row of the table')
    recorded.set_defaults(run=_record)
    recorded.add_argument('nova')
    recorded.add_argument('log', type=pathlib.Path, help="stestr's output")
    return parser


def _list(arguments: argparse.Namespace) -> None:
    print(' '.join(releases.known()))


def _default(arguments: argparse.Namespace) -> None:
    print(releases.DEFAULT)


def _prepare(arguments: argparse.Namespace) -> None:
    """Install a release with the tests' requirements; print its Python."""
    nova = venv_.Venv(arguments.nova)
    progress = progress_.Progress()
    nova.ensure(progress)
    with progress.step('installing what the tests need'):
        nova.install('-r', str(venv_.ROOT / 'test-requirements.txt'))
        if arguments.nova == releases.DEFAULT:
            nova.install('-e', f'{venv_.ROOT}[tempest]')
    print(nova.program('python'))


def _record(arguments: argparse.Namespace) -> None:
    """Write the row of a release into the README."""
    python = venv_.Venv(arguments.nova).python_version()
    text = arguments.log.read_text(errors='replace')
    tested = row(releases.find(arguments.nova), python, text)
    README.write_text(replaced(README.read_text(), tested))


def row(release: releases.Release, python: str, output: str) -> Row:
    """Return the row of the table for a run.

    :param output: the output of ``stestr run``
    :raises LookupError: no test with a real Nova has passed
    """
    passed = set(_PASSED.findall(output))
    seen = [found.groups() for found in map(_CLASS.search, passed) if found]
    if not seen:
        raise LookupError('no test with a real Nova has passed')
    modes = {mode.lower() for mode, _ in seen}
    drivers = {driver for _, driver in seen}
    return (
        release.name,
        release.nova,
        python,
        ', '.join(each for each in release.modes if each in modes),
        ', '.join(sorted(drivers)),
        str(len(passed)),
        datetime.date.today().isoformat(),
    )


def replaced(text: str, tested: Row) -> str:
    """Return the README's text with a row that replaces an older one.

    :raises ValueError: the text has no place for the table
    """
    before, begin, rest = text.partition(BEGIN)
    table, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError('the README has no place for the table')
    others = [each for each in rows(table) if each[0] != tested[0]]
    table = _simple(sorted([*others, tested]))
    return f'{before}{begin}\n{table}\n\n{end}{after}'


def rows(table: str) -> list[Row]:
    """Parse a simple table of reStructuredText into its rows."""
    rule, _, _, *lines, _ = table.strip().splitlines()
    columns = [slice(*each.span()) for each in re.finditer('=+', rule)]
    return [tuple(line[each].strip() for each in columns) for line in lines]


def _simple(body: Sequence[Row]) -> str:
    """Return a simple table of reStructuredText."""
    widths = [
        max(map(len, column)) for column in zip(_HEADERS, *body, strict=True)
    ]
    rule = ['=' * width for width in widths]
    return '\n'.join(
        ' '.join(map(str.ljust, each, widths)).rstrip()
        for each in (rule, _HEADERS, rule, *body, rule)
    )


if __name__ == '__main__':
    sys.exit(main())
