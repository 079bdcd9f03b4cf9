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

"""How the commands read Nova's services table: never for long."""

from collections.abc import Callable

from nova_servicegroup.drivers import _fanout
from nova_servicegroup import exceptions
from nova_servicegroup import services

#: Seconds that a question may wait.
_WAIT = 5.0
#: What was read while nobody waited is used for so long (seconds).
_MAX_AGE = 60.0


class Records:
    """Reads the services table in the background, one group at a time.

    A database that is mute is waited for once, and not again before it has
    answered.

    :param read: reads the records of a group. :raises BackendError
    :param wait: seconds, at most
    """

    name = 'services table'

    def __init__(
        self,
        read: Callable[[str], list[services.ServiceRef]],
        wait: float = _WAIT,
    ) -> None:
        self._read = read
        self._wait = wait
        self._reads: dict[str, _fanout.Single] = {}
        self._mute = False

    def __call__(self, group: str) -> list[services.ServiceRef]:
        """Return the records of a group.

        :raises BackendError: they cannot be read, or not in time
        """
        reads = self._reads.setdefault(group, _fanout.Single(self.name))
        wait = 0.0 if self._mute else self._wait
        try:
            found = reads.ask(lambda: self._read(group), wait, _MAX_AGE)
        except exceptions.BackendError as error:
            self._mute = isinstance(error, exceptions.BackendTimeout)
            raise
        self._mute = False
        return list(found)


class NoRecords:
    """Stands for a services table that cannot be reached from here.

    :param reason: why
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __call__(self, group: str) -> list[services.ServiceRef]:
        """Refuse.

        :raises NoAccess: always
        """
        raise exceptions.NoAccess(Records.name, self._reason)
