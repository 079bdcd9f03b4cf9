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

"""tooz's coordinator for etcd, and what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
import contextlib
from typing import Any, Protocol

from nova_servicegroup.drivers.common import decoding
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.etcd import gateway
from nova_servicegroup.drivers.etcd import members

coordination = requests.try_import('tooz.coordination')
tooz_utils = requests.try_import('tooz.utils')


class Settings(Protocol):
    """What a coordinator goes by.

    :ivar wait: seconds that several questions may take, one after the other
    :ivar expiry: seconds after which a lease ends that is not renewed
    :ivar namespace: of the groups, among those of others
    """

    place: gateway.Place
    wait: float
    expiry: int
    namespace: str


class Coordinator:
    """One lease, and one connection. Each method returns tooz's result.

    All that is asked shares one thread, and is bounded from when it was asked.
    """

    def __init__(self, settings: Settings, member_id: bytes) -> None:
        self._settings = settings
        self._gateway = _gateway(settings)
        self._tooz = _tooz(settings, self._gateway, member_id)
        self._member_id = member_id
        self._lease: int | None = None
        # That of tooz takes a second to stop.
        self._thread = futures.ThreadPoolExecutor(1, 'servicegroup-etcd')

    def start(self) -> None:
        """Get a lease."""
        self._tooz.start()

    def stop(self) -> None:
        """Give up the lease, and all that goes with it."""
        # tooz does not promise to keep it.
        lease = self._tooz._membership_lease
        if lease is not None:
            with contextlib.suppress(Exception):
                self._submit(lease.revoke).get()
        self._thread.shutdown(wait=False)
        self._gateway.close()
        self._tooz.stop()

    def renew(self, group: bytes, said: dict[str, Any]) -> Any:
        """Renew the lease, and the membership where it is gone.

        :param said: what the member says of itself
        """
        return self._submit(self._renew, group, said)

    def put_mark(self, group: bytes, mark: str) -> Any:
        """Have a mark beside the member, with its lease."""
        return self._submit(self._put_mark, group, mark)

    def drop_mark(self, group: bytes, mark: str) -> Any:
        """Remove a mark."""
        return self._submit(self._drop_mark, group, mark)

    def read(self, group: members.Group) -> Any:
        """Read a group; see members.State."""
        return self._submit(group.read, self._tooz.client)

    def get_groups(self) -> Any:
        """Ask for a key of the namespace that nobody has."""
        return self._submit(self._tooz.client.get, self._key(b''))

    def get_member_capabilities(self, group: bytes, member: bytes) -> Any:
        """Read what a member says of itself."""
        return self._submit(self._said, group, member)

    def _renew(self, group: bytes, said: dict[str, Any]) -> None:
        self._tooz.heartbeat()
        lease = self._tooz._membership_lease.id
        if self._lease not in (None, lease):
            # Who reads must see that it was gone.
            self._member_id = naming.member_id(naming.host_of(self._member_id))
        self._lease = lease
        self._tooz.client.transaction(
            members.joining(
                self._key(group),
                self._member_id,
                lease,
                tooz_utils.dumps(said),
            )
        )

    def _put_mark(self, group: bytes, mark: str) -> None:
        name = naming.marked(self._member_id, mark)
        lease = self._tooz._membership_lease.id
        self._tooz.client.transaction(
            members.joining(self._key(group), name, lease, b'')
        )

    def _drop_mark(self, group: bytes, mark: str) -> None:
        name = naming.marked(self._member_id, mark)
        self._tooz.client.delete(self._key(group) + name)

    def _said(self, group: bytes, member: bytes) -> Any:
        found = self._tooz.client.get(self._key(group) + member)
        return decoding.decode_or_none(found[0]) if found else None

    def _key(self, group: bytes) -> bytes:
        return members.key(self._settings.namespace, group)

    def _submit(self, call: Callable[..., Any], *args: Any) -> Any:
        deadline = requests.Deadline(self._settings.wait)

        def bounded() -> Any:
            self._gateway.deadline = deadline
            return call(*args)

        return coordination.CoordinatorResult(self._thread.submit(bounded))


def for_peer(settings: Settings, member_id: bytes) -> Any:
    """Return tooz's own, for programs of our own."""
    decoding.guard_tooz()
    made = _tooz(settings, _gateway(settings), member_id)
    # tooz says that a membership needs no heartbeats. Its lease does.
    made.CHARACTERISTICS = ()
    return made


def _gateway(settings: Settings) -> gateway.Gateway:
    return gateway.Gateway(settings.place, settings.wait)


def _tooz(
    settings: Settings,
    posting: gateway.Gateway,
    member_id: bytes,
) -> Any:
    """Return a coordinator; its URL takes one server, and no credentials."""
    scheme = 'https' if settings.place.secure else 'http'
    made = coordination.get_coordinator(
        f'etcd3+{scheme}://{settings.place.servers[0]}',
        member_id,
        api_version='v3',
        timeout=settings.expiry,
        membership_timeout=settings.expiry,
        lock_timeout=settings.expiry,
    )
    made.client.session = posting
    return made
