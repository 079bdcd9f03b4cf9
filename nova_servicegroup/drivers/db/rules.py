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


"""What the options say of the ways of a heartbeat. Pure, like these."""

import dataclasses

from nova_servicegroup.drivers.db import messages

#: The shares of an interval for an answer, where Nova may have to write, and
#: for each of the two calls by which it does; and the seconds at least.
_WAIT = 0.4
_SAVE = 0.2
_LEAST = 1.0
#: A record shows whole seconds, and a timer is never exact (seconds).
_INEXACT = 1.5
#: No longer than this share of down_time is anything left without an answer:
#: where a service was paused, with all its clocks, collectors take what it
#: sends for too old, and only an answer tells it.
_SILENT_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class Rules:
    """What the options say, in seconds.

    :ivar interval: between two heartbeats
    :ivar down_time: without a heartbeat after which a service is down
    """

    interval: float
    down_time: float

    @property
    def patience(self) -> float:
        """The time after which another late heartbeat would be too late.

        There may be one heartbeat more, and time for Nova to write it.
        """
        return max(self.down_time / 2, self.down_time - 2 * self.interval)

    @property
    def put_off(self) -> float:
        """The time for which the next heartbeat is left out, if it may be.

        Who leaves one out has half of down_time left to be heard.
        """
        return self.interval if 4 * self.interval <= self.down_time else 0.0

    @property
    def wait(self) -> float:
        """The time for an answer where Nova may have to write."""
        return max(_LEAST, _WAIT * self.interval)

    @property
    def latest(self) -> float:
        """The time after which the next heartbeat would be too late.

        One before may be lost: the next asks an interval later, waits in vain,
        and Nova still writes it in time.
        """
        save = 2 * max(_LEAST, _SAVE * self.interval)
        takes = self.interval + self.wait + save + _INEXACT
        return self.down_time - takes

    @property
    def silence(self) -> float:
        """The time after an answered heartbeat in which none asks; or 0.

        So all of these may be lost: the next one asks, and so does another,
        before Nova has to write.
        """
        if not self.put_off:
            return 0.0
        most = min(_SILENT_SHARE * self.down_time, messages.MOST_SILENT)
        return min(self.patience - self.interval, most)
