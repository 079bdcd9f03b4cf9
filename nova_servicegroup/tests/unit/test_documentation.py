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

"""The documentation knows all that there is."""

import importlib
import pathlib
import re

from oslotest import base

import nova_servicegroup
from tools import _lines

PACKAGE = pathlib.Path(nova_servicegroup.__file__).parent
CONTRIBUTOR = PACKAGE.parent / 'doc' / 'source' / 'contributor'


def modules() -> set[str]:
    """Return the names of all modules that have anything in them."""
    return {
        '.'.join(('nova_servicegroup', *path.with_suffix('').parts))
        for path in (
            each.relative_to(PACKAGE) for each in PACKAGE.rglob('*.py')
        )
        if path.parts[0] != 'tests' and path.name != '__init__.py'
    }


class ArchitectureTest(base.BaseTestCase):
    def test_every_module_has_its_line(self) -> None:
        text = (CONTRIBUTOR / 'architecture.rst').read_text()
        listed = re.findall(r'^   (nova_servicegroup\.\S+)$', text, re.M)
        self.assertEqual(sorted(modules()), sorted(listed))


class BenchmarksTest(base.BaseTestCase):
    def test_every_part_has_its_line(self) -> None:
        main = PACKAGE.parent / 'benchmarks' / '__main__.py'
        (parts,) = re.findall(
            r'^PARTS = \((.*?)\)', main.read_text(), re.S | re.M
        )
        text = (CONTRIBUTOR / 'benchmarks.rst').read_text()
        listed = re.findall(r'^   \* - ``(\w+)``$', text, re.M)
        self.assertEqual(re.findall(r'\w+', parts), listed)


class NextDriverTest(base.BaseTestCase):
    """What the page for the next driver tells to use is there."""

    text = (CONTRIBUTOR / 'tooz_driver.rst').read_text()

    def test_the_parts_to_use(self) -> None:
        names = re.findall(r'``common\.(\w+)(?:\.(\w+))?``', self.text)
        self.assertTrue(names)
        for module, name in names:
            found = importlib.import_module(
                f'nova_servicegroup.drivers.common.{module}'
            )
            self.assertTrue(not name or hasattr(found, name), name)

    def test_the_tests_to_inherit(self) -> None:
        functional = PACKAGE / 'tests' / 'functional'
        classes = re.findall(r'``(\w+(?:Contract|Faults))``', self.text)
        self.assertTrue(classes)
        for path in re.findall(r'``(tests/\S+|\w+_faults\.py)``', self.text):
            there = PACKAGE if '/' in path else functional
            self.assertTrue((there / path).exists(), path)
        text = ''.join(
            (functional / f'{name}.py').read_text()
            for name in ('contract', 'fault_contract')
        )
        for name in classes:
            self.assertIn(f'class {name}(', text)

    def test_lines_of_code_are_counted(self) -> None:
        self.assertEqual(
            4,
            _lines.count(
                '# No.\n"""No.\n\nNo.\n"""\n\nimport a  # Yes.\n\n\n'
                'def b() -> None:\n    """No."""\n    x = """Yes\n    yes"""\n'
            ),
        )
        self.assertEqual(6, len(list(_lines.table())))
