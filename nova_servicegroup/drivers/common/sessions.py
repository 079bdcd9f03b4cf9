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

"""What a coordinator is asked about one group, before a deadline."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
import contextlib
import functools
import math
from typing import Any

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import starting

coordination = requests.try_import('tooz.coordination')


class Session:
    """A coordinator that is lent, and a group.

    Each method that asks raises BackendTimeout where no answer comes in time,
    and the errors of tooz.

    :param group: as the servers have it
    :param request: holds the one question that is outstanding
    """

    def __init__(
        self,
        connected: starting.Connected,
        group: bytes,
        request: requests.Request,
        deadline: requests.Deadline,
    ) -> None:
        self.coordinator, self.member_id = self._connected = connected
        self.group = group
        self.deadline = deadline
        self._request = request

    def beside(self, request: requests.Request) -> Session:
        """Return one for questions that do not put these off."""
        return Session(self._connected, self.group, request, self.deadline)

    def ask(
        self,
        name: str,
        method: Callable[..., Any],
        *args: Any,
        collect: bool = True,
        max_age: float = math.inf,
    ) -> Any:
        """Call a method of the coordinator, and await its result.

        :param name: says which question is the same one
        :param collect: see requests.Request, as for max_age
        """
        return self._request.ask(
            self.coordinator,
            name,
            functools.partial(method, *args),
            self.deadline,
            collect,
            max_age,
        )

    def create(self) -> None:
        """Create the group, unless it is there."""
        with contextlib.suppress(coordination.GroupAlreadyExist):
            self.ask('create group', self.coordinator.create_group, self.group)

    def join(self, said: Any, collect: bool = True) -> Any:
        """Join the group.

        :param said: what the member says of itself
        """
        join = self.coordinator.join_group
        return self.ask('join', join, self.group, said, collect=collect)

    def said(self, member_ids: Collection[bytes]) -> dict[bytes, Any]:
        """Return what some members say of themselves; None: nothing."""
        some = tuple(sorted(member_ids))
        answers: dict[bytes, Any] = self.ask(
            f'what {len(some)} members say of themselves, {hash(some)}',
            self._ask_members,
            some,
        )
        return answers

    def _ask_members(self, member_ids: Collection[bytes]) -> requests.Answers:
        ask = self.coordinator.get_member_capabilities
        return requests.Answers(
            {each: ask(self.group, each) for each in member_ids}
        )


class Sessions:
    """Lends sessions about one group, for one question at a time.

    :ivar group: as the servers have it
    """

    def __init__(self, connection: connections.Connection, group: str) -> None:
        self._connection = connection
        self.group = naming.escape(group).encode('ascii')
        self.request = requests.Request(connection.backend)

    @contextlib.contextmanager
    def lend(self, deadline: requests.Deadline) -> Iterator[Session]:
        """Lend one, connecting if need be.

        :raises BackendError: see connections.Connection
        """
        with self._connection.use(deadline) as connected:
            yield Session(connected, self.group, self.request, deadline)
