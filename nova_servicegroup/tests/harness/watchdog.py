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

"""A host of a few processes, and what stands for its hardware watchdog.

As with a real device, opening it arms it, and the byte V before it is closed
disarms it. If it is not fed, it kills every process of the host.
"""

import argparse
import contextlib
import os
import pathlib
import select
import signal
import time

from nova_servicegroup.tests.harness import agent
from nova_servicegroup.tests.harness import process

#: Seconds between two looks at the device, and between two stamps.
_LOOK = 0.01
_STAMP = 0.02


def now() -> float:
    """Return the seconds since the boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Host:
    """The agent of a host, a process that stamps, and the watchdog.

    :param text: the configuration of the agent, in which DEVICE and HOST stand
        for the path of the device and the name of the host
    """

    def __init__(self, directory: pathlib.Path, name: str, text: str) -> None:
        directory.mkdir()
        self.name = name
        fifo = directory / 'device'
        os.mkfifo(fifo)
        config = directory / 'nova.conf'
        config.write_text(
            text.replace('DEVICE', str(fifo)).replace('HOST', name)
        )
        self.agent = agent.Agent(directory / 'agent', config)
        self._stamps = directory / 'stamps'
        self.worker = process.Program(
            directory / 'worker', __name__, f'--stamps={self._stamps}'
        )
        timeout = text.partition('watchdog_timeout = ')[2].split()[0]
        self.hardware = process.Program(
            directory / 'hardware',
            __name__,
            f'--device={fifo}',
            f'--timeout={timeout}',
            f'--host={directory}',
        )
        self._fired = directory / 'fired'
        self._armed = directory / 'armed'

    def start(self) -> None:
        """Start all of it."""
        for each in (self.hardware, self.worker, self.agent):
            each.start()

    def kill(self) -> None:
        """End all of it."""
        for each in (self.hardware, self.worker, self.agent):
            each.kill()

    def freeze(self) -> None:
        """Have every process stand still; the hardware goes on."""
        for each in (self.worker, self.agent):
            each.freeze()

    def thaw(self) -> None:
        """Have them go on, if they live."""
        for each in (self.worker, self.agent):
            each.thaw()

    @property
    def is_armed(self) -> bool:
        """Whether the watchdog is armed."""
        return self._armed.exists()

    @property
    def fired(self) -> float | None:
        """When the watchdog has reset the host; see now."""
        if not self._fired.exists():
            return None
        return float(self._fired.read_text() or 'nan')

    def last_stamp(self) -> float:
        """Return when the host has last done something."""
        return max(map(float, self._stamps.read_text().split()))


def _stamp(path: pathlib.Path) -> None:
    with path.open('a', buffering=1) as file:
        while True:
            file.write(f'{now():.3f}\n')
            time.sleep(_STAMP)


class _Hardware:
    """Serves a FIFO as a watchdog."""

    def __init__(
        self, device: pathlib.Path, timeout: float, host: pathlib.Path
    ) -> None:
        self._file = os.open(device, os.O_RDONLY | os.O_NONBLOCK)
        self._timeout = timeout
        self._host = host
        self._until: float | None = None
        self._magic = self._was_open = False

    def run(self) -> None:
        """Serve it until it fires."""
        while self._until is None or now() < self._until:
            self._look()
            select.select([], [], [], _LOOK)
        for name in ('worker', 'agent'):
            process.Process([], self._host / name).kill()
        (self._host / 'fired').write_text(str(now()))

    def _look(self) -> None:
        try:
            data = os.read(self._file, 4096)
        except BlockingIOError:
            # It is open, and nothing is written.
            if not self._was_open:
                self._feed(b'')
            self._was_open = True
            return
        if data:
            self._feed(data)
            self._was_open = True
        elif self._was_open:
            self._close()

    def _feed(self, data: bytes) -> None:
        self._magic = b'V' in data
        self._until = now() + self._timeout
        (self._host / 'armed').touch()

    def _close(self) -> None:
        self._was_open = False
        if self._magic:
            self._until = None
            with contextlib.suppress(FileNotFoundError):
                (self._host / 'armed').unlink()


def main() -> None:
    """Be the hardware, or the process that stamps."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--stamps', type=pathlib.Path)
    parser.add_argument('--device', type=pathlib.Path)
    parser.add_argument('--timeout', type=float)
    parser.add_argument('--host', type=pathlib.Path)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if args.stamps:
        _stamp(args.stamps)
    _Hardware(args.device, args.timeout, args.host).run()


if __name__ == '__main__':
    main()
