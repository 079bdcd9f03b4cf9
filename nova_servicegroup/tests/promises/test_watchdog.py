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

"""No schedule of faults has a host said to be fenced that is not."""

import os
import random
import subprocess
import sys

from testtools import content

from nova_servicegroup.tests import base

_SCHEDULES = 20_000 if base.LONG else 1_000
_SEED = '0'


class WatchdogTest(base.TestCase):
    """The simulation in a process of its own."""

    def run_schedules(self, *words: str) -> bool:
        """Run schedules; return whether one refutes a promise."""
        done = subprocess.run(
            [
                sys.executable,
                '-m',
                'nova_servicegroup.tests.promises.watchdog',
                *words,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addDetail('output', content.text_content(done.stdout))
        # It ends with the sum, whatever has been refuted.
        self.assertIn(' schedules from ', done.stdout)
        return done.returncode != 0

    def test_no_schedule_refutes_a_promise(self) -> None:
        seed = os.environ.get('NOVA_SERVICEGROUP_SEED', _SEED)
        if base.LONG or seed == 'random':
            seed = str(random.SystemRandom().randrange(10**9))
        found = self.run_schedules(
            f'--seed={seed}', f'--schedules={_SCHEDULES}'
        )
        self.assertFalse(found)

    def check(self, name: str, seed: int) -> None:
        one = f'--seed={seed}'
        self.assertFalse(self.run_schedules(one))
        self.assertTrue(self.run_schedules(one, f'--mutate={name}'))

    def test_no_time_for_the_watchdog(self) -> None:
        self.check('no time for the watchdog', 3)

    def test_a_killed_agent_feeds_nothing(self) -> None:
        self.check('a killed agent feeds nothing', 4432)

    def test_the_lease_is_not_checked(self) -> None:
        self.check('the lease is not checked', 2)

    def test_a_stopping_agent_counts(self) -> None:
        self.check('a stopping agent counts', 27)

    def test_a_reading_is_as_old_as_its_end(self) -> None:
        self.check('a reading is as old as its end', 585)

    def test_a_stop_is_cut_short(self) -> None:
        self.check('a stop is cut short', 27)

    def test_blindness_is_not_noticed(self) -> None:
        self.check('blindness is not noticed', 15)

    def test_a_stop_is_not_waited_for(self) -> None:
        self.check('a stop is not waited for', 2569)
