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

"""The simulate command, with real servers, members, deaths and signals."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

from nova_servicegroup.simulation import limits
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_mc
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import process

MEMBERS = 20
KILLED = 10
HOLD = 2
#: Enough for a member's share to stand out from what a process has anyway.
MORE_MEMBERS = 60
GROUP = 'simulation'
SESSION = test_zk.SESSION_TIMEOUT

# A signal that whoever runs the tests ignores is ignored here, too.
_PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from nova_servicegroup.cmd import cli
sys.exit(cli.main())
"""


class SimulateContract(contract.Contract):
    """What the command does with every driver."""

    def argv(self, *arguments: Any) -> list[str]:
        return [
            sys.executable,
            '-c',
            _PROGRAM,
            '--config-file',
            str(self.config),
            'simulate',
            *map(str, arguments),
        ]

    def simulate(self, *arguments: Any) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return subprocess.run(
            self.argv(*arguments), capture_output=True, text=True, timeout=120
        )

    def holding(self, processes: int = 1) -> process.Process:
        """Return a simulation that holds a crowd."""
        made = process.Process(
            self.argv(
                f'--members={MORE_MEMBERS}',
                '--hold=600',
                '--kill=0',
                f'--processes={processes}',
            ),
            self.directory / 'simulation',
        )
        self.addCleanup(made.kill)
        made.start()
        process.wait_until(
            lambda: len(self.proven(GROUP)) == MORE_MEMBERS,
            contract.START,
            what='all are up',
        )
        return made

    def wait_gone(self) -> None:
        """Wait until nobody is a member, and not by having expired."""
        process.wait_until(
            lambda: not self.proven(GROUP),
            self.leaves_within + self.not_before / 2,
            what='all have left',
        )

    def test_the_killed_are_found_and_the_others_stay_up(self) -> None:
        done = self.simulate(
            f'--members={MEMBERS}',
            f'--kill={100 * KILLED / MEMBERS}',
            f'--hold={HOLD}',
            '--format=json',
        )
        self.assertEqual(0, done.returncode, done.stderr)
        seen = json.loads(done.stdout)
        expected = {
            'members': MEMBERS,
            'joined': MEMBERS,
            'seen_up': MEMBERS,
            'killed': KILLED,
            'found_down': KILLED,
            'false_downs': 0,
            'seen_held': 0,
            'heartbeat_failures': 0,
        }
        self.assertEqual(expected, {name: seen[name] for name in expected})
        self.assertGreaterEqual(seen['held_for'], HOLD)
        self.assertLessEqual(seen['up_after_max'], seen['all_up_after'])
        self.assertGreaterEqual(seen['down_after_p50'], self.not_before)
        self.assert_within(seen['down_after_max'], self.down_within + 0.5)
        # Every member beats in each report_interval, or nearly.
        least = MEMBERS * (HOLD / contract.REPORT_INTERVAL - 1)
        self.assertGreaterEqual(seen['heartbeats'], least)
        self.assertGreater(seen['cpu_per_member'], 0)
        self.assertGreater(seen['memory_per_member'], 0)
        self.assertIn(f'seen up: {MEMBERS} of {MEMBERS}\n', done.stderr)
        self.assertEqual([], self.proven(GROUP))

    def test_an_interrupt_makes_all_leave(self) -> None:
        holding = self.holding()
        (child,) = _children(holding.pid)
        self.assert_within_cost(child)
        # A terminal sends it to all of them.
        for pid in (child, holding.pid):
            os.kill(pid, signal.SIGINT)
        self.wait_gone()
        process.wait_until(lambda: not holding.running, contract.START)
        self.assertFalse(process.lives(child))

    def assert_within_cost(self, child: int) -> None:
        """Check that a member takes no more than was asked for."""
        cost = self.api.driver.cost
        servers = 1 if cost.spread else len(self.api.driver.servers)
        for what, each in (('task', cost.threads), ('fd', cost.files)):
            found = len(list(pathlib.Path(f'/proc/{child}/{what}').iterdir()))
            self.measured(f'{what} of {MORE_MEMBERS}', found, unit='')
            self.assertLessEqual(
                found, MORE_MEMBERS * each * servers + limits.SPARE, what
            )


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started and that live."""
    text = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text()
    return [int(each) for each in text.split()]


class ZooKeeperTest(
    test_zk.ZooKeeperBackend, SimulateContract, contract.FunctionalTestCase
):
    def test_a_group_of_nova_must_be_forced(self) -> None:
        arguments = ['--members=2', '--hold=1', '--kill=0', '--group=compute']
        refused = self.simulate(*arguments)
        self.assertEqual(2, refused.returncode, refused.stderr)
        self.assertIn('--force', refused.stderr)
        self.assertEqual('', refused.stdout)
        forced = self.simulate(*arguments, '--force')
        self.assertEqual(0, forced.returncode, forced.stderr)

    def test_a_group_that_others_use_must_be_forced(self) -> None:
        self.running('host1', group='mine')
        refused = self.simulate('--members=2', '--group=mine')
        self.assertEqual(2, refused.returncode, refused.stderr)
        self.assertIn('It has host1', refused.stderr)
        self.assertEqual(['host1'], self.proven('mine'))

    def test_the_death_of_the_parent_makes_all_leave(self) -> None:
        holding = self.holding(processes=3)
        children = _children(holding.pid)
        self.assertEqual(3, len(children))
        holding.signal(signal.SIGKILL)
        self.wait_gone()
        process.wait_until(
            lambda: not any(map(process.lives, children)), contract.START
        )

    def test_who_is_frozen_is_falsely_down(self) -> None:
        members, frozen = 6, SESSION + 2 * test_zk.TICK + 0.5
        simulation = subprocess.Popen(
            self.argv(
                f'--members={members}',
                f'--hold={frozen + 1}',
                '--kill=0',
                '--processes=3',
                '--format=json',
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(simulation.kill)
        process.wait_until(
            lambda: len(self.proven(GROUP)) == members, contract.START
        )
        first = _children(simulation.pid)[0]
        os.kill(first, signal.SIGSTOP)
        time.sleep(frozen)
        os.kill(first, signal.SIGCONT)
        out, err = simulation.communicate(timeout=60)
        self.assertEqual(1, simulation.returncode, err)
        self.assertEqual(members / 3, json.loads(out)['false_downs'])
        self.assertIn('seen down although alive: simulated-', err)


class MemcachedTest(
    test_mc.MemcachedBackend, SimulateContract, contract.FunctionalTestCase
):
    def test_servers_that_are_away(self) -> None:
        self.lose_backend()
        refused = self.simulate('--members=2')
        self.assertEqual(2, refused.returncode, refused.stderr)
        self.assertIn('memcached', refused.stderr)
