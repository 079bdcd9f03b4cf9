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

"""The check that the documentation shows."""

from typing import Any
from unittest import mock

from nova_servicegroup.checks import base as base_check
from nova_servicegroup.checks import runner
from nova_servicegroup.tests import base


class ExampleTest(base.TestCase):
    def make(self, directory: str) -> base_check.Check:
        conf = self.make_conf(f'[mount_check]\ndirectory = {directory}\n')
        module = base.load_example('mount_check')
        made: base_check.Check = module.MountCheck(conf, base.FakeService())
        return made

    def test_what_is_mounted(self) -> None:
        self.make('/proc').check()

    def test_what_is_not(self) -> None:
        error = self.assertRaises(RuntimeError, self.make('/no').check)
        self.assertEqual('nothing is mounted at /no', str(error))

    def test_it_makes_a_service_degraded_and_fit_again(self) -> None:
        told: list[Any] = []
        running = runner.Runner(
            {'mount': self.make('/no')},
            30.0,
            told.append,
            clock=self.clock,
            wall=self.clock,
            start=lambda call, name, native: call(),
        )
        self._go(running)
        self.assertEqual(['mount'], [each.reason for each in told])
        with mock.patch('os.path.ismount', return_value=True):
            self._go(running)
        self.assertIsNone(told[-1])

    def _go(self, running: runner.Runner) -> None:
        for _ in range(60):
            self.clock.advance(runner.STEP)
            running.tick()
