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

"""What a failed test shows."""

import pathlib
import re
import shlex
import sys
from typing import Any

import fixtures
import testtools

from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import process


class FailedTestTest(base.TestCase):
    def run_failing(self) -> dict[str, Any]:
        """Run a test that starts a program and fails; return its details."""
        directory = pathlib.Path(self.create_tempfiles([('x', '')])[0]).parent

        class Fails(base.TestCase):
            def test_it(self) -> None:
                program = process.Process(
                    [sys.executable, '-c', 'print("what it wrote")'],
                    directory / 'server',
                )
                program.start()
                process.wait_until(lambda: not program.running, 30)
                self.fail('on purpose')

        ended: list[dict[str, Any]] = []
        result = testtools.StreamToDict(ended.append)
        result.startTestRun()
        Fails('test_it').run(testtools.ExtendedToStreamDecorator(result))
        self.assertEqual(['fail'], [each['status'] for each in ended])
        return {
            name: each.as_text() for name, each in ended[0]['details'].items()
        }

    def test_it_shows_what_programs_wrote_and_what_runs_it_alone(self) -> None:
        details = self.run_failing()
        self.assertIn('run-tests unit --match ', details['alone'])
        logs = [
            text
            for name, text in details.items()
            if name.endswith('server/log')
        ]
        self.assertEqual(['what it wrote'], logs)


class AloneTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.choose(None)

    def choose(self, nova: str | None) -> None:
        name = 'NOVA_SERVICEGROUP_NOVA'
        self.useFixture(fixtures.EnvironmentVariable(name, nova))

    def words(self, name: str) -> list[str]:
        return shlex.split(base.alone(name))

    def test_it_names_the_part_and_the_test(self) -> None:
        name = 'nova_servicegroup.tests.promises.test_a.B.test_c'
        wanted = ['tools/run-tests', 'simulation', '--match', name]
        self.assertEqual(wanted, self.words(name))

    def test_it_names_the_nova_that_was_chosen(self) -> None:
        self.choose('31')
        found = self.words('nova_servicegroup.tests.nova_own.test_a.B.test_c')
        self.assertEqual(['nova-own', '31', '--match'], found[1:4])

    def test_it_finds_one_of_several_scenarios(self) -> None:
        name = 'nova_servicegroup.tests.nova_own.test_a.B.test_c(unit,db)'
        self.assertNotIn('(', base.alone(name))
        self.assertTrue(re.fullmatch(self.words(name)[-1], name))
