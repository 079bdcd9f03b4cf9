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
import contextlib
import errno
import fcntl
import math
import os
import stat
import struct
import threading
import time

from oslo_log import log as logging

from nova_servicegroup import exceptions
from nova_servicegroup.opts import agent as options
from nova_servicegroup import sleep

LOG = logging.getLogger(__name__)

#: The requests of linux/watchdog.h: _IOR('W', 0, struct watchdog_info),
#: _IOWR('W', 6, int) and _IOR('W', 7, int).
_GETSUPPORT, _SETTIMEOUT, _GETTIMEOUT = 0x80285700, 0xC0045706, 0x80045707
_INT, _INFO = struct.Struct('i'), struct.Struct('II32s')
#: The device, or what stands for it, does not know a request.
_UNKNOWN = (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL)
#: What a driver says of itself: closing it without the byte V does not disarm
#: it; it only warns.
_MAGICCLOSE, _ALARMONLY = 0x0100, 0x0400
_FEED, _DISARM = b'\0', b'V'
#: Seconds by which the two clocks may differ without a suspension.
_SUSPENDED = 0.5


class Device:
    """A watchdog, which resets the host if it is not fed for timeout seconds.

    :param path: its special file
    :ivar timeout: seconds; its driver may set fewer
    """

    def __init__(self, path: str, timeout: int) -> None:
        self._path = path
        self.timeout = timeout
        self._file: int | None = None
        self._counted_on = False
        # Since when it cannot be opened, or written to.
        self._failed_at: float | None = None
        # A feed after the byte that disarms would undo that.
        self._writing = threading.Lock()

    def open(self, claimed: bool) -> bool:
        """Arm it, with its timeout; return whether it is armed.

        :param claimed: whether others count on the reset by what a predecessor
            has armed: then an error leaves it armed
        :raises ConfigurationError: another program has it open; or it does not
            reset the host as the options say, and is disarmed, if its driver
            permits that
        """
        self._counted_on = self._counted_on or claimed
        try:
            self._arm()
        except OSError as error:
            if error.errno == errno.EBUSY:
                # What that has armed may reset the host later than this would.
                raise self._refused(
                    'a watchdog that no other program has open. Restart the '
                    'agent when none has'
                ) from error
            if self._failed_at is None:
                LOG.error(
                    '%s cannot be opened: %s. It will be tried again.',
                    options.WATCHDOG,
                    error.strerror,
                )
                self._failed_at = time.monotonic()
            return False
        return True

    def _arm(self) -> None:
        """Arm it: some drivers do so when they are opened, others when fed."""
        file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._check(file)
            self.timeout = self._set_timeout(file)
            os.write(file, _FEED)
        except (OSError, exceptions.ConfigurationError):
            if not self._counted_on:
                with contextlib.suppress(OSError):
                    os.write(file, _DISARM)
            os.close(file)
            raise
        self._failed_at = None
        self._file = file

    def _check(self, file: int) -> None:
        """Check that it is a watchdog, and not disarmed when the agent dies.

        A FIFO, which another program reads, has no driver that tells anything.
        """
        mode = os.fstat(file).st_mode
        if stat.S_ISFIFO(mode):
            return
        info = _ask(file, _GETSUPPORT, bytes(_INFO.size))
        if not stat.S_ISCHR(mode) or info is None:
            raise self._refused('the path of a watchdog')
        can, _, _ = _INFO.unpack(info)
        # One driver knows V and says nothing of itself: ipmi_watchdog.
        if can & _ALARMONLY or (can and not can & _MAGICCLOSE):
            raise self._refused(
                'a watchdog that resets the host, also after its program has '
                'died (WDIOF_MAGICCLOSE, and not WDIOF_ALARMONLY)'
            )

    def _refused(self, accepted: str) -> exceptions.ConfigurationError:
        return exceptions.ConfigurationError(
            options.WATCHDOG, self._path, accepted
        )

    def _set_timeout(self, file: int) -> int:
        """Return the timeout that is in force."""
        answer = _ask(file, _SETTIMEOUT, _INT.pack(self.timeout)) or _ask(
            file, _GETTIMEOUT, _INT.pack(0)
        )
        if answer is None:
            LOG.warning(
                'The watchdog %s tells no timeout. %s = %d is trusted.',
                self._path,
                options.WATCHDOG_TIMEOUT,
                self.timeout,
            )
            return self.timeout
        found: int = _INT.unpack(answer)[0]
        if found > self.timeout:
            raise exceptions.ConfigurationError(
                options.WATCHDOG_TIMEOUT,
                self.timeout,
                f'at least the {found} s that the watchdog has',
            )
        return found

    def feed(self) -> None:
        """Put off the reset by another timeout. Raises nothing."""
        with self._writing:
            self._write(_FEED)

    @property
    def is_broken(self) -> bool:
        """Whether it could not be written to for longer than its timeout.

        It has not reset the host meanwhile, so it never may.
        """
        failed_at = self._failed_at
        return (
            self._file is not None
            and failed_at is not None
            and time.monotonic() - failed_at > self.timeout
        )

    def disarm(self) -> bool:
        """Disarm it; return whether its driver has taken that.

        With nowayout, it has no effect.
        """
        with self._writing:
            done = self._write(_DISARM)
            self._close()
            return done

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, data: bytes) -> bool:
        if self._file is None:
            return False
        try:
            os.write(self._file, data)
        except OSError as error:
            if self._failed_at is None:
                LOG.error(
                    'The watchdog %s cannot be written to: %s.',
                    self._path,
                    error.strerror,
                )
                self._failed_at = time.monotonic()
            return False
        self._failed_at = None
        return True


def _ask(file: int, request: int, argument: bytes) -> bytes | None:
    """Return the answer of a driver, or None if it has none."""
    try:
        return fcntl.ioctl(file, request, argument)
    except OSError as error:
        if error.errno in _UNKNOWN:
            return None
        raise


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
        boot: Callable[[], float] = sleep.boottime,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep.Sleep((clock, boot), _SUSPENDED)
        self._proof: float | None = None
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
        slept = self._sleep.was_noticed()
        now = self._clock()
        if slept:
            self._resumed = now
        if proof is None or (
            self._resumed is not None and proof <= self._resumed
        ):
            return False
        return now - proof < self._seconds
