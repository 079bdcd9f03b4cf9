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

"""Members that renew, and the backends that have one for each host."""

import abc
from collections.abc import Callable
from collections.abc import Sequence

from nova_servicegroup.tests.promises import kernel
from nova_servicegroup.tests.promises import world

#: Seconds between two renewals while they fail.
_RETRY = 0.5


class Member(abc.ABC):
    """Renews one member by the rules of its driver.

    :ivar interval: seconds between two renewals
    :ivar working: whether its process runs
    :ivar mark: what it says of itself; None: nothing
    """

    interval: float
    working = False
    mark: str | None = None

    def say(self, mark: str | None) -> None:
        """Say something else of itself, at once if it runs."""
        self.mark = mark
        if self.working:
            kernel.current().spawn(self._beat)

    def run(self) -> None:
        """Renew again and again, as the service's timer does."""
        while True:
            if self.working:
                kernel.sleep(self.interval if self._beat() else _RETRY)
            else:
                kernel.sleep(0.1)

    def go_on(self) -> None:
        """Go on after having stood still."""
        self.working = True

    def stop(self, cleanly: bool) -> None:
        """End the process, or have it stand still."""
        self.working = False
        if cleanly:
            self._leave()

    @abc.abstractmethod
    def start(self) -> None:
        """Start a new process; what the old one had may still be there."""

    @abc.abstractmethod
    def ending(self) -> Callable[[], bool]:
        """See world.Backend."""

    @abc.abstractmethod
    def _beat(self) -> bool:
        """Renew; tell whether that has succeeded."""

    @abc.abstractmethod
    def _leave(self) -> None:
        """Leave, as a service that is stopped."""


class Backend(world.Backend):
    """Servers, and a member for each host."""

    _members: Sequence[Member]

    def start(self, host: int) -> None:
        """See world.Backend."""
        self._members[host].start()

    def go_on(self, host: int) -> None:
        """See world.Backend."""
        self._members[host].go_on()

    def ending(self, host: int) -> Callable[[], bool]:
        """See world.Backend."""
        return self._members[host].ending()

    def say(self, host: int, mark: str | None) -> None:
        """See world.Backend."""
        self._members[host].say(mark)

    def stop(self, host: int, cleanly: bool) -> None:
        """See world.Backend."""
        self._members[host].stop(cleanly)
