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

"""When to read, how long to wait, and reading in the background."""

from collections.abc import Callable
import dataclasses
import math
import random
import threading

from oslo_log import log as logging

from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

#: Seconds. Nobody has asked for long if nobody has for so many; and so old may
#: an answer be that one question has asked for and the next one fetches.
IDLE = 5.0
#: Seconds between two reads in the background, at most: while somebody is up
#: without evidence, and else, for so long after the last question.
_PROBE = 2.0
_WATCH = 15.0
_INTEREST = 300.0
#: The part of the wait that is brief.
_BRIEFLY = 8
#: Nova asks about many hosts in one pass. For so many seconds after a read
#: began, it is taken for one that begins with the question.
_AT_ONCE = 0.05


@dataclasses.dataclass
class Patience:
    """For how long to wait for one backend, whichever group is read.

    Nova asks about several groups at once: what one of them has waited for in
    vain, the others await only briefly.

    :ivar read_timeout: the seconds to wait, at most
    :ivar blind_wait: the seconds to wait for a group while contact is lost;
        where threads are green, it is only then that others run
    :ivar mute: when the whole time was last waited in vain; None: not since
        the last answer
    """

    read_timeout: float
    blind_wait: float = 0.0
    mute: float | None = None

    def wait(self, failed: float | None, now: float) -> float:
        """Return the seconds that a question may wait.

        :param failed: when the last read of its group has failed, if it has
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
    """When to read. In seconds, or times.

    :ivar due: when the membership is too old
    :ivar failed: when the last read has failed, and why; None: it has not
    :ivar asked: when somebody last asked
    :ivar hurried: when it was last read before it was due
    :ivar begun: when the last read that succeeded began
    :ivar reading: held by who reads
    """

    refresh_interval: float
    patience: Patience
    due: float = -math.inf
    failed: tuple[float, exceptions.BackendError] | None = None
    asked: float = -math.inf
    hurried: float = -math.inf
    begun: float = -math.inf
    reading: threading.Lock = dataclasses.field(
        default_factory=lambda: threading.Lock()
    )

    @property
    def error(self) -> exceptions.BackendError | None:
        """Why the last read has failed; None: it has not."""
        return self.failed and self.failed[1]

    def hurry(self, now: float) -> None:
        """Read now, unless another one has hurried just before."""
        if now < self.due and now - self.hurried >= self.refresh_interval:
            self.hurried = self.due = now

    def rest(self, now: float, until: float) -> None:
        """Read no more for a while. What has failed is tried sooner.

        :param until: when members are up without evidence no more; in the
            past: nobody is
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
        """Tell whether the last read says nothing of a moment."""
        return self.begun < moment - _AT_ONCE

    def confirmed(self, begun: float) -> None:
        """Take note that there was an answer.

        :param begun: when the read began
        """
        self.begun = begun
        self.failed = self.patience.mute = None

    def lost(
        self, error: exceptions.BackendError, waited: float, now: float
    ) -> None:
        """Take note that there was none.

        :param waited: the seconds that it was awaited
        """
        self.failed = now, error
        if waited >= self.patience.read_timeout / 2:
            self.patience.mute = now

    def pause(self, now: float, doubt: bool) -> float | None:
        """Return the seconds until a read in the background; None: none.

        :param doubt: whether somebody is up without evidence
        """
        interested = now - self.asked <= _INTEREST
        if doubt:
            longest = _PROBE if interested else 2 * _PROBE
        elif interested:
            longest = _WATCH
        else:
            return None
        return max(longest * random.uniform(0.5, 1.0), self.due - now)


class Watch:
    """Reads in the background, for as long as there is reason to.

    :param read: reads once
    :param pause: returns the seconds until then; None: no more
    """

    def __init__(
        self, read: Callable[[], None], pause: Callable[[], float | None]
    ) -> None:
        self._read = read
        self._pause = pause
        self._running = self._stopped = False
        self._woken = threading.Event()

    def keep(self) -> None:
        """See to it that a thread does so."""
        if self._running or self._stopped:
            return
        self._running = True
        try:
            threading.Thread(
                target=self._run, daemon=True, name='servicegroup-watch'
            ).start()
        except RuntimeError as error:
            # Questions read all the same, and the next one tries again.
            self._running = False
            LOG.debug('No thread to read in the background: %s', error)

    def wake(self) -> None:
        """Have it find out anew how long to pause."""
        self._woken.set()

    def stop(self) -> None:
        """End it soon, for good."""
        self._stopped = True
        self._woken.set()

    def _run(self) -> None:
        try:
            while (pause := self._pause()) is not None and not self._stopped:
                if self._woken.wait(pause):
                    self._woken.clear()
                else:
                    self._read()
        finally:
            self._running = False
