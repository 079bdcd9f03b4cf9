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

import pathlib
import re

from oslotest import base

import nova_servicegroup

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
