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

"""The addresses of servers as operators write them, here or for others."""

from collections.abc import Sequence
import ipaddress
import re
import urllib.parse

from oslo_config import cfg
from oslo_utils import netutils

from nova_servicegroup import exceptions

#: The servers that other services of OpenStack use.
BACKEND_URL = '[coordination] backend_url'

_ACCEPTED = 'host, host:port or [address]:port, each once, separated by commas'

#: What may stand before an address, as clients of memcached take it; the
#: host, in brackets or not; and the port.
_PLACE = re.compile(
    r'(?:inet6?:)?'
    r'(?:\[(?P<closed>[^][]+)\]|(?P<open>[^][:]+))'
    r'(?::(?P<port>[0-9]{1,5}))?'
)
#: A name as resolvers take it, with letters of any language.
_NAME = re.compile(r'[\w.-]+')


def parse(option: str, value: str, default_port: int) -> list[str]:
    """Return the addresses in value, each as host:port.

    Quotes around the whole are dropped, as are empty places and repetitions.

    :param option: what to call the option in an error
    :raises ConfigurationError: a place that is no address
    """
    found = [
        _address(option, value, place.strip(), default_port)
        for place in value.strip(' \t"\'').split(',')
        if place.strip()
    ]
    return list(dict.fromkeys(found))


def split(address: str) -> tuple[str, int]:
    """Return the host and the port of an address that parse has returned."""
    host, _, port = address.rpartition(':')
    return host.strip('[]'), int(port)


def _address(option: str, value: str, place: str, default_port: int) -> str:
    # An IPv6 address alone needs no brackets.
    bare = ':' in place and _is_host(place)
    found = _PLACE.fullmatch(f'[{place}]' if bare else place)
    # What stands before an @ is a secret.
    shown = None if '@' in value else value
    if found is None:
        raise exceptions.ConfigurationError(option, shown, _ACCEPTED)
    host = found['closed'] or found['open']
    port = int(found['port'] or default_port)
    if not _is_host(host) or not netutils.is_valid_port(port) or not port:
        raise exceptions.ConfigurationError(option, shown, _ACCEPTED)
    return f'{netutils.escape_ipv6(host)}:{port}'


def _is_host(host: str) -> bool:
    """Tell whether it is a name or an address."""
    if ':' not in host:
        return _NAME.fullmatch(host) is not None
    address, _, scope = host.partition('%')
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return '%' not in host or _NAME.fullmatch(scope) is not None


def backend_url(
    conf: cfg.ConfigOpts,
    group: str,
    schemes: Sequence[str],
    unused: Sequence[str],
) -> urllib.parse.SplitResult:
    """Return the parts of BACKEND_URL, where a group has no address.

    An error does not show it: a part may be of the password.

    :param schemes: of the backends that will do
    :param unused: options of the group that count only with its own address
    :raises ConfigurationError: it is no such URL, or one of them is set
    """
    try:
        parts = urllib.parse.urlsplit(conf.coordination.backend_url or '')
    except ValueError:
        raise _bad_url() from None
    options = conf[group]
    wanted = ' or '.join(f'{each}://' for each in schemes)
    if parts.scheme not in schemes:
        raise exceptions.ConfigurationError(
            f'[{group}] address',
            options.address,
            f'host:port, as its help says; where it is unset, {BACKEND_URL} '
            f'must begin with {wanted}',
        )
    for name in unused:
        if options[name]:
            raise exceptions.ConfigurationError(
                f'[{group}] {name}',
                options[name],
                f'nothing while [{group}] address is unset: what '
                f'{BACKEND_URL} says counts',
            )
    return parts


def of_backend_url(places: Sequence[str], default_port: int) -> list[str]:
    """Return the servers that BACKEND_URL names, each as host:port.

    :raises ConfigurationError: one is no address, or is there twice
    """
    try:
        found = parse(BACKEND_URL, ','.join(places), default_port)
    except exceptions.ConfigurationError:
        raise _bad_url() from None
    # Who counts answers would count the same one twice.
    if len(found) < len(places):
        raise _bad_url()
    return found


def _bad_url() -> exceptions.ConfigurationError:
    return exceptions.ConfigurationError(
        BACKEND_URL,
        None,
        'a URL of tooz, with host or host:port of each server, once; what is '
        'special in a password is escaped',
    )


def check_credentials(
    group: str, username: str | None, password: str | None
) -> None:
    """Refuse one without the other.

    :raises ConfigurationError: it is so
    """
    if bool(username) != bool(password):
        raise exceptions.ConfigurationError(
            f'[{group}] username', username, 'username and password, or none'
        )
