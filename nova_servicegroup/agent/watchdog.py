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

"""The kernel's watchdog, and the lease that permits to feed it."""

from collections.abc import Callable
import errno
import fcntl
import math
import os
import struct
import threading
import time

from oslo_log import log as logging

from nova_servicegroup import exceptions
from nova_servicegroup.opts import agent as options

LOG = logging.getLogger(__name__)

#: The requests of linux/watchdog.h: _IOWR('W', 6, int) and _IOR('W', 7, int).
_SETTIMEOUT, _GETTIMEOUT = 0xC0045706, 0x80045707
_INT = struct.Struct('i')
#: The device, or what stands for it, does not know a request.
_UNKNOWN = (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL)
#: Seconds by which the two clocks may differ without a suspension.
_SUSPENDED = 0.5


def boottime() -> float:
    """Return the seconds since the boot, with those of suspensions."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Device:
    """A watchdog, which resets the host if it is not fed for timeout seconds.

    :param path: its special file
    :ivar timeout: seconds; its driver may set fewer
    """

    def __init__(self, path: str, timeout: int) -> None:
        self._path = path
        self.timeout = timeout
        self._file: int | None = None
        self._fails = False
        # A feed after the byte that disarms would undo that.
        self._writing = threading.Lock()

    def open(self) -> None:
        """Open it, which arms it, and set its timeout.

        :raises OSError: it cannot be opened
        :raises ConfigurationError: its timeout is longer than the option's; it
            is disarmed, if its driver permits that
        """
        self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            found = self._set_timeout(self._file)
        except OSError:
            self.disarm()
            raise
        if found is None:
            LOG.warning(
                'The watchdog %s tells no timeout. %s = %d is trusted.',
                self._path,
                options.WATCHDOG_TIMEOUT,
                self.timeout,
            )
        elif found > self.timeout:
            self.disarm()
            raise exceptions.ConfigurationError(
                options.WATCHDOG_TIMEOUT,
                self.timeout,
                f'at least the {found} s that the watchdog has',
            )
        else:
            self.timeout = found

    def _set_timeout(self, file: int) -> int | None:
        """Return the timeout that is in force, or None if it is unknown."""
        return _ask(file, _SETTIMEOUT, self.timeout) or _ask(
            file, _GETTIMEOUT, 0
        )

    def feed(self) -> None:
        """Put off the reset by another timeout. Raises nothing."""
        with self._writing:
            self._write(b'\0')

    def disarm(self) -> None:
        """Disarm it, unless its driver never permits that (nowayout)."""
        with self._writing:
            self._write(b'V')
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _write(self, data: bytes) -> None:
        if self._file is None:
            return
        try:
            os.write(self._file, data)
        except OSError as error:
            if not self._fails:
                LOG.error(
                    'The watchdog %s cannot be written to: %s. The host may '
                    'be reset.',
                    self._path,
                    error.strerror,
                )
            self._fails = True
        else:
            self._fails = False


def _ask(file: int, request: int, value: int) -> int | None:
    """Return the answer of a driver, or None if it has none."""
    try:
        answer = fcntl.ioctl(file, request, _INT.pack(value))
    except OSError as error:
        if error.errno in _UNKNOWN:
            return None
        raise
    found: int = _INT.unpack(answer)[0]
    return found


class Lease:
    """Permits to feed for some seconds after the last proof.

    A proof is a time by the monotonic clock: from before the request that the
    backend has answered. That clock stands still while the host is suspended,
    so none counts that is older than the end of a suspension.

    :param seconds: for which a proof permits to feed
    :param boot: a clock that also goes while the host is suspended
    """

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        boot: Callable[[], float] = boottime,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._boot = boot
        self._proof: float | None = None
        self._suspended = boot() - clock()
        self._resumed: float | None = None

    def note(self, proof: float | None) -> None:
        """Note a proof; an older one changes nothing."""
        if proof is not None and (self._proof is None or proof > self._proof):
            self._proof = proof

    def permits(self) -> bool:
        """Return whether the watchdog may be fed now."""
        return self.covers(self._proof)

    def until(self, proof: float | None) -> float:
        """Return until when a membership lasts that was proved then."""
        return -math.inf if proof is None else proof + self._seconds

    def covers_twice(self, moment: float) -> bool:
        """Return whether fewer seconds have passed than twice its own."""
        return self._clock() - moment < 2 * self._seconds

    def covers(self, proof: float | None) -> bool:
        """Return whether a proof would permit it."""
        now = self._clock()
        suspended = self._boot() - now
        if suspended - self._suspended > _SUSPENDED:
            self._resumed = now
        self._suspended = suspended
        if proof is None or (
            self._resumed is not None and proof <= self._resumed
        ):
            return False
        return now - proof < self._seconds
