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

"""A wall clock that can be stepped."""

import pathlib
import subprocess
import sys

from nova_servicegroup.tests.harness import server

# libfaketime 0.9.10 makes clock_nanosleep, with which Python sleeps, fail.
_SITECUSTOMIZE = """
import select
import time
time.sleep = lambda seconds: select.select([], [], [], seconds)
"""


class Clock:
    """The wall clock of processes that run in its environment."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._file = directory / 'clock'
        self.set('+0')
        (directory / 'sitecustomize.py').write_text(_SITECUSTOMIZE)
        self.env = {
            'PYTHONPATH': f'{directory}:{pathlib.Path(__file__).parents[3]}',
            'LD_PRELOAD': str(_library()),
            'FAKETIME_TIMESTAMP_FILE': str(self._file),
            'FAKETIME_NO_CACHE': '1',
            'FAKETIME_DONT_FAKE_MONOTONIC': '1',
        }

    def set(self, offset: str) -> None:
        """Step the clock to an offset from the true time, as ``+1h``."""
        new = self._file.with_suffix('.new')
        new.write_text(f'{offset}\n')
        new.replace(self._file)

    def read(self) -> float:
        """Return what a process reads off this clock."""
        code = 'import time; print(time.time())'
        return float(
            subprocess.run(
                [sys.executable, '-c', code],
                env=self.env,
                check=True,
                capture_output=True,
            ).stdout
        )


def _library() -> pathlib.Path:
    found = sorted(pathlib.Path('/usr/lib').glob('*/faketime/*MT.so.1'))
    if not found:
        raise server.MissingProgram('libfaketimeMT.so.1', 'libfaketime')
    return found[0]
