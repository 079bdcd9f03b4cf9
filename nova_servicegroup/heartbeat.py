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

"""What a Reporter needs: whom to renew, when that is due, the outcomes."""

import abc
import dataclasses
import math


class Renewable(abc.ABC):
    """A membership that heartbeats renew, as its Reporter calls it."""

    #: From before the request by which the backend has confirmed it last, by
    #: time.monotonic; None: it has not, or that is not known.
    proved_at: float | None = None

    @abc.abstractmethod
    def beat(self) -> float | None:
        """Renew and verify the membership, in bounded time.

        :returns: seconds by which to postpone the next heartbeat, if any
        :raises ServiceGroupError: it failed
        """

    def leave(self) -> None:  # noqa: B027
        """End the membership when the service stops, in bounded time.

        :raises ServiceGroupError: it failed; the membership will expire
        """

    def is_urgent(self) -> bool:
        """Return whether the next heartbeat must run before it is due.

        Asks no server.
        """
        return False


class Schedule:
    """Says when the next heartbeat is due. The first one is due at once."""

    def __init__(self) -> None:
        self._interval = 0.0
        self._due = -math.inf

    def set_interval(self, interval: float, tick: float) -> None:
        """Set the seconds between two heartbeats, and between two ticks."""
        # A timer is never exact: what is nearly due runs.
        self._interval = interval - tick / 2

    def is_due(self, now: float) -> bool:
        """Return whether a heartbeat is due."""
        return now >= self._due

    def begin(self, now: float) -> None:
        """Note that a heartbeat begins."""
        self._due = now + self._interval

    def postpone(self, seconds: float) -> None:
        """Put off the next heartbeat by some more seconds."""
        self._due += seconds


@dataclasses.dataclass
class Counts:
    """The outcomes of the heartbeats of one member.

    :ivar beats: how many were run
    :ivar failures: how many of them failed
    :ivar lost: how often contact was lost
    :ivar recovered: how often it was recovered
    :ivar last_success: when the last heartbeat succeeded, in seconds since the
        epoch; None: none has
    """

    beats: int = 0
    failures: int = 0
    lost: int = 0
    recovered: int = 0
    last_success: float | None = None
