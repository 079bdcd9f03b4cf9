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

"""Lines that tell what goes on and for how long."""

from collections.abc import Iterator
import contextlib
import pathlib
import sys
import threading
import time

_TICK = 15.0


class StepFailed(RuntimeError):
    """A step failed; ``log`` is the file to read."""

    def __init__(self, what: str, log: pathlib.Path | None = None) -> None:
        super().__init__(what)
        self.log = log


class Progress:
    """Prints steps with the seconds since the start."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._begun = time.monotonic()

    def log(self, text: str) -> None:
        """Print one line."""
        if not self.quiet:
            seconds = time.monotonic() - self._begun
            print(f'[{seconds:6.1f} s] {text}', file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Print a line before and after, and now and then meanwhile."""
        self.log(f'{text} ...')
        begun = time.monotonic()
        over = threading.Event()
        threading.Thread(
            target=self._tick, args=(text, begun, over), daemon=True
        ).start()
        try:
            yield
        finally:
            over.set()
        self.log(f'{text}: done in {time.monotonic() - begun:.1f} s')

    def _tick(self, text: str, begun: float, over: threading.Event) -> None:
        while not over.wait(_TICK):
            self.log(f'{text}: {time.monotonic() - begun:.0f} s so far')
