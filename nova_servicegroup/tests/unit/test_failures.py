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
import sys
from typing import Any

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
