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

"""Logs when the machine itself has stood still.

Run as a program, with the file to write as its argument, it sleeps for a
moment again and again. When it wakes too late, nothing else on the machine has
run on time either, and no bound of a test counts that time.
"""

import os
import pathlib
import sys
import time

#: Names the file, for the tests.
FILE = 'NOVA_SERVICEGROUP_STALLS'
#: Seconds between two looks at the clock, and by which one may be late.
_INTERVAL = 0.1
_LATE = 0.3


def stood_still(since: float) -> float:
    """Return for how many seconds the machine has stood still.

    :param since: a time of time.monotonic()
    :returns: 0.0 where no log is kept
    """
    name = os.environ.get(FILE)
    if not name:
        return 0.0
    lines = pathlib.Path(name).read_text().splitlines(keepends=True)
    times = (line.split() for line in lines if line.endswith('\n'))
    return sum(float(late) for at, late in times if float(at) > since)


def main() -> None:
    """Log stalls until killed."""
    with open(sys.argv[1], 'a', buffering=1) as file:
        due = time.monotonic()
        while True:
            due += _INTERVAL
            time.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            if now - due > _LATE:
                file.write(f'{now} {now - due:.3f}\n')
                due = now


if __name__ == '__main__':
    main()
