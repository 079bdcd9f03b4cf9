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


"""The table of who can do what has a test behind each row."""

import ast
import pathlib
import re

from nova_servicegroup.tests import base

_TESTS = pathlib.Path(__file__).parents[1]
_PAGE = _TESTS.parents[1] / 'doc/source/admin/security.rst'
_TEST = re.compile(r'^ +\.\. test: (\S+)\.(\w+)$(?:\n +(test_\w+)$)?', re.M)


def rows() -> list[str]:
    """Return the rows of the table, without its header."""
    text = _PAGE.read_text().partition('.. list-table::')[2]
    table = re.split(r'^\S', text, maxsplit=1, flags=re.M)[0]
    return re.split(r'^   \* - ', table, flags=re.M)[2:]


def tests_in(module: str) -> dict[str, set[str]]:
    """Return the classes of a module of tests, and the tests in each."""
    path = _TESTS.joinpath(*module.split('.')).with_suffix('.py')
    classes = {
        node.name: node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    found: dict[str, set[str]] = {}
    for name, node in classes.items():
        bases = {each.id for each in node.bases if isinstance(each, ast.Name)}
        found[name] = {
            each.name
            for each in node.body
            if isinstance(each, ast.FunctionDef)
            and each.name.startswith('test_')
        }.union(*(found.get(each, set()) for each in bases))
    return found


class TableTest(base.TestCase):
    def test_each_row_has_a_test(self) -> None:
        found = rows()
        self.assertGreater(len(found), 10)
        for row in found:
            named = _TEST.findall(row)
            self.assertEqual(1, len(named), row)
            module, name, test = named[0]
            tests = tests_in(module).get(name, set())
            self.assertTrue(tests, f'{module}.{name}')
            self.assertIn(test or next(iter(tests)), tests)

    def test_each_test_of_access_has_a_row(self) -> None:
        named = {
            '.'.join(each[:2]) for each in _TEST.findall(_PAGE.read_text())
        }
        for path in _TESTS.glob('*/test_*access.py'):
            module = f'{path.parent.name}.{path.stem}'
            for name, tests in tests_in(module).items():
                if tests:
                    self.assertIn(f'{module}.{name}', named)
