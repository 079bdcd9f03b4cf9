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

"""Uses of names that neither tooz nor kazoo promises to keep.

Functional tests fail when one is gone. Changes to kazoo's client are in
kazoo_loop.
"""

from collections.abc import Callable
import contextlib
import copy
from typing import Any

from nova_servicegroup.drivers.common import decoding
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import sessions

kazoo_exceptions = requests.try_import('kazoo.exceptions')


class _Result:
    """A result of tooz's, whose get a subclass replaces."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._result, name)


class Children(_Result):
    """The result of get_members or get_groups, with children of any name.

    tooz returns no child at all if the name of one is not ASCII.
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
    """The result of get_member_capabilities, decoded as foreign data.

    It is None where the capabilities cannot be decoded.
    """

    def get(self, timeout: float | None = None) -> Any:
        """Return the capabilities.

        :raises tooz.ToozError: the answer, or there is none yet
        """
        # kazoo's result, which holds the bytes. If tooz hides it, this raises,
        # so that tooz never decodes them.
        answer = self._result._kazoo_async_result
        answer.wait(timeout)
        if answer.successful():
            return decoding.decode_or_none(answer.get(block=False)[0])
        return self._result.get(timeout)


def guard(coordinator: Any) -> None:
    """Make a coordinator read data of other clients as foreign."""
    groups, members = coordinator.get_groups, coordinator.get_members
    capabilities = coordinator.get_member_capabilities
    coordinator.get_groups = lambda: Children(groups())
    coordinator.get_members = lambda group: Children(members(group))
    coordinator.get_member_capabilities = lambda group, member: Capabilities(
        capabilities(group, member)
    )


class Stat:
    """The stat of a node, with the interface of a result of tooz's.

    :param result: kazoo's, of reading the node
    """

    def __init__(self, result: Any) -> None:
        self._result = result

    def done(self) -> bool:
        """Return whether get can be called."""
        return bool(self._result.ready())

    def get(self) -> Any:
        """Return kazoo's ZnodeStat, or None if there is no such node.

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
    on_event: Callable[[Any], None],
) -> Stat:
    """Read the node of a member, and watch it if it exists.

    :param on_event: called once, with an event, in a thread of kazoo's, when
        the node is changed or deleted, or the connection is lost
    """
    path = coordinator._path_member(group, member_id)
    return Stat(coordinator._coord.get_async(path, watch=on_event))


def is_own(coordinator: Any, node: Any) -> bool:
    """Return whether a node belongs to a coordinator's session.

    A server may grant a new session where the old one was expected. Without a
    connection there is no session.

    :param node: the node's stat
    """
    client_id = coordinator._coord.client_id
    return client_id is not None and node.ephemeralOwner == client_id[0]


def with_member_id(coordinator: Any, member_id: bytes) -> Any:
    """Return a coordinator of the same session with another member id."""
    made = copy.copy(coordinator)
    made._member_id = member_id
    return made


def put(session: sessions.Session, name: bytes) -> None:
    """Create a node of a group, which lasts as long as the session.

    :raises BackendTimeout: no answer in time
    :raises kazoo.exceptions.KazooException: the request was refused
    """
    join = with_member_id(session.coordinator, name).join_group
    question = f'put {name.decode("ascii")}'
    check(session.ask(question, join, session.group, collect=False))


def remove(session: sessions.Session, name: bytes) -> None:
    """Delete a node of a group, if it is there.

    :raises BackendTimeout: no answer in time
    :raises kazoo.exceptions.KazooException: the request was refused
    """
    leave = with_member_id(session.coordinator, name).leave_group
    question = f'remove {name.decode("ascii")}'
    check(session.ask(question, leave, session.group, collect=False))


def check(result: Any) -> None:
    """Check that a node was created or deleted, as far as it could be.

    A node or a group that is missing, or exists already, is no error.

    :param result: tooz's finished result of joining, or of leaving
    :raises kazoo.exceptions.KazooException: the request was refused
    """
    with contextlib.suppress(
        kazoo_exceptions.NoNodeError, kazoo_exceptions.NodeExistsError
    ):
        result._kazoo_async_result.get(block=False)


def raw_children(result: Any) -> list[str]:
    """Return the names of the children in tooz's finished result.

    :raises AttributeError: tooz has changed
    """
    children: list[str] = result._kazoo_async_result.get(block=False)
    return children


def stop(coordinator: Any) -> None:
    """End kazoo's threads and session, unless that was done.

    tooz does not end them for a coordinator whose start failed after it got a
    session.
    """
    with contextlib.suppress(AttributeError):
        coordinator._coord.stop()
