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

"""How values on a memcached server are decoded, whoever has written them."""

from typing import Any

from oslo_utils import importutils

from nova_servicegroup.drivers.common import decoding

memcached = importutils.try_import('tooz.drivers.memcached')

#: How tooz marks what it has written: bytes as they are, and msgpack.
_BYTES, _MSGPACK = 1, 2
#: Bytes of a value that is stored as it is. Ours have eight, tooz's eleven.
_LONGEST = 1024
#: Bytes of a key, which is as many as memcached takes.
_LONGEST_KEY = 250


def guard(coordinator: Any) -> None:
    """Have a coordinator that has not been started decode by this module."""
    coordinator._msgpack_deserializer = deserialize


def deserialize(key: Any, value: bytes, flags: int) -> Any:
    """Return a value as pymemcache wants it. Never raises.

    None is what cannot be decoded. tooz writes over a list that is none.
    """
    name = key.encode() if isinstance(key, str) else key
    found = _decoded(value, flags)
    driver = memcached.MemcachedDriver
    if name == driver.GROUP_LIST_KEY:
        return _groups(found)
    if name.startswith(driver.GROUP_LEADER_PREFIX):
        return found
    return _members(found) if name.startswith(driver.GROUP_PREFIX) else found


def _decoded(value: bytes, flags: int) -> Any:
    if flags == _MSGPACK:
        return decoding.decode_or_none(value)
    if flags == _BYTES:
        return value if len(value) <= _LONGEST else b''
    return None


def _groups(found: Any) -> list[bytes | str]:
    """Return the list of all groups, those of other programs included."""
    names = found if isinstance(found, list) else []
    return [each for each in names if isinstance(each, bytes | str)]


def _members(found: Any) -> dict[bytes, dict[bytes, Any]]:
    """Return the entries of a list of members that can be used."""
    entries = found.items() if isinstance(found, dict) else ()
    return {
        member_id: entry
        for member_id, entry in entries
        if _is_id(member_id) and _is_entry(entry)
    }


def _is_id(member_id: Any) -> bool:
    return isinstance(member_id, bytes) and len(member_id) <= _LONGEST_KEY


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or b'capabilities' not in entry:
        return False
    capabilities = entry[b'capabilities']
    return capabilities is None or isinstance(capabilities, dict)
