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


"""The page on troubleshooting tells of everything that is logged."""

import ast
from collections.abc import Iterator
import pathlib
import re

from nova_servicegroup.drivers.db import ages
from nova_servicegroup.drivers.mc import history
from nova_servicegroup import evidence
from nova_servicegroup.tests import base

_PACKAGE = pathlib.Path(__file__).parents[2]
_PAGE = _PACKAGE.parent / 'doc/source/admin/troubleshooting.rst'
_LEVELS = ('info', 'warning', 'error', 'exception', 'critical')
#: So many characters tell one line of the log from another.
_ENOUGH = 30
_PLACES = re.compile(r'%[-.\d]*[a-z]')


def messages() -> Iterator[str]:
    """Return what the package logs, but for its tests and debugging."""
    for file in _PACKAGE.rglob('*.py'):
        if 'tests' in file.relative_to(_PACKAGE).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if _logs(node):
                yield ast.literal_eval(node.args[0])


def doubts() -> Iterator[str]:
    """Return the reasons why absence may be no evidence."""
    for module in (evidence, history, ages):
        for name, value in vars(module).items():
            if isinstance(value, str) and name.isupper():
                yield value


def _logs(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _LEVELS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == 'LOG'
    )


class PageTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.page = ' '.join(_PAGE.read_text().split())

    def test_every_line_of_the_log_is_explained(self) -> None:
        found = list(messages())
        self.assertGreater(len(found), 30)
        missing = [each for each in found if not _is_on(self.page, each)]
        self.assertEqual([], missing)

    def test_every_doubt_is_explained(self) -> None:
        found = list(doubts())
        self.assertGreater(len(found), 8)
        missing = [each for each in found if each not in self.page]
        self.assertEqual([], missing)


def _is_on(page: str, message: str) -> bool:
    parts = [
        part.strip(' :.,()')[:_ENOUGH].strip()
        for part in _PLACES.split(message)
    ]
    parts = [part for part in parts if len(part) > 6]
    # What has no words of its own shows those of an error.
    return not parts or any(part in page for part in parts)
