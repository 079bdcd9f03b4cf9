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

"""Parses the addresses and credentials of servers in options."""

from collections.abc import Sequence
import ipaddress
import re
import urllib.parse

from oslo_config import cfg
from oslo_utils import netutils

from nova_servicegroup import exceptions

#: The option with the servers that other services of OpenStack use.
BACKEND_URL = '[coordination] backend_url'

_ACCEPTED = 'host, host:port or [address]:port, each once, separated by commas'

#: A prefix that clients of memcached accept; the host, in brackets or not;
#: and the port.
_ADDRESS = re.compile(
    r'(?:inet6?:)?'
    r'(?:\[(?P<closed>[^][]+)\]|(?P<open>[^][:]+))'
    r'(?::(?P<port>[0-9]{1,5}))?'
)
#: A host name as resolvers accept it, with letters of any language.
_NAME = re.compile(r'[\w.-]+')


def parse(option: str, value: str, default_port: int) -> list[str]:
    """Return the addresses in value, each as host:port.

    Quotes around the whole, empty items and repetitions are dropped.

    :param option: the name of the option in an error
    :raises ConfigurationError: an item is no address
    """
    found = [
        _address(option, value, item.strip(), default_port)
        for item in value.strip(' \t"\'').split(',')
        if item.strip()
    ]
    return list(dict.fromkeys(found))


def split(address: str) -> tuple[str, int]:
    """Return the host and the port of an address from parse."""
    host, _, port = address.rpartition(':')
    return host.strip('[]'), int(port)


def _address(option: str, value: str, item: str, default_port: int) -> str:
    # An IPv6 address without a port needs no brackets.
    bare = ':' in item and _is_host(item)
    found = _ADDRESS.fullmatch(f'[{item}]' if bare else item)
    if found is not None:
        host = found['closed'] or found['open']
        port = int(found['port'] or default_port)
        if port and netutils.is_valid_port(port) and _is_host(host):
            return f'{netutils.escape_ipv6(host)}:{port}'
    # A value with an @ may contain a password.
    shown = None if '@' in value else value
    raise exceptions.ConfigurationError(option, shown, _ACCEPTED)


def _is_host(host: str) -> bool:
    """Return whether it is a name or an IP address."""
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
    """Return the parts of BACKEND_URL, for a group without an address.

    An error does not show the URL: it may contain a password.

    :param schemes: the schemes that are accepted
    :param unused: options of the group that need its own address
    :raises ConfigurationError: it is no such URL, or one of unused is set
    """
    try:
        parts = urllib.parse.urlsplit(conf.coordination.backend_url or '')
    except ValueError:
        raise _bad_url() from None
    if parts.scheme not in schemes:
        wanted = ' or '.join(f'{each}://' for each in schemes)
        raise exceptions.ConfigurationError(
            f'[{group}] address',
            conf[group].address,
            f'host:port, as its help says; where it is unset, {BACKEND_URL} '
            f'must begin with {wanted}',
        )
    _check_unused(group, conf[group], unused)
    return parts


def _check_unused(
    group: str, options: cfg.ConfigOpts.GroupAttr, unused: Sequence[str]
) -> None:
    """Check that options which need the group's own address are not set.

    :raises ConfigurationError: one is
    """
    for name in unused:
        if options[name]:
            raise exceptions.ConfigurationError(
                f'[{group}] {name}',
                options[name],
                f'nothing while [{group}] address is unset: what '
                f'{BACKEND_URL} says counts',
            )


def of_backend_url(servers: Sequence[str], default_port: int) -> list[str]:
    """Return the servers of BACKEND_URL, each as host:port.

    :raises ConfigurationError: one is no address, or is named twice
    """
    try:
        found = parse(BACKEND_URL, ','.join(servers), default_port)
    except exceptions.ConfigurationError:
        raise _bad_url() from None
    # The answers of one server must not be counted twice.
    if len(found) < len(servers):
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
    """Check that both are set, or none.

    :raises ConfigurationError: only one of them is
    """
    if bool(username) != bool(password):
        raise exceptions.ConfigurationError(
            f'[{group}] username', username, 'username and password, or none'
        )
