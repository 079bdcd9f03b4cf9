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

"""A program on a terminal of its own, and all that it writes there."""

import codecs
from collections.abc import Sequence
import datetime
import fcntl
import json
import os
import pathlib
import pty
import signal
import struct
import subprocess
import termios
import threading
import time

from nova_servicegroup.tests.harness import process

COLUMNS = 110
ROWS = 24
_STOP = 10.0


class Recording:
    """Runs a program as a user at a terminal does, and records it.

    :param command: its command line
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._begun = time.monotonic()
        #: When, in seconds since the start, and what was written.
        self._written: list[tuple[float, str]] = []
        self._terminal, inside = pty.openpty()
        size = struct.pack('HHHH', ROWS, COLUMNS, 0, 0)
        fcntl.ioctl(inside, termios.TIOCSWINSZ, size)
        self._process = subprocess.Popen(
            command,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=_environment(),
            start_new_session=True,
        )
        os.close(inside)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def note(self, text: str) -> None:
        """Write a line of our own between those of the program."""
        now = datetime.datetime.now(datetime.timezone.utc)
        when = now.isoformat(timespec='milliseconds')
        self._write(f'\r\x1b[K\x1b[2m{when} {text}\x1b[0m\r\n')

    def wait_for(self, text: str, within: float) -> None:
        """Wait until the program has written something since the last note.

        :raises TimeoutError: when it does not, in so many seconds
        """
        what = f'it does not write {text!r}'
        process.wait_until(
            lambda: text in self._since_note(), within, 0.1, what
        )

    def end(self) -> None:
        """End the program as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP)
        finally:
            self._process.kill()
            self._reader.join(_STOP)

    def save(self, file: pathlib.Path) -> None:
        """Write an asciicast, which asciinema plays."""
        header = {'version': 2, 'width': COLUMNS, 'height': ROWS}
        lines: list[object] = [header]
        lines += [[round(at, 3), 'o', text] for at, text in self._written]
        file.write_text(''.join(f'{json.dumps(each)}\n' for each in lines))

    def _since_note(self) -> str:
        text = ''.join(text for _, text in self._written)
        return text.rpartition('\x1b[2m')[2]

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder('utf-8')('replace')
        while True:
            try:
                data = os.read(self._terminal, 65536)
            except OSError:  # Nobody writes any more.
                return
            self._write(decoder.decode(data))

    def _write(self, text: str) -> None:
        self._written.append((time.monotonic() - self._begun, text))


def _environment() -> dict[str, str]:
    """Return one in which the terminal alone says how wide it is."""
    left_out = ('COLUMNS', 'LINES', 'NO_COLOR')
    kept = {k: v for k, v in os.environ.items() if k not in left_out}
    return {**kept, 'TERM': 'xterm-256color'}
