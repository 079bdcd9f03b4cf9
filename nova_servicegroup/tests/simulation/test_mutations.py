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

"""The oracle notices when a rule is broken."""

import re
from typing import Any

from nova_servicegroup.tests import base
from nova_servicegroup.tests.simulation import mutations
from nova_servicegroup.tests.simulation import running

#: So many verdicts must be enough.
_VERDICTS = 1_000_000
#: A history that refutes the rules as they are shows nothing of a mutation.
_TRIES = 5
_REPLAY = re.compile(r'^replay: .* --seed (\d+) --histories 1$', re.MULTILINE)


class MutationTest(base.TestCase):
    def check(self, name: str) -> None:
        driver, seed = mutations.MUTATIONS[name].driver, 1
        for _ in range(_TRIES):
            seed = self.refute(driver, name, seed)
            if self.holds(driver, seed):
                return
            seed += 1
        self.fail(f'no history refutes {name} alone')

    def refute(self, driver: str, name: str, seed: int) -> int:
        """Return the seed of a history that refutes what is broken."""
        result = running.run(
            *('--driver', driver, '--mutate', name, '--no-shrink'),
            *('--seed', str(seed), '--verdicts', str(_VERDICTS)),
        )
        shown = result.stdout + result.stderr
        self.assertEqual(1, result.returncode, shown)
        found = _REPLAY.search(result.stdout)
        self.assertIsNotNone(found, shown)
        return int(found.group(1))  # type: ignore[union-attr]

    def holds(self, driver: str, seed: int) -> bool:
        """Tell whether a history refutes nothing while no rule is broken."""
        result = running.run(
            *('--driver', driver, '--no-shrink'),
            *('--seed', str(seed), '--histories', '1'),
        )
        self.assertIn(result.returncode, (0, 1), result.stdout + result.stderr)
        return result.returncode == 0


def _test(name: str) -> Any:
    return lambda self: self.check(name)


for _name in mutations.MUTATIONS:
    setattr(MutationTest, f'test_{_name}', _test(_name))
