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

"""The package is built as someone with this release would."""

import pathlib
import subprocess
import sys

import fixtures

from nova_servicegroup.tests import base
from nova_servicegroup.tests.ministack import venv

#: What tools/ministack has installed this environment with.
CONSTRAINTS = pathlib.Path(sys.prefix) / 'constraints.txt'


class SourceCheckoutTest(base.TestCase):
    def test_a_source_checkout_builds_under_the_constraints(self) -> None:
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        checkout, built = directory / 'checkout', directory / 'built'
        self.run_program('git', 'clone', '--quiet', venv.ROOT, checkout)
        self.run_program(
            *(sys.executable, '-m', 'pip', 'wheel', '--no-deps'),
            *('--build-constraint', CONSTRAINTS, '-w', built, checkout),
        )
        self.assertEqual(1, len(list(built.glob('nova_servicegroup-*.whl'))))

    def run_program(self, *words: object) -> None:
        done = subprocess.run(
            [str(word) for word in words],
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
