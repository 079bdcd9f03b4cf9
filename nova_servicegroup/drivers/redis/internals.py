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

"""What tooz does not promise to keep, and what it does not offer.

Functional tests fail when it is gone.
"""

from collections.abc import Callable, Mapping
import math
import time
from typing import Any

from oslo_utils import encodeutils

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.redis import memory

coordination = requests.try_import('tooz.coordination')
redis_exceptions = requests.try_import('redis.exceptions')
tooz_utils = requests.try_import('tooz.utils')

#: So many members a group may have; more are somebody else's.
_MOST = 200_000
#: The lists that a script can hand over have an end.
_CHUNK = 1000

#: Tells the members whose keys are there; with a second argument, it removes
#: the others. At once: one that joins anew under another id is never missed.
_MEMBERS = f"""
if redis.call('exists', KEYS[1]) == 0 then return false end
if redis.call('hlen', KEYS[1]) > {_MOST} then
    return redis.error_reply('somebody else writes to the group')
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

#: Puts a mark beside a member, unless who makes the group anew has to say so.
_MARK = """
if redis.call('exists', KEYS[1]) == 1 then
    redis.call('hset', KEYS[1], ARGV[1], '')
    redis.call('psetex', KEYS[2], ARGV[2], 'mark')
end
"""


class Group:
    """One group, as the coordinator of one member or reader sees it.

    All but ask wait for the server.
    """

    def __init__(self, session: sessions.Session) -> None:
        self._session = session
        self._tooz = tooz = session.coordinator
        self._id = session.member_id
        self._key = tooz._encode_group_id(session.group)
        self._beat = tooz._encode_beat_id(session.member_id)
        self._prefix = tooz._encode_beat_id(b'')
        self._young = tooz.namespace + b'_young:' + session.group

    def ask(
        self,
        name: str,
        call: Callable[..., Any],
        *args: Any,
        max_age: float = math.inf,
    ) -> Any:
        """Call one of the other methods in the background; see sessions."""
        return self._session.ask(
            name, self._submit, call, *args, max_age=max_age
        )

    def _submit(self, call: Callable[..., Any], *args: Any) -> Any:
        return coordination.CoordinatorResult(self._tooz._submit(call, *args))

    def renew(self) -> Any:
        """Renew the member; return what it has said of itself, packed."""
        with self._tooz._client.pipeline() as pipe:
            self._put(pipe)
            pipe.hget(self._key, self._id)
            said = _execute(pipe, foreign=1)[-1]
        if isinstance(said, Exception):
            # Only a stranger has made something else of the group.
            self._tooz._client.delete(self._key)
            return None
        return said

    def _put(self, pipe: Any) -> None:
        pipe.psetex(self._beat, self._expiry, self._tooz.STILL_ALIVE)

    @property
    def _expiry(self) -> int:
        """In whole milliseconds, as tooz's heartbeat has it."""
        return int(1000 * self._tooz.membership_timeout)

    def put_mark(self, mark: str) -> None:
        """Have a mark beside the member that expires as it does."""
        name = naming.marked(self._id, mark)
        keys = self._key, self._prefix + name
        self._tooz._client.eval(_MARK, 2, *keys, name, self._expiry)

    def drop_mark(self, mark: str) -> None:
        """Remove a mark."""
        name = naming.marked(self._id, mark)
        client = self._tooz._client
        client.delete(self._prefix + name)
        client.hdel(self._key, name)

    def read(self) -> memory.Answer:
        """Ask who is there."""
        with self._tooz._client.pipeline() as pipe:
            # A server that takes no writes loses all members.
            self._put(pipe)
            pipe.eval(_MEMBERS, 1, self._key, self._prefix)
            pipe.getrange(self._young, 0, 15)
            pipe.info('server')
            pipe.info('stats')
            pipe.time()
            answers = _execute(pipe, foreign=2)
        _, ids, young, server, stats, (seconds, micros) = answers
        now = time.monotonic()
        return memory.Answer(
            None if ids is None else frozenset(ids),
            young if isinstance(young, bytes) else b'',
            str(server['run_id']),
            float(server['uptime_in_seconds']),
            int(stats['evicted_keys']),
            seconds + micros / 1e6 - now,
            now,
        )

    def confirm(self) -> bool:
        """Ask most Sentinels, if there are any, whether it is the master.

        One that was cut off from them goes on answering while another one
        takes its place.
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

    def mark(self, seconds: float) -> None:
        """Mark a group that is not there yet as young, for a while."""
        client = self._tooz._client
        if not client.exists(self._key):
            client.psetex(self._young, int(1000 * seconds), naming.token())

    def sweep(self) -> None:
        """Remove the members whose keys have expired."""
        self._tooz._client.eval(
            _MEMBERS,
            1,
            self._key,
            self._prefix,
            self._tooz.GROUP_EXISTS,
        )


def _execute(pipe: Any, foreign: int) -> list[Any]:
    """Return the answers; redis-py's own errors hold all of a command.

    :param foreign: which one may be an error, as what a key holds is not ours
    :raises redis.exceptions.RedisError: one of them is an error
    """
    answers: list[Any] = pipe.execute(raise_on_error=False)
    for number, each in enumerate(answers):
        other_type = number == foreign and 'WRONGTYPE' in str(each)
        if isinstance(each, Exception) and not other_type:
            raise each
    return answers


def _named(sentinel: Any, name: str) -> Any:
    """Return the address of the master that a Sentinel names, if it does."""
    try:
        found = sentinel.sentinel_get_master_addr_by_name(name)
    except redis_exceptions.RedisError:
        return None
    return found and (encodeutils.safe_decode(found[0]), int(found[1]))


def packed(origin: Mapping[str, Any]) -> bytes:
    """Return what tooz stores of what a member says of itself."""
    data: bytes = tooz_utils.dumps(origin)
    return data
