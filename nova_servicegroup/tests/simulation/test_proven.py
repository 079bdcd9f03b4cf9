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

"""What was once proven to break a promise does so no more."""

import json
from typing import Any

from nova_servicegroup.tests import base
from nova_servicegroup.tests.simulation import running
from nova_servicegroup.tests.simulation import scenarios


class ProvenTest(base.TestCase):
    _found: dict[str, Any] = {}

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        result = running.run('--proven', 'all')
        lines = [
            json.loads(line)
            for line in result.stdout.splitlines()
            if line.startswith('[')
        ]
        cls._found = dict(lines)

    def check(self, name: str) -> None:
        self.assertIsNone(self._found.get(name, 'it was not run'))


def _test(name: str) -> Any:
    return lambda self: self.check(name)


for _name in scenarios.SCENARIOS:
    setattr(ProvenTest, f'test_{_name}', _test(_name))
