# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Names of the driver's keys on a memcached server, and members' values."""

from collections.abc import Set
import hashlib
import zlib

from nova_servicegroup import condition
from nova_servicegroup import domains
from nova_servicegroup.drivers.common import naming
from nova_servicegroup import membership

#: memcached takes keys of up to 250 bytes; tooz's prefixes need some.
_LONGEST = 200
#: Number of lists that a group is spread over. With 10,000 members each has
#: 9 KiB, and a thousand that join at once rarely meet in one.
SHARDS = 64

#: The end of the name of a key, and the bytes of its value that are used: the
#: tokens of the members that agents end in a few seconds.
ENDED = ':ended'
LONGEST_ENDED = 10_000 * naming.TOKEN

#: Follows the token if other processes of the host may renew the member, too.
_SHARED = b'+'
#: Precedes the failure domain of the member, the end of the value.
_DOMAIN = b'@'


def encode_value(
    token: bytes, mark: str | None, domain: str | None = None
) -> bytes:
    """Return the value of a member.

    :param token: of the process that renews the member
    :param mark: see condition, or None for no mark
    :param domain: its failure domain, if it has one
    """
    end = b'' if domain is None else _DOMAIN + domain.encode('ascii')
    return token + (mark or '').encode('ascii') + end


def token_of(value: bytes) -> bytes:
    """Return the token of the process that last renewed a member.

    :param value: of the member; here and below, it may be foreign
    """
    return value[: naming.TOKEN]


def tokens_of(ended: bytes) -> Set[bytes]:
    """Return the tokens of members that were ended.

    :param ended: one after the other
    """
    starts = range(0, len(ended), naming.TOKEN)
    return {ended[each : each + naming.TOKEN] for each in starts}


def as_shared(value: bytes) -> bytes:
    """Return a value which says that other processes may renew it, too."""
    return token_of(value) + _SHARED + value[naming.TOKEN :]


def is_shared(value: bytes) -> bool:
    """Return whether processes beside the last may renew a member."""
    return value[naming.TOKEN :].startswith(_SHARED)


def _parts(value: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what precedes the mark, the mark, and what follows it."""
    start = naming.TOKEN + (len(_SHARED) if is_shared(value) else 0)
    mark, separator, domain = value[start:].partition(_DOMAIN)
    return value[:start], mark, separator + domain


def without_mark(value: bytes) -> bytes:
    """Return a value without its mark."""
    start, _, end = _parts(value)
    return start + end


def has_mark(value: bytes) -> bool:
    """Return whether a value may hold a mark."""
    return bool(_parts(value)[1])


def condition_of(value: bytes) -> condition.Condition | None:
    """Return why a member is unfit, or None if it is fit."""
    return condition.parse(_parts(value)[1].decode('ascii', 'replace'))


def domain_of(value: bytes) -> str | None:
    """Return the failure domain of a member, or None if it has none."""
    name = _parts(value)[2].removeprefix(_DOMAIN).decode('ascii', 'replace')
    return name if domains.is_name(name) else None


class Keys:
    """The names of keys, the same in every process of one Nova.

    A group's list is spread over several groups of tooz's, its *shards*:
    tooz keeps each in one item, which every join replaces.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.marker = f'{prefix}:marker'
        self.young = f'{prefix}:young'
        self.ended = prefix + ENDED

    def member(self, group: str, host: str) -> str:
        """Return the id of a member, hashed where it would be too long."""
        return _shortened(self._member(group, membership.canonical(host)))

    def origin(self, member_id: str) -> str:
        """Return the key under which a member stores where it runs."""
        return _shortened(f'{self._prefix}:origin:{member_id}')

    def host(self, group: str, member_id: str) -> str:
        """Return the host in a member id that is not hashed.

        :raises ValueError: it is no such id
        """
        start = self._start(group)
        if not member_id.startswith(start):
            raise ValueError(f'{member_id!r} is no member of {group}')
        return naming.unescape(member_id[len(start) :])

    def is_hidden(self, group: str, host: str) -> bool:
        """Return whether the member id does not show the host as it is."""
        name = membership.canonical(host)
        return host != name or len(self._member(group, name)) > _LONGEST

    def shard(self, group: str, member_id: str) -> bytes:
        """Return the id of the shard that lists a member."""
        return self._shard(group, zlib.crc32(member_id.encode()) % SHARDS)

    def shards(self, group: str) -> list[bytes]:
        """Return the ids of all shards of a group."""
        return [self._shard(group, number) for number in range(SHARDS)]

    def _shard(self, group: str, number: int) -> bytes:
        return _shortened(f'{self._start(group)}{number}').encode('ascii')

    def _member(self, group: str, name: str) -> str:
        return self._start(group) + naming.escape(name)

    def _start(self, group: str) -> str:
        # The host may contain colons, so the group must not.
        name = naming.escape(group).replace(':', '%3A')
        return f'{self._prefix}:{name}:'


def _shortened(name: str) -> str:
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode('ascii')).hexdigest()
    return f'{name[: _LONGEST - len(digest)]}{digest}'
