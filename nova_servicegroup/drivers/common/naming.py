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

"""Names of hosts and groups, member ids, and the names of marks."""

import secrets
import time
import urllib.parse

from nova_servicegroup import condition
from nova_servicegroup import domains
from nova_servicegroup import process

#: Separates the escaped host from the token of a member id.
SEPARATOR = '@'
#: Separates the token of a member id from its failure domain, if it has one.
_DOMAIN = '.'
#: Separates a member id from its mark, see condition. No escaped name has it.
MARK = b'!'
#: Characters of the name of a host, at most. Nova's services table has less.
_LONGEST = 1000
#: Bytes of a token, and of its parts: the time, the incarnation, and the rest.
TOKEN = 12
_TIME = _INCARNATION = 4
#: Bytes of a member id with its mark, at most: four bytes of UTF-8 for each
#: character of the host, each %XX.
LONGEST_ID = 12 * _LONGEST + 192


def escape(name: str) -> str:
    """Return name in the characters A-Za-z0-9._:-~%, valid in every backend.

    Other characters, and surrogates, become the %XX of their UTF-8 bytes.
    """
    return urllib.parse.quote(name, safe=':', errors='surrogatepass')


def unescape(name: str) -> str:
    """Return the name that escape has escaped.

    :raises ValueError: escape never returns such a name
    """
    host = urllib.parse.unquote(name, errors='surrogatepass')
    if escape(host) != name:
        raise ValueError(f'{name!r} is not an escaped name')
    return host


def is_host(name: object) -> bool:
    """Return whether a value can be the name of a host."""
    return isinstance(name, str) and 0 < len(name) <= _LONGEST


_incarnation = process.PerProcess(lambda: secrets.token_bytes(_INCARNATION))


def incarnation() -> str:
    """Return what all tokens of this process contain, and no others."""
    return _incarnation.get().hex()


def token() -> bytes:
    """Return a unique token: the time of its making, this process, the rest.

    :returns: TOKEN bytes
    """
    made = int(time.time()).to_bytes(_TIME, 'big') + _incarnation.get()
    return made + secrets.token_bytes(TOKEN - len(made))


def is_of(token: bytes, incarnation: str) -> bool:
    """Return whether the process of an incarnation has made a token."""
    made = token[_TIME : _TIME + _INCARNATION]
    return len(token) == TOKEN and made.hex() == incarnation


def since(token: bytes) -> float | None:
    """Return when a token was made, in seconds since the epoch.

    Or None if token did not make it.
    """
    made = int.from_bytes(token[:_TIME], 'big')
    return float(made) if len(token) == TOKEN else None


def member_id(host: str, domain: str | None = None) -> bytes:
    """Return a member id of host, unique for each coordinator."""
    end = '' if domain is None else f'{_DOMAIN}{domain}'
    return f'{escape(host)}{SEPARATOR}{token().hex()}{end}'.encode('ascii')


def renewed(member: bytes) -> bytes:
    """Return another member id of the same member."""
    return member_id(host_of(member), domain_of(member))


def domain_of(member: bytes) -> str | None:
    """Return the failure domain in a member id; None: it has none."""
    try:
        domain = _end_of(member)[1]
    except ValueError:
        return None
    return domain if domains.is_name(domain) else None


def joined(member: bytes) -> float | None:
    """Return when a member id was made, in seconds since the epoch.

    Or None if member_id did not make it.
    """
    return since(token_of(member))


def token_of(member: bytes) -> bytes:
    """Return the token of a member id, or nothing if it has none."""
    try:
        return bytes.fromhex(_end_of(member)[0])
    except ValueError:
        return b''


def _end_of(member: bytes) -> tuple[str, str]:
    """Return what follows the host in a member id: a token and a domain.

    :raises ValueError: it is no member id
    """
    text = member[-LONGEST_ID:].decode('ascii')
    token, _, domain = text.rpartition(SEPARATOR)[2].partition(_DOMAIN)
    return token, domain


def host_of(member: bytes) -> str:
    """Return the host of a member id.

    :raises ValueError: member_id never returns such an id
    """
    if len(member) > LONGEST_ID:
        raise ValueError('it is too long for a member id')
    if MARK in member:
        raise ValueError('it is a mark')
    name, separator, token = member.decode('ascii').rpartition(SEPARATOR)
    host = unescape(name)
    if not (separator and token and is_host(host)):
        raise ValueError(f'{member!r} is not a member id')
    return host


def marked(member: bytes, mark: str) -> bytes:
    """Return the name of a member's mark: its member id, and the mark."""
    return member + MARK + mark.encode('ascii')


def split(name: bytes) -> tuple[bytes, condition.Condition | None]:
    """Return the member id and the condition in the name of a mark.

    The condition is None if it is no mark.

    :param name: any name that a client has made
    """
    member, separator, mark = name.rpartition(MARK)
    if not separator or len(name) > LONGEST_ID:
        return name, None
    return member, condition.parse(mark.decode('ascii', 'replace'))
