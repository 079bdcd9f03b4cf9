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

"""What neither tooz nor kazoo promises to keep.

Functional tests fail when it is gone. What concerns the connections of kazoo
is in kazoo_loop.
"""

from collections.abc import Callable
import contextlib
import copy
from typing import Any

from nova_servicegroup.drivers.common import decoding
from nova_servicegroup.drivers.common import requests

kazoo_exceptions = requests.try_import('kazoo.exceptions')


class _Result:
    """A result of tooz."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._result, name)


class Children(_Result):
    """The result of get_members, also when a foreign child is not ASCII.

    Then tooz tells of no child at all. The same goes for get_groups.
    """

    def get(self, timeout: float | None = None) -> set[bytes]:
        """Return the children.

        :raises tooz.ToozError: the answer
        """
        try:
            return set(self._result.get(timeout))
        except UnicodeEncodeError:
            return {each.encode() for each in raw_children(self._result)}


class Capabilities(_Result):
    """The result of get_member_capabilities.

    What a member says of itself is decoded here instead of there; it is None
    where that cannot be done.
    """

    def get(self, timeout: float | None = None) -> Any:
        """Return the capabilities.

        :raises tooz.ToozError: the answer, or there is none yet
        """
        # The result of kazoo, which holds the bytes. Where tooz hides it,
        # this raises, so that nothing is ever decoded there.
        answer = self._result._kazoo_async_result
        answer.wait(timeout)
        if answer.successful():
            return decoding.decode_or_none(answer.get(block=False)[0])
        return self._result.get(timeout)


def guard(coordinator: Any) -> None:
    """Have a coordinator take what others have written for foreign."""
    groups, members = coordinator.get_groups, coordinator.get_members
    said = coordinator.get_member_capabilities
    coordinator.get_groups = lambda: Children(groups())
    coordinator.get_members = lambda group: Children(members(group))
    coordinator.get_member_capabilities = lambda group, member: Capabilities(
        said(group, member)
    )


class Stat:
    """What ZooKeeper tells of a node, as a result of tooz's.

    :param result: kazoo's, of reading it
    """

    def __init__(self, result: Any) -> None:
        self._result = result

    def done(self) -> bool:
        """Tell whether get can be called."""
        return bool(self._result.ready())

    def get(self) -> Any:
        """Return kazoo's ZnodeStat; None: there is no such node.

        :raises kazoo.exceptions.KazooException: the answer
        """
        try:
            return self._result.get(block=False)[1]
        except kazoo_exceptions.NoNodeError:
            return None


def watched(
    coordinator: Any,
    group: bytes,
    member_id: bytes,
    told: Callable[[Any], None],
) -> Stat:
    """Read the node of a member, and have ZooKeeper watch it, if it is there.

    :param told: called once, with an event, by a thread of kazoo's: it was
        changed or deleted, or the connection is lost
    """
    path = coordinator._path_member(group, member_id)
    return Stat(coordinator._coord.get_async(path, watch=told))


def is_own(coordinator: Any, node: Any) -> bool:
    """Tell whether a node goes when a coordinator's session does.

    A server may hand out a new session where the old one was expected. There
    is none without a connection.

    :param node: its stat
    """
    client_id = coordinator._coord.client_id
    return client_id is not None and node.ephemeralOwner == client_id[0]


def beside(coordinator: Any, member_id: bytes) -> Any:
    """Return a coordinator of the same session that has another member id."""
    made = copy.copy(coordinator)
    made._member_id = member_id
    return made


def check(result: Any) -> None:
    """Check that a node was created, or that it or its group is in the way.

    Or that it was removed, or was not there.

    :param result: tooz's finished result of joining, or of leaving
    :raises kazoo.exceptions.KazooException: it was refused
    """
    with contextlib.suppress(
        kazoo_exceptions.NoNodeError, kazoo_exceptions.NodeExistsError
    ):
        result._kazoo_async_result.get(block=False)


def raw_children(result: Any) -> list[str]:
    """Return the children as ZooKeeper has them, of tooz's finished result.

    :raises AttributeError: tooz has changed
    """
    children: list[str] = result._kazoo_async_result.get(block=False)
    return children


def stop(coordinator: Any) -> None:
    """End kazoo's threads and session, unless that was done.

    tooz leaves those of a coordinator that got a session, and no further.
    """
    with contextlib.suppress(AttributeError):
        coordinator._coord.stop()
