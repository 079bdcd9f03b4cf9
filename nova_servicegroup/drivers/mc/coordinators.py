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

"""Makes tooz's coordinators for memcached, of members, readers and peers.

They decode what is on a server as foreign data, which anybody may have
written.
"""

from collections.abc import Callable
import functools
from importlib import metadata
import ssl
from typing import Any

from oslo_config import cfg

from nova_servicegroup.drivers.common import bounded
from nova_servicegroup.drivers.common import decoding
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import starting
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup import exceptions

coordination = requests.try_import('tooz.coordination')

memcached = requests.try_import('tooz.drivers.memcached')

#: The flags under which tooz stores plain bytes, and msgpack.
_BYTES, _MSGPACK = 1, 2
#: Bytes of a plain value: a token with a mark and a domain, or tooz's.
_LONGEST = 1024
#: Bytes of a key, as memcached limits it.
_LONGEST_KEY = 250


def member_key(member_id: str) -> bytes:
    """Return the key of a member or a reader."""
    prefix: bytes = memcached.MemcachedDriver.MEMBER_PREFIX
    return prefix + member_id.encode('ascii')


def group_key(group: bytes) -> bytes:
    """Return the key of the member list of a tooz group."""
    prefix: bytes = memcached.MemcachedDriver.GROUP_PREFIX
    return prefix + group


class Factory(starting.Factory):
    """Makes coordinators on one server.

    :param options: those of [memcached]
    :param ttl: seconds after which a member that is not renewed is gone
    """

    #: tooz sends its requests in a thread, so that results can be awaited.
    _executor = 'threaded'

    def __init__(
        self, address: str, options: cfg.ConfigOpts.GroupAttr, ttl: int
    ) -> None:
        self.backend = f'memcached {address}'
        self._address = address
        self._options = options
        self._ttl = ttl

    def make(self, member_id: bytes) -> Any:
        """See starting.Factory.

        :raises ConfigurationError: TLS is configured, and tooz ignores it
        """
        made = self._make(member_id)
        if self._options.use_tls:
            _check_tls(getattr(made, 'ssl_context', None), self._options)
        made._msgpack_deserializer = deserialize
        made.heartbeat = functools.partial(_bounded_beat, made, made.heartbeat)
        return made

    def _make(self, member_id: bytes) -> Any:
        options = self._options
        return coordination.get_coordinator(
            f'memcached://{self._address}',
            member_id,
            timeout=int(options.timeout),
            membership_timeout=self._ttl,
            leader_timeout=self._ttl,
            lock_timeout=self._ttl,
            executor=self._executor,
            use_ssl=options.use_tls,
            ca_cert=options.ca_file,
            ssl_cert=options.cert_file,
            ssl_key=options.key_file,
            # With None, a locked key would be asked for at the terminal.
            ssl_key_password=options.key_password or '',
            ssl_check_hostname=options.check_hostname,
        )


class MemberFactory(Factory):
    """Makes coordinators of one member, or one reader, under a fixed id."""

    #: In the calling thread: a thread of tooz's would wake up every second.
    _executor = 'synchronous'

    def new_id(self, host: str) -> bytes:
        """See starting.Factory.

        :param host: the member id
        """
        return host.encode('ascii')

    def _make(self, member_id: bytes) -> Any:
        """See Factory.

        tooz's heartbeat would write the member's key, and so hide the token
        of another process that renews it. This one reads the key.
        """
        made, key = super()._make(member_id), member_key(member_id.decode())
        made.heartbeat = lambda: made.client.get(key)
        return made

    def stop(self, coordinator: Any) -> None:
        """See starting.Factory.

        The coordinator's own stop would delete the member, which other
        processes of the host may still be renewing.
        """
        coordinator.client.close()


def _bounded_beat(made: Any, beat: Callable[[], Any]) -> Any:
    """Beat with a client whose timeout is that of a whole answer.

    tooz makes the client when the coordinator starts, just before it beats.
    """
    made.client.client_class = bounded.connecting(
        type(made.client).client_class, '_connect', 'connect_timeout'
    )
    return beat()


def _check_tls(context: ssl.SSLContext | None, options: Any) -> None:
    """Check that tooz has not ignored the options of TLS.

    :raises ConfigurationError: it has
    """
    if (
        context is None
        or context.verify_mode is not ssl.CERT_REQUIRED
        or context.check_hostname is not options.check_hostname
    ):
        raise exceptions.ConfigurationError(
            '[memcached] use_tls',
            True,
            f'false, with tooz {metadata.version("tooz")}, which connects '
            'without TLS; true from tooz 7.0 on: '
            'pip install nova-servicegroup[mc-tls]',
        )


def deserialize(key: Any, value: bytes, flags: int) -> Any:
    """Decode a value for pymemcache; None if that fails. Never raises.

    A value that is no list where tooz stores one reads as an empty list, so
    that tooz replaces it.
    """
    name = key.encode() if isinstance(key, str) else key
    found = _decoded(name, value, flags)
    driver = memcached.MemcachedDriver
    if name == driver.GROUP_LIST_KEY:
        return _groups(found)
    if name.startswith(driver.GROUP_LEADER_PREFIX):
        return found
    return _members(found) if name.startswith(driver.GROUP_PREFIX) else found


def _decoded(name: bytes, value: bytes, flags: int) -> Any:
    if flags == _MSGPACK:
        return decoding.decode_or_none(value)
    if flags != _BYTES:
        return None
    if name.endswith(keyspace.ENDED.encode()):
        return value[: keyspace.LONGEST_ENDED]
    return value if len(value) <= _LONGEST else b''


def _groups(found: Any) -> list[bytes | str]:
    """Return the names of all groups, including other programs' groups."""
    names = found if isinstance(found, list) else []
    return [each for each in names if isinstance(each, bytes | str)]


def _members(found: Any) -> dict[bytes, dict[bytes, Any]]:
    """Return the valid entries of a group's member list."""
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
