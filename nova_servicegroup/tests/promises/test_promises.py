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

"""No promise is refuted by many histories.

``NOVA_SERVICEGROUP_SEED`` is that of the first one, or ``random``; what was
run is in the output.
"""

import os
import random
import subprocess
import sys

from testtools import content

from nova_servicegroup.tests import base

#: So many verdicts are given for each driver.
_VERDICTS = 1_000_000
_LONG_VERDICTS = 34_000_000
_SEED = '200000'


class PromisesTest(base.TestCase):
    """A simulation in a process of its own, whose time is virtual."""

    def search(self, driver: str) -> None:
        seed = os.environ.get('NOVA_SERVICEGROUP_SEED', _SEED)
        if base.LONG or seed == 'random':
            seed = str(random.SystemRandom().randrange(10**9))
        done = subprocess.run(
            [
                sys.executable,
                '-m',
                'nova_servicegroup.tests.promises',
                f'--driver={driver}',
                f'--seed={seed}',
                f'--verdicts={_LONG_VERDICTS if base.LONG else _VERDICTS}',
            ],
            # Sets have the same order each time.
            env={**os.environ, 'PYTHONHASHSEED': '0'},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addDetail('output', content.text_content(done.stdout))
        self.assertEqual(0, done.returncode, done.stdout)


class MutationTest(base.TestCase):
    """The oracle notices when a rule is broken."""

    def run_history(self, seed: int, *more: str) -> int:
        """Run one history; return whether it refutes a promise."""
        done = subprocess.run(
            [
                sys.executable,
                '-m',
                'nova_servicegroup.tests.promises',
                '--driver=zk',
                f'--seed={seed}',
                '--raw',
                *more,
            ],
            env={**os.environ, 'PYTHONHASHSEED': '0'},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addDetail('output', content.text_content(done.stdout))
        return done.returncode

    def check(self, name: str, seed: int) -> None:
        self.assertEqual(0, self.run_history(seed))
        self.assertEqual(1, self.run_history(seed, f'--mutate={name}'))

    def test_no_fault_is_shared(self) -> None:
        self.check('no_fault_is_shared', 3548)

    def test_a_shared_fault_ends_for_all_at_once(self) -> None:
        self.check('a_shared_fault_ends_for_all_at_once', 500094)

    def test_nobody_is_believed(self) -> None:
        self.check('nobody_is_believed', 1591)

    def test_nobody_is_forgotten(self) -> None:
        self.check('nobody_is_forgotten', 1591)

    def test_no_domain_is_lost(self) -> None:
        self.check('no_domain_is_lost', 5364)

    @base.only_long
    def test_the_rest_of_a_domain_is_not_awaited(self) -> None:
        self.check('the_rest_of_a_domain_is_not_awaited', 5748)

    def test_no_agent_is_believed(self) -> None:
        self.check('no_agent_is_believed', 200003)

    def test_agents_are_believed_for_ever(self) -> None:
        self.check('agents_are_believed_for_ever', 400021)

    def test_everybody_passes_over_them(self) -> None:
        self.check('everybody_passes_over_them', 600009)


class ZooKeeperTest(PromisesTest):
    def test_no_history_refutes_a_promise(self) -> None:
        self.search('zk')


class EtcdTest(PromisesTest):
    def test_no_history_refutes_a_promise(self) -> None:
        self.search('etcd')


class MemcachedTest(PromisesTest):
    def test_no_history_refutes_a_promise(self) -> None:
        self.search('mc')


class DatabaseTest(PromisesTest):
    def test_no_history_refutes_a_promise(self) -> None:
        self.search('db')


class RedisTest(PromisesTest):
    def test_no_history_refutes_a_promise(self) -> None:
        self.search('redis')
