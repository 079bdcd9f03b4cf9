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

"""The keys of a group, and how they are read and written.

As in tooz, the keys of members begin with the key of their group. The value
of the group's key is a marker: it changes when the group is recreated after
it was emptied.
"""

import base64
from collections.abc import Callable
import math
import time
from typing import Any, NamedTuple
import uuid

from nova_servicegroup import exceptions
from nova_servicegroup import pace


class State(NamedTuple):
    """The state of a group on the servers.

    :ivar marker: of the group, or None if the group does not exist
    :ivar revision: of etcd when the group was read
    """

    marker: str | None = None
    revision: int = 0
    ids: frozenset[bytes] = frozenset()


class Group:
    """The member ids of a group, of which only changes are read.

    After a failure or a long pause the whole group is read: etcd may have been
    restored from a snapshot, after which its revisions repeat.

    :param key: of the group
    """

    def __init__(
        self, key: bytes, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._key = key
        self._clock = clock
        self._state = State()
        self._read_at = -math.inf

    def read(self, client: Any) -> State:
        """Return the current state of the group.

        :param client: of etcd3gw
        :raises Exception: of any type, if an answer is not one of etcd
        """
        begun, known = self._clock(), self._state
        if begun - self._read_at > pace.IDLE:
            known = State()
        self._read_at = -math.inf
        state = self._state = self._read(client, known)
        self._read_at = begun
        return state

    def _read(self, client: Any, known: State) -> State:
        group, members = client.transaction(
            {
                'compare': [],
                'success': [
                    {'request_range': {'key': encode(self._key)}},
                    {'request_range': {**self._all(), 'count_only': True}},
                ],
            }
        )['responses']
        found = group['response_range'].get('kvs')
        state = State(found[0].get('value', '') if found else None)
        members = members['response_range']
        revision = int(members['header']['revision'])
        if state.marker is not None:
            if state.marker == known.marker and revision >= known.revision:
                state = known
            if revision != state.revision or _count(members) != len(state.ids):
                state = self._update(client, state)
        return state

    def _update(self, client: Any, state: State) -> State:
        """Read the new members, or all of them if others have left."""
        found = self._range(client, state.marker, state.revision)
        ids = state.ids | _ids(found, len(self._key))
        if state.revision and len(ids) != _count(found):
            found = self._range(client, state.marker, 0)
            ids = _ids(found, len(self._key))
        return State(state.marker, int(found['header']['revision']), ids)

    def _range(self, client: Any, marker: str | None, since: int) -> Any:
        """Read the keys created after a revision, if the marker is the same.

        :raises BackendError: the group was recreated meanwhile
        """
        options = {'keys_only': True, 'min_create_revision': since + 1}
        same = {'key': encode(self._key), 'target': 'VALUE', 'value': marker}
        answer = client.transaction(
            {
                'compare': [same],
                'success': [{'request_range': {**self._all(), **options}}],
            }
        )
        if not answer.get('succeeded'):
            raise exceptions.BackendError('etcd', 'the group was recreated')
        return answer['responses'][0]['response_range']

    def _all(self) -> dict[str, str]:
        end = self._key[:-1] + bytes([self._key[-1] + 1])
        return {'key': encode(self._key), 'range_end': encode(end)}


def key(namespace: str, group: bytes) -> bytes:
    """Return the key of a group, which is the same as with tooz."""
    return b'tooz/groups/%s:%s/' % (namespace.encode('ascii'), group)


def check(group_key: bytes, member: bytes, lease: int) -> Any:
    """Return the transaction that succeeds if a member and its group exist.

    It writes nothing, so etcd does not add it to its log. But it reads: a
    server answers a transaction of comparisons alone from what it holds, which
    may be old, without asking the others.

    :param group_key: the key of the group
    :param lease: whose end removes the member
    """
    own = encode(group_key + member)
    return {
        'compare': [
            {'key': own, 'target': 'LEASE', 'lease': lease},
            {**_no_group(group_key), 'result': 'GREATER'},
        ],
        'success': [{'request_range': {'key': own, 'count_only': True}}],
        'failure': [],
    }


def join(group_key: bytes, member: bytes, lease: int, value: bytes) -> Any:
    """Return the transaction that writes a member, and its group, if missing.

    :param value: what the member stores beside its id
    """
    group, own = encode(group_key), encode(group_key + member)
    marker = {'key': group, 'value': encode(uuid.uuid4().hex.encode())}
    make_group = {
        'compare': [_no_group(group_key)],
        'success': [{'request_put': marker}],
        'failure': [],
    }
    put = {'key': own, 'value': encode(value), 'lease': lease}
    return {
        **check(group_key, member, lease),
        'failure': [{'request_put': put}, {'request_txn': make_group}],
    }


def end(group_key: bytes, member: bytes, lease: int, mark: bytes) -> Any:
    """Return the transaction that replaces a member by a mark.

    :param lease: of both; 0: the member has none, and there will be no mark
    """
    put = {'key': encode(group_key + mark), 'value': '', 'lease': lease}
    remove = {'key': encode(group_key + member)}
    done = [{'request_put': put}] if lease else []
    return {
        'compare': [],
        'success': [*done, {'request_delete_range': remove}],
    }


def _no_group(group_key: bytes) -> Any:
    return {'key': encode(group_key), 'target': 'VERSION', 'version': 0}


def encode(data: bytes) -> str:
    """Return bytes in base64, as the JSON gateway of etcd takes them."""
    return base64.b64encode(data).decode('ascii')


def _ids(found: Any, length: int) -> frozenset[bytes]:
    """Return the parts of keys after the group's key.

    :param length: of the group's key
    """
    keys = (base64.b64decode(each['key']) for each in found.get('kvs', ()))
    return frozenset(each[length:] for each in keys if len(each) > length)


def _count(found: Any) -> int:
    """Return the number of members, without the key of the group."""
    return int(found.get('count', 0)) - 1
