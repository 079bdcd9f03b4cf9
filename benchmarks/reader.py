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


"""A process of Nova's that asks once a second which hosts are up.

Run as a program, it is that process. It reads the records from the database
and asks the servicegroup API about each, as the scheduler does.
"""

import argparse
import pathlib
import threading
import time
from typing import Any

from benchmarks import told

_INTERVAL = 1.0


def start(file: pathlib.Path, log: pathlib.Path, stock: bool) -> told.Program:
    """Start one; its only command is ``count``."""
    return told.Program(__name__, [str(file)], log, stock)


class _Reader:
    """Asks, and counts the verdicts since the last count."""

    def __init__(self) -> None:
        from nova import servicegroup

        self._api = servicegroup.API()
        self._lock = threading.Lock()
        self._new()
        self.driver = type(self._api._driver).__module__

    def _new(self) -> None:
        self._reads = self._verdicts = self._down = 0
        self._hosts: set[str] = set()

    def run(self) -> None:
        """Ask for ever."""
        while True:
            begun = time.monotonic()
            self._read()
            time.sleep(max(0.0, begun + _INTERVAL - time.monotonic()))

    def _read(self) -> None:
        from nova import context
        from nova import objects

        records = [
            each
            for each in objects.ServiceList.get_all(
                context.get_admin_context()
            )
            if each.topic == 'compute'
        ]
        down = [
            each.host for each in records if not self._api.service_is_up(each)
        ]
        with self._lock:
            self._reads += 1
            self._verdicts += len(records)
            self._down += len(down)
            self._hosts.update(down)

    def count(self) -> dict[str, Any]:
        """Return what was found since the last count."""
        with self._lock:
            found = {
                'driver': self.driver,
                'reads': self._reads,
                'verdicts': self._verdicts,
                'down': self._down,
                'hosts': len(self._hosts),
            }
            self._new()
        return found


def main() -> None:
    """Ask until told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument('file')
    told.become_nova(parser.parse_args().file)
    reader = _Reader()
    threading.Thread(target=reader.run, daemon=True).start()
    told.obey({'count': reader.count})


if __name__ == '__main__':
    main()
