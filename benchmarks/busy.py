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

"""Processes that keep all cores busy."""

from collections.abc import Iterator
import contextlib
import os
import subprocess

LOOPS = 2 * (os.cpu_count() or 1)
_SLACK = 60.0


@contextlib.contextmanager
def loops(seconds: float) -> Iterator[None]:
    """Keep all cores busy; each loop has the share of one server."""
    # timeout ends the loops if this process dies.
    loop = ['timeout', str(seconds + _SLACK), 'sha256sum', '/dev/zero']
    with contextlib.ExitStack() as running:
        for _ in range(LOOPS):
            each = subprocess.Popen(loop, start_new_session=True)
            running.enter_context(each)
            running.callback(each.terminate)
        yield
