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

"""When to read a group, how long to wait for it, and background reads."""

import abc
import dataclasses
import math
import random
import threading

from oslo_log import log as logging

from nova_servicegroup import exceptions
from nova_servicegroup import process

LOG = logging.getLogger(__name__)

#: Seconds after which a group counts as not asked about, and after which an
#: answer that an earlier question has asked for is too old.
IDLE = 5.0
#: Seconds between two reads in the background, at most: while there is doubt;
#: and without doubt, for _INTEREST seconds after the last question.
_PROBE = 2.0
_WATCH = 15.0
_INTEREST = 300.0
#: The brief wait is read_timeout divided by this.
_BRIEFLY = 8
#: Nova asks about many hosts in one pass. A read that began at most so many
#: seconds before a question counts as one that began with it.
_AT_ONCE = 0.05


@dataclasses.dataclass
class Patience:
    """The waits for one backend, whichever group a question is about.

    Nova asks about several groups at once: after a read of one of them has
    timed out, questions about the others wait only briefly.

    :ivar read_timeout: the longest wait, in seconds
    :ivar blind_wait: seconds to wait for a group while contact is lost; green
        threads run only during such a wait
    :ivar mute: when a read last timed out; None: not since the last answer
    """

    read_timeout: float
    blind_wait: float = 0.0
    mute: float | None = None

    def wait(self, failed: float | None, now: float) -> float:
        """Return the seconds that a question may wait.

        :param failed: when the last read of its group failed, if it did
        """
        if _is_recent(failed, now):
            return self.blind_wait
        if _is_recent(self.mute, now):
            return max(self.blind_wait, self.read_timeout / _BRIEFLY)
        return self.read_timeout


def _is_recent(moment: float | None, now: float) -> bool:
    return moment is not None and now - moment <= IDLE


@dataclasses.dataclass
class Pace:
    """When to read one group. Times, and seconds, of the observer's clock.

    :ivar due: when the membership becomes too old
    :ivar failed: when the last read failed, and why; None: it succeeded
    :ivar asked: when the group was last asked about
    :ivar hurried: when it was last read before it was due
    :ivar begun: when the last successful read began
    :ivar answered: when the last answer was asked for, at the earliest; None:
        there was none
    :ivar reading: held by the thread that reads
    """

    refresh_interval: float
    patience: Patience
    due: float = -math.inf
    failed: tuple[float, exceptions.BackendError] | None = None
    asked: float = -math.inf
    hurried: float = -math.inf
    begun: float = -math.inf
    answered: float | None = None
    # The lambda, so that a simulation can replace threading.Lock.
    reading: threading.Lock = dataclasses.field(
        default_factory=lambda: threading.Lock()
    )

    @property
    def error(self) -> exceptions.BackendError | None:
        """Why the last read failed, or None."""
        return self.failed and self.failed[1]

    def hurry(self, now: float) -> None:
        """Make a read due now, at most once in a refresh_interval."""
        if now < self.due and now - self.hurried >= self.refresh_interval:
            self.hurried = self.due = now

    def rest(self, now: float, until: float) -> None:
        """Set when the next read is due; sooner after a failure.

        :param until: until when members are up without evidence; in the past
            or infinite: none are
        """
        interval = self.refresh_interval
        if self.failed is not None:
            interval = min(interval, _PROBE)
        due = now + interval
        self.due = until if now < until < due else due

    def wait(self, now: float) -> float:
        """Return the seconds that a question may wait for the backend."""
        return self.patience.wait(self.failed and self.failed[0], now)

    def is_before(self, moment: float) -> bool:
        """Return whether the last successful read began before moment."""
        return self.begun < moment - _AT_ONCE

    def confirmed(self, begun: float) -> None:
        """Record a successful read.

        :param begun: when it began
        """
        self.begun = begun
        # It may be the answer to the question of a read that has failed.
        self.answered = begun if self.failed is None else begun - IDLE
        self.failed = self.patience.mute = None

    def lost(
        self, error: exceptions.BackendError, waited: float, now: float
    ) -> None:
        """Record a read that failed.

        :param waited: the seconds that it took
        """
        self.failed = now, error
        if waited >= self.patience.read_timeout / 2:
            self.patience.mute = now

    def pause(self, now: float, doubt: bool) -> float | None:
        """Return the seconds until the next read in the background, if any.

        :param doubt: whether any host may be up without evidence
        """
        interested = now - self.asked <= _INTEREST
        if doubt:
            longest = _PROBE if interested else 2 * _PROBE
        elif interested:
            longest = _WATCH
        else:
            return None
        return max(longest * random.uniform(0.5, 1.0), self.due - now)


class Watched(abc.ABC):
    """What a Watch reads in the background."""

    @abc.abstractmethod
    def read_if_due(self) -> None:
        """Read once, if that is due. Raises nothing."""

    @abc.abstractmethod
    def pause(self) -> float | None:
        """Return the seconds until the next read; None: no more reads."""


class Watch:
    """A thread that reads in the background, for as long as that is needed."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._running = self._stopped = False
        self._woken = threading.Event()

    def keep(self) -> None:
        """Start the thread, unless it runs or was stopped."""
        if self._running or self._stopped:
            return
        self._running = True
        try:
            process.start_thread(self._run, 'servicegroup-watch')
        except RuntimeError as error:
            # Questions read all the same, and the next one tries again.
            self._running = False
            LOG.debug('No thread to read in the background: %s', error)

    def wake(self) -> None:
        """Make the thread compute its pause again."""
        self._woken.set()

    def stop(self) -> None:
        """Make the thread end soon, and start none again."""
        self._stopped = True
        self._woken.set()

    def _run(self) -> None:
        try:
            while (
                pause := self._watched.pause()
            ) is not None and not self._stopped:
                if self._woken.wait(pause):
                    self._woken.clear()
                else:
                    self._watched.read_if_due()
        finally:
            self._running = False
