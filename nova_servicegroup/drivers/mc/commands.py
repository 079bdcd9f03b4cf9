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

"""Commands that tooz does not offer, sent through its memcached client."""

from collections.abc import Sequence
import contextlib
from typing import Any

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.mc import keyspace

pymemcache = requests.try_import('pymemcache.exceptions')

#: Members that are read in one round trip.
_BATCH = 5000


def touch(client: Any, key: bytes, ttl: int) -> bool:
    """Extend the life of a key, return whether it is there.

    Return False, too, where the connection has ended.
    """
    with contextlib.suppress(
        ConnectionError, pymemcache.MemcacheUnexpectedCloseError
    ):
        return bool(client.touch(key, expire=ttl, noreply=False))
    return False


def get_many(
    client: Any, keys: Sequence[bytes], size: int = _BATCH
) -> dict[bytes, Any]:
    """Read in batches, each of which is answered well within the timeout."""
    found: dict[bytes, Any] = {}
    for start in range(0, len(keys), size):
        found.update(client.get_many(keys[start : start + size]))
    return found


def leave(client: Any, key: bytes, token: bytes, ttl: int) -> None:
    """End a member, or let it expire in ttl seconds; see storage.Server."""
    found, version = client.gets(key)
    value = as_bytes(found)
    # Without a token it is left to others, also if it is foreign or gone.
    is_own = bool(token) and keyspace.token_of(value) == token
    # memcached takes a time in the past for a deletion. The mark may be of
    # the process that leaves, and the others would keep it alive.
    if is_own or keyspace.has_mark(value):
        expire = -1 if is_own else ttl
        # Fails if another process renews the member meanwhile.
        kept = keyspace.without_mark(value)
        if client.cas(key, kept, version, expire=expire, noreply=False):
            return
    client.touch(key, expire=ttl, noreply=False)


def end(
    client: Any, key: bytes, incarnation: str, ended: bytes, ttl: int
) -> None:
    """End the member of a process that has died; see storage.Server.

    :param ended: the key of the tokens of members that were ended. It is there
        for ttl seconds since the first of them, unless a client has written it
        that is not of this project
    """
    found, version = client.gets(key)
    value = as_bytes(found)
    token = keyspace.token_of(value)
    if naming.is_of(token, incarnation) and not keyspace.is_shared(value):
        # A server that lacks memory refuses.
        with contextlib.suppress(pymemcache.MemcacheServerError):
            if not client.append(ended, token, noreply=False):
                client.add(ended, token, expire=ttl, noreply=False)
        # Fails if another process renews the member meanwhile.
        client.cas(key, value, version, expire=-1, noreply=False)


def as_bytes(value: Any) -> bytes:
    """Return value, or nothing if it is not bytes and so foreign."""
    return value if isinstance(value, bytes) else b''
