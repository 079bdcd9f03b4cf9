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


"""Timing rules of the heartbeats of a service. Pure, like states."""

import dataclasses

from nova_servicegroup.drivers.db import messages

#: The longest share of an interval to wait for an answer; that when Nova may
#: have to write; that for each of its two calls; and the least seconds.
_LONGEST = 0.7
_WAIT = 0.4
_SAVE = 0.2
_LEAST = 1.0
#: Seconds of inaccuracy: a record holds whole seconds and timers are late.
_INEXACT = 1.5
#: The longest share of down_time without asking for an answer: collectors drop
#: as too old what a service sends after it was paused with all its clocks, and
#: only an answer shows that.
_SILENT_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class Timing:
    """The timing of one service's heartbeats, in seconds.

    :ivar interval: the time between two heartbeats
    :ivar down_time: the time without a heartbeat after which it is down
    """

    interval: float
    down_time: float

    @property
    def save_after(self) -> float:
        """The time without an answer after which Nova may write.

        It leaves one more heartbeat, and time for Nova to write it.
        """
        late = min(self.down_time - 2 * self.interval, self.latest)
        return max(self.down_time / 2, late)

    @property
    def put_off(self) -> float:
        """The time by which to put off the next heartbeat, or 0 if never.

        A service that leaves one out has half of down_time left.
        """
        return self.interval if 4 * self.interval <= self.down_time else 0.0

    @property
    def longest(self) -> float:
        """The longest time to wait for an answer, or to send a message."""
        return max(_LEAST, _LONGEST * self.interval)

    def timeout(self, late: int, chance: float) -> float:
        """Return the time to wait for an answer while Nova does not write.

        It is random: with equal waits, an overloaded collector would read each
        message when its wait is nearly over, and answer none in time. Services
        whose last heartbeats were late wait longer, to be answered first.

        :param late: the number of unanswered heartbeats in a row
        :param chance: a random number from 0 to 1
        """
        least = min(0.2 + 0.1 * late, 0.6) * self.interval
        return max(_LEAST, least + chance * (self.longest - least))

    @property
    def save_timeout(self) -> float:
        """The time to wait for an answer when Nova may have to write."""
        return max(_LEAST, _WAIT * self.interval)

    @property
    def latest(self) -> float:
        """The longest time from one write of Nova's to when the next is due.

        The next heartbeat begins up to an interval after that, waits in vain
        for an answer, and Nova still writes it in time.
        """
        save = 2 * max(_LEAST, _SAVE * self.interval)
        takes = self.interval + self.save_timeout + save + _INEXACT
        return self.down_time - takes

    @property
    def silence(self) -> float:
        """The time after an answer in which heartbeats ask for none, or 0.

        All of them may be lost: two more ask for an answer before Nova has to
        write.
        """
        if not self.put_off:
            return 0.0
        most = min(_SILENT_SHARE * self.down_time, messages.MOST_SILENT)
        return min(self.save_after - self.interval, most)
