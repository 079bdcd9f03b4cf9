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


"""What happens in a group, the contact with its backend included."""

from collections.abc import Callable, Mapping
import dataclasses
import time

from nova_servicegroup import api
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher


@dataclasses.dataclass(frozen=True)
class Begun:
    """The group was seen for the first time.

    :ivar at: when, in seconds since the epoch
    :ivar counts: how many are in each of inventory.STATES
    """

    at: float
    group: str
    counts: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Lost:
    """The group cannot be read.

    :ivar at: when that was seen, in seconds since the epoch
    :ivar age: seconds since the backend has confirmed it; None: never
    """

    at: float
    group: str
    reason: str
    age: float | None


@dataclasses.dataclass(frozen=True)
class Recovered:
    """The group can be read again.

    :ivar at: when that was seen, in seconds since the epoch
    :ivar after: seconds since the contact was lost
    """

    at: float
    group: str
    after: float


Event = Begun | Lost | Recovered | watcher.Transition


class Watch:
    """Watches one group, and the contact with its backend.

    :param clock: see watcher.Watcher
    :param wall: see watcher.Watcher
    """

    def __init__(
        self,
        servicegroup: api.API,
        group: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.group = group
        self._watcher = watcher.Watcher(
            servicegroup, group, clock=clock, wall=wall
        )
        self._clock = clock
        self._wall = wall
        #: Whether the group was ever seen.
        self.begun = False
        self._lost_at: float | None = None

    def look(self) -> list[Event]:
        """Look once; return what has happened. Never raises."""
        changes = self._watcher.look()
        return [*self._contact(), *self._begin(), *changes]

    @property
    def inventory(self) -> inventory.Inventory:
        """What was seen last."""
        seen = self._watcher.last
        assert seen is not None  # noqa: S101
        return seen

    @property
    def blind_for(self) -> float | None:
        """The seconds for which there has been no contact; None: there is."""
        if self._lost_at is None:
            return None
        return self._clock() - self._lost_at

    def _contact(self) -> list[Event]:
        error, blind_for = self.inventory.view.error, self.blind_for
        if (error is None) == (blind_for is None):
            return []
        if error is not None:
            self._lost_at = self._clock()
            age = self.inventory.view.age
            return [Lost(self._wall(), self.group, str(error), age)]
        self._lost_at = None
        return [Recovered(self._wall(), self.group, blind_for or 0.0)]

    def _begin(self) -> list[Event]:
        if self.begun or self.inventory.view.age is None:
            return []
        self.begun = True
        return [Begun(self._wall(), self.group, self.inventory.count())]
