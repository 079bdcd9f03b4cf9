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


"""nova-servicegroup, as an operator runs it."""

from collections.abc import Callable
import json
import pathlib
import subprocess
import sys
import threading
import time
from typing import Any

from nova_servicegroup.tests.harness import process

PROGRAM = pathlib.Path(sys.executable).with_name('nova-servicegroup')
_TIMEOUT = 60.0


def run(
    config: pathlib.Path, *words: str
) -> 'subprocess.CompletedProcess[str]':
    """Run a command to its end."""
    return run_program(PROGRAM.name, '--config-file', config, *words)


def run_program(
    name: str, *words: 'str | pathlib.Path'
) -> 'subprocess.CompletedProcess[str]':
    """Run one of our programs to its end."""
    return subprocess.run(
        [PROGRAM.with_name(name), *words],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
    )


class Watch:
    """A ``watch --json`` whose lines are read as they come."""

    def __init__(self, config: pathlib.Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [PROGRAM, '--config-file', config, 'watch', '--json', *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._seen: list[tuple[float, dict[str, Any]]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self, within: float, event: str, **values: Any) -> float:
        """Wait for an event with such values; return when it was read.

        :returns: a moment of time.monotonic()
        :raises TimeoutError: it does not come
        """
        found: list[float] = []

        def is_there() -> bool:
            found[:] = [
                at
                for at, each in list(self._seen)
                if {'event': event, **values}.items() <= each.items()
            ]
            return bool(found)

        what = f'no {event} {values} in {self.events()}'
        process.wait_until(is_there, within, 0.01, what)
        return found[0]

    def events(self) -> list[dict[str, Any]]:
        """Return what has happened so far."""
        return [each for _, each in list(self._seen)]

    def end(self, how: Callable[[], None]) -> tuple[int, float, str]:
        """Have it end; return its status, how long it took, its errors."""
        begun = time.monotonic()
        how()
        status = self.process.wait(_TIMEOUT)
        taken = time.monotonic() - begun
        assert self.process.stderr is not None
        return status, taken, self.process.stderr.read()

    def close(self) -> None:
        """End it in any case."""
        self.process.kill()
        self.process.wait()
        self._reader.join(_TIMEOUT)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._seen.append((time.monotonic(), json.loads(line)))
