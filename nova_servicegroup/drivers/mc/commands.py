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

"""What is asked of tooz's client for memcached."""

from collections.abc import Sequence
import contextlib
from typing import Any

from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.mc import keyspace

pymemcache = requests.try_import('pymemcache.exceptions')

#: So many members are read in one round trip.
_PORTION = 5000


def touch(client: Any, key: bytes, ttl: int) -> bool:
    """Tell whether a key is there, and prolonged.

    Where the connection has ended that is not known.
    """
    with contextlib.suppress(
        ConnectionError, pymemcache.MemcacheUnexpectedCloseError
    ):
        return bool(client.touch(key, expire=ttl, noreply=False))
    return False


def get_many(
    client: Any, keys: Sequence[bytes], size: int = _PORTION
) -> dict[bytes, Any]:
    """Read in portions, each of which is answered well within the timeout."""
    found: dict[bytes, Any] = {}
    for start in range(0, len(keys), size):
        found.update(client.get_many(keys[start : start + size]))
    return found


def withdraw(client: Any, key: bytes, token: bytes, ttl: int) -> None:
    """End a member, or let it expire in ttl seconds; see storage.Server."""
    found, version = client.gets(key)
    value = as_token(found)
    renewed_by = keyspace.said(value).token
    # memcached takes a time in the past for a deletion. A mark may be that of
    # whoever leaves, and the others would prolong it.
    if renewed_by == token or keyspace.has_mark(value):
        expire = -1 if renewed_by == token else ttl
        # Fails if another process renews the member meanwhile.
        if client.cas(key, renewed_by, version, expire=expire, noreply=False):
            return
    client.touch(key, expire=ttl, noreply=False)


def as_token(value: Any) -> bytes:
    """Return a value as one of ours; what others have written is empty."""
    return value if isinstance(value, bytes) else b''
