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

"""Shows how far a long command is."""

from collections.abc import Callable
import time
from typing import TextIO

_WIDTH = 30
#: Seconds between two lines on a pipe.
_INTERVAL = 10.0


class Progress:
    """A bar on a terminal; now and then a line on a pipe."""

    def __init__(
        self, out: TextIO, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._clock = clock
        self._bar = out.isatty()
        self._phase = ''
        self._due = 0.0
        self._shown = ''

    def show(self, phase: str, done: float, total: float) -> None:
        """Take note that so much of the total of a phase is done."""
        new, over = phase != self._phase, done >= total
        text = f'{phase}: {int(done)} of {int(total)}'
        if text == self._shown:
            return
        if self._bar:
            self._draw(text, done / total if total else 1.0, new)
        elif new or over or self._clock() >= self._due:
            self._due = self._clock() + _INTERVAL
            self._out.write(f'{text}\n')
        self._phase, self._shown = phase, text
        self._out.flush()

    def close(self) -> None:
        """End the line of the bar."""
        if self._bar and self._phase:
            self._out.write('\n')
            self._out.flush()
        self._phase = self._shown = ''

    def _draw(self, text: str, share: float, new: bool) -> None:
        if new and self._phase:
            self._out.write('\n')
        done = '#' * round(_WIDTH * min(1.0, share))
        self._out.write(f'\r[{done:.<{_WIDTH}}] {text}\033[K')
