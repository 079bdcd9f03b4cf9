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

"""What the driver asks of redis, and what it uses of tooz's internals.

Functional tests fail when tooz changes what this relies on.
"""

from collections.abc import Callable
import math
import time
from typing import Any

from oslo_utils import encodeutils

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.redis import history

coordination = requests.try_import('tooz.coordination')
redis_exceptions = requests.try_import('redis.exceptions')
tooz_utils = requests.try_import('tooz.utils')

#: Members of a group, at most; more were written by an unknown client.
_MOST = 200_000
#: Keys of one MGET: a script can unpack only a limited number of values.
_CHUNK = 1000

#: Returns the members whose keys exist. With a second argument it removes the
#: others, except the one with that name. It is atomic, so that a member that
#: rejoins with another id is never missing.
_MEMBERS = f"""
if redis.call('exists', KEYS[1]) == 0 then return false end
if redis.call('hlen', KEYS[1]) > {_MOST} then
    return redis.error_reply('another client writes to the group')
end
local ids, found = redis.call('hkeys', KEYS[1]), {{}}
for first = 1, #ids, {_CHUNK} do
    local keys = {{}}
    for i = first, math.min(first + {_CHUNK - 1}, #ids) do
        keys[#keys + 1] = ARGV[1] .. ids[i]
    end
    for i, beat in ipairs(redis.call('mget', unpack(keys))) do
        local id = ids[first + i - 1]
        if beat and #id <= {naming.LONGEST_ID} then
            found[#found + 1] = id
        elseif ARGV[2] and id ~= ARGV[2] then
            redis.call('hdel', KEYS[1], id)
        end
    end
end
return found
"""

#: Puts a mark beside a member if the group exists. Only a join may create the
#: group, because it marks it as young first.
_MARK = """
if redis.call('exists', KEYS[1]) == 1 then
    redis.call('hset', KEYS[1], ARGV[1], '')
    redis.call('psetex', KEYS[2], ARGV[2], 'mark')
end
"""


class Group:
    """One group on the server, for one member or reader.

    Every method but ask waits for the answer of the server.
    """

    def __init__(self, session: sessions.Session) -> None:
        self._session = session
        self._tooz = tooz = session.coordinator
        self._id = session.member_id
        self._key = tooz._encode_group_id(session.group)
        self._beat = tooz._encode_beat_id(session.member_id)
        self._prefix = tooz._encode_beat_id(b'')
        self._young = tooz.namespace + b'_young:' + session.group
        # In whole milliseconds, as in tooz's heartbeat.
        self._expiry = int(1000 * tooz.membership_timeout)

    def ask(
        self,
        name: str,
        call: Callable[..., Any],
        *args: Any,
        max_age: float = math.inf,
    ) -> Any:
        """Call another method in the background; see sessions.Session."""
        return self._session.ask(
            name, self._submit, call, *args, max_age=max_age
        )

    def _submit(self, call: Callable[..., Any], *args: Any) -> Any:
        return coordination.CoordinatorResult(self._tooz._submit(call, *args))

    def renew(self, capabilities: Any) -> bool:
        """Renew the key of the member.

        :returns: whether the member is in the group with these capabilities
        """
        with self._tooz._client.pipeline() as pipe:
            self._put(pipe)
            pipe.hget(self._key, self._id)
            stored = _execute(pipe, foreign=1)[-1]
        if isinstance(stored, Exception):
            # An unknown client has stored another type at the group's key.
            self._tooz._client.delete(self._key)
        return bool(stored == tooz_utils.dumps(capabilities))

    def _put(self, pipe: Any) -> None:
        pipe.psetex(self._beat, self._expiry, self._tooz.STILL_ALIVE)

    def put_mark(self, mark: str) -> None:
        """Put a mark beside the member, which expires as the member does."""
        self._put_name(naming.marked(self._id, mark))

    def _put_name(self, name: bytes) -> None:
        keys = self._key, self._prefix + name
        self._tooz._client.eval(_MARK, 2, *keys, name, self._expiry)

    def drop_mark(self, mark: str) -> None:
        """Remove a mark."""
        self._remove(naming.marked(self._id, mark))

    def end(self, member_id: bytes, mark: bytes) -> None:
        """Remove any member, if it is there; leave a mark, which expires."""
        self._put_name(mark)
        self._remove(member_id)

    def _remove(self, name: bytes) -> None:
        client = self._tooz._client
        client.delete(self._prefix + name)
        client.hdel(self._key, name)

    def read(self) -> history.Answer:
        """Read the members of the group, and the state of the server."""
        with self._tooz._client.pipeline() as pipe:
            # The members of a server that refuses writes all expire.
            self._put(pipe)
            pipe.eval(_MEMBERS, 1, self._key, self._prefix)
            pipe.getrange(self._young, 0, 15)
            pipe.info('server')
            pipe.info('stats')
            pipe.time()
            _, ids, young, server, stats, clock = _execute(pipe, foreign=2)
        now = time.monotonic()
        return history.Answer(
            None if ids is None else frozenset(ids),
            young if isinstance(young, bytes) else b'',
            str(server['run_id']),
            float(server['uptime_in_seconds']),
            int(stats['evicted_keys']),
            clock[0] + clock[1] / 1e6 - now,
            now,
        )

    def confirm(self) -> bool:
        """Return whether most Sentinels name this server as the master.

        Without Sentinels return True. A master that is cut off from them
        continues to answer after a replica was promoted.
        """
        pool = self._tooz._client.connection_pool
        manager = getattr(pool, 'sentinel_manager', None)
        if manager is None:
            return True
        needed = len(manager.sentinels) // 2 + 1
        for each in manager.sentinels:
            if _named(each, pool.service_name) == pool.master_address:
                needed -= 1
            if not needed:
                break
        return not needed

    def mark_young(self, seconds: float) -> None:
        """Mark a group that does not exist yet as young, for some time."""
        client = self._tooz._client
        if not client.exists(self._key):
            client.psetex(self._young, int(1000 * seconds), naming.token())

    def sweep(self) -> None:
        """Remove the members whose keys have expired."""
        self._tooz._client.eval(
            _MEMBERS, 1, self._key, self._prefix, self._tooz.GROUP_EXISTS
        )


def _execute(pipe: Any, foreign: int) -> list[Any]:
    """Return the answers to the commands of a pipeline.

    redis-py would put the whole command into the text of an error.

    :param foreign: index of the answer that may be an error, because an
        unknown client can have stored another type at its key
    :raises redis.exceptions.RedisError: another answer is an error
    """
    answers: list[Any] = pipe.execute(raise_on_error=False)
    for number, each in enumerate(answers):
        is_expected = number == foreign and 'WRONGTYPE' in str(each)
        if isinstance(each, Exception) and not is_expected:
            raise each
    return answers


def _named(sentinel: Any, name: str) -> Any:
    """Return the address of the master that a Sentinel names, or None."""
    try:
        found = sentinel.sentinel_get_master_addr_by_name(name)
    except redis_exceptions.RedisError:
        return None
    return found and (encodeutils.safe_decode(found[0]), int(found[1]))
