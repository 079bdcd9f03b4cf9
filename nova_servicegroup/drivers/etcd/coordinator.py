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

"""The coordinator of tooz for etcd, and what the driver adds to it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
import contextlib
import functools
from typing import Any, Protocol

from oslo_log import log as logging

from nova_servicegroup.drivers.common import decoding
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.etcd import gateway
from nova_servicegroup.drivers.etcd import members

LOG = logging.getLogger(__name__)

coordination = requests.try_import('tooz.coordination')
tooz_utils = requests.try_import('tooz.utils')


class Settings(Protocol):
    """What a coordinator needs of configuration.Settings."""

    endpoints: gateway.Endpoints
    wait: float
    expiry: int
    namespace: str


def _in_thread(method: Callable[..., Any]) -> Callable[..., Any]:
    """Run a method in the thread of its coordinator; return tooz's result."""

    @functools.wraps(method)
    def submit(self: Coordinator, *args: Any) -> Any:
        return self._submit(method, self, *args)

    return submit


class Coordinator:
    """A coordinator with one lease and one connection.

    All its questions share one thread. The time of each is bounded, beginning
    when it is put.
    """

    def __init__(self, settings: Settings, member_id: bytes) -> None:
        self._settings = settings
        self._tooz = _tooz(settings, member_id)
        self._gateway: gateway.Gateway = self._tooz.client.session
        self._member_id = member_id
        self._lease: int | None = None
        # The thread of tooz takes a second to stop.
        self._thread = futures.ThreadPoolExecutor(1, 'servicegroup-etcd')

    def start(self) -> None:
        """Get a lease."""
        self._tooz.start()

    def stop(self) -> None:
        """Revoke the lease, which removes all keys that have it."""
        with contextlib.suppress(Exception):
            revoked = self._revoke()
            # A renewal after it would join again.
            self._thread.shutdown(wait=False)
            revoked.get()
        self._gateway.close()
        self._tooz.stop()

    @_in_thread
    def _revoke(self) -> None:
        """Revoke the lease, also one that a renewal under way makes."""
        # tooz does not promise to revoke it.
        lease = self._tooz._membership_lease
        if lease is not None:
            lease.revoke()

    @_in_thread
    def renew(self, group: bytes, capabilities: dict[str, Any]) -> None:
        """Renew the lease, and restore the member if its key is gone."""
        self._tooz.heartbeat()
        lease = self._tooz._membership_lease.id
        if self._lease not in (None, lease):
            # With another id, readers see that the member was gone.
            self._member_id = naming.renewed(self._member_id)
        self._lease = lease
        self._put(group, self._member_id, tooz_utils.dumps(capabilities))

    @_in_thread
    def put_mark(self, group: bytes, mark: str) -> None:
        """Put a mark beside the member, with the same lease."""
        self._put(group, naming.marked(self._member_id, mark), b'')

    @_in_thread
    def drop_mark(self, group: bytes, mark: str) -> None:
        """Remove a mark."""
        self._delete(group, naming.marked(self._member_id, mark))

    @_in_thread
    def end(self, group: bytes, member: bytes, mark: bytes) -> None:
        """Remove any member, if it is there; leave a mark with its lease.

        A server that lacks space lets members be removed, but no mark be left.
        """
        client, key = self._tooz.client, self._key(group)
        for _, found in client.get(key + member, metadata=True):
            lease = int(found.get('lease', 0))
            try:
                client.transaction(members.end(key, member, lease, mark))
            except Exception as error:
                LOG.debug('No mark is left: %s', requests.reason(error))
                self._delete(group, member)

    @_in_thread
    def read(self, group: members.Group) -> members.State:
        """Read a group."""
        return group.read(self._tooz.client)

    @_in_thread
    def get_groups(self) -> Any:
        """Read a key of the namespace that does not exist."""
        return self._tooz.client.get(self._key(b''))

    @_in_thread
    def get_member_capabilities(self, group: bytes, member: bytes) -> Any:
        """Read what a member stores beside its id."""
        found = self._tooz.client.get(self._key(group) + member)
        return decoding.decode_or_none(found[0]) if found else None

    def _put(self, group: bytes, name: bytes, value: bytes) -> None:
        """Write a key with the lease, and its group, if they are missing."""
        lease, client = self._tooz._membership_lease.id, self._tooz.client
        key = self._key(group)
        found = client.transaction(members.check(key, name, lease))
        if not found.get('succeeded'):
            client.transaction(members.join(key, name, lease, value))

    def _delete(self, group: bytes, name: bytes) -> None:
        self._tooz.client.delete(self._key(group) + name)

    def _key(self, group: bytes) -> bytes:
        return members.key(self._settings.namespace, group)

    def _submit(self, call: Callable[..., Any], *args: Any) -> Any:
        deadline = requests.Deadline(self._settings.wait)

        def bounded() -> Any:
            self._gateway.deadline = deadline
            return call(*args)

        return coordination.CoordinatorResult(self._thread.submit(bounded))


def for_peer(settings: Settings, member_id: bytes) -> Any:
    """Return the coordinator of tooz itself, for programs of our own."""
    decoding.guard_tooz()
    made = _tooz(settings, member_id)
    # tooz says that a membership needs no heartbeats, but its lease does.
    made.CHARACTERISTICS = ()
    return made


def _tooz(settings: Settings, member_id: bytes) -> Any:
    """Return a coordinator of tooz with a session of ours.

    Its URL takes only one server, and no credentials.
    """
    scheme = 'https' if settings.endpoints.secure else 'http'
    made = coordination.get_coordinator(
        f'etcd3+{scheme}://{settings.endpoints.servers[0]}',
        member_id,
        api_version='v3',
        timeout=settings.expiry,
        membership_timeout=settings.expiry,
        lock_timeout=settings.expiry,
    )
    made.client.session = gateway.Gateway(settings.endpoints, settings.wait)
    return made
