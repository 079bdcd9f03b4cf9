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

"""Requests to a coordinator about one group, before a deadline."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
import contextlib
import math
from typing import Any

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import starting

coordination = requests.try_import('tooz.coordination')


class Session:
    """A coordinator in use and a group to ask it about.

    Each method that asks raises BackendTimeout if no answer comes in time, and
    the errors of tooz.

    :param group: its name on the servers
    :param request: holds the one outstanding request
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

    @property
    def asked_at(self) -> float:
        """When the last request was issued, see requests.Request."""
        return self._request.asked_at

    def with_request(self, request: requests.Request) -> Session:
        """Return a session with a request that does not await this one's."""
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

        :param name: identifies the request; see requests.Request.ask, also
            for collect and max_age
        """
        return self._request.ask(
            self.coordinator,
            name,
            lambda: method(*args),
            self.deadline,
            collect,
            max_age,
        )

    def create(self) -> None:
        """Create the group, unless it is there."""
        with contextlib.suppress(coordination.GroupAlreadyExist):
            self.ask('create group', self.coordinator.create_group, self.group)

    def join(self, capabilities: Any, collect: bool = True) -> Any:
        """Join the group.

        :param capabilities: the capabilities of the member
        """
        join = self.coordinator.join_group
        return self.ask(
            'join', join, self.group, capabilities, collect=collect
        )

    def capabilities(self, member_ids: Collection[bytes]) -> dict[bytes, Any]:
        """Return the capabilities of members, or None for those unknown."""
        ids = tuple(sorted(member_ids))
        ask = self.coordinator.get_member_capabilities
        answers: dict[bytes, Any] = self.ask(
            f'the capabilities of {len(ids)} members, {hash(ids)}',
            lambda: requests.Answers(
                {each: ask(self.group, each) for each in ids}
            ),
        )
        return answers


class Sessions:
    """Makes sessions about one group, with one request outstanding.

    :ivar group: its name on the servers
    :ivar request: the request of all sessions
    """

    def __init__(self, connection: connections.Connection, group: str) -> None:
        self._connection = connection
        self.group = naming.escape(group).encode('ascii')
        self.request = requests.Request(connection.backend)

    @contextlib.contextmanager
    def use(self, deadline: requests.Deadline) -> Iterator[Session]:
        """Yield a session, connecting if need be.

        :raises BackendError: see connections.Connection.use
        """
        with self._connection.use(deadline) as connected:
            yield Session(connected, self.group, self.request, deadline)
