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

"""A program that a benchmark tells what to do is not awaited for ever."""

import pathlib

import fixtures

from benchmarks import remote
from nova_servicegroup.tests import base

_OBEYS = """
from benchmarks import remote
remote.obey({'say': lambda word: word})
"""
_MUTE = 'input(); input()'
_ENDS = 'raise SystemExit("no wish to go on")'


class ProgramTest(base.TestCase):
    def program(self, text: str) -> remote.Program:
        module = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        module /= 'program.py'
        module.write_text(text)
        made = remote.Program('program', [], module.with_name('its.log'))
        self.addCleanup(made.close)
        return made

    def test_answers_come_in_turn(self) -> None:
        program = self.program(_OBEYS)
        for word in ('one', 'two'):
            program.tell(f'say {word}')
        self.assertEqual('one', program.answer(20))
        self.assertEqual('two', program.answer(20))

    def test_one_that_does_not_answer_is_named_with_its_log(self) -> None:
        program = self.program(_MUTE)
        error = self.assertRaises(RuntimeError, program.answer, 0.1)
        self.assertIn(f'program {program.pid}: no answer in 0.1', str(error))
        self.assertIn(str(program.log), str(error))

    def test_one_that_has_ended_says_why_each_time(self) -> None:
        program = self.program(_ENDS)
        for _ in range(2):
            error = self.assertRaises(RuntimeError, program.answer, 20)
            self.assertIn('no wish to go on', str(error))
