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

"""Runs the simulation in a process of its own, for the tests."""

import os
import pathlib
import subprocess
import sys

_ROOT = pathlib.Path(__file__).parents[3]


def run(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the simulation; return what it prints, and how it ended."""
    return subprocess.run(
        [
            *(sys.executable, '-W', 'ignore', '-m'),
            *('nova_servicegroup.tests.simulation', *args),
        ],
        cwd=_ROOT,
        env={**os.environ, 'PYTHONHASHSEED': '0'},
        capture_output=True,
        text=True,
        check=False,
    )
