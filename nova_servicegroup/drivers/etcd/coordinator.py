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

from collections.abc import Callable
from concurrent import futures
import contextlib
import functools
import math
from typing import Any

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import decoding
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import provenance
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.etcd import configuration
from nova_servicegroup.drivers.etcd import gateway
from nova_servicegroup.drivers.etcd import members

coordination = requests.try_import('tooz.coordination')
tooz_utils = requests.try_import('tooz.utils')


class Coordinator:
    """One lease, and one connection. Each method returns tooz's result.

    All that is asked shares one thread, and is bounded from when it was asked.
    """

    def __init__(
        self, settings: configuration.Settings, member_id: bytes
    ) -> None:
        self._settings = settings
        self._session = gateway.Session(settings)
        self._tooz = _tooz(settings, self._session, member_id)
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
        self._session.close()
        self._tooz.stop()

    def renew(self, group: bytes) -> Any:
        """Renew the lease, and the membership where it is gone."""
        return self._submit(functools.partial(self._renew, group))

    def read(self, group: members.Group) -> Any:
        """Read a group; see members.State."""
        return self._submit(functools.partial(group.read, self._tooz.client))

    def get_member_capabilities(self, group: bytes, member: bytes) -> Any:
        """Read what a member says of itself."""
        return self._submit(functools.partial(self._said, group, member))

    def _renew(self, group: bytes) -> None:
        self._tooz.heartbeat()
        lease = self._tooz._membership_lease.id
        if self._lease not in (None, lease):
            # Who reads must see that it was gone.
            self._member_id = naming.member_id(naming.host_of(self._member_id))
        self._lease = lease
        said = provenance.origin(self._settings.conf.servicegroup_driver)
        self._tooz.client.transaction(
            members.joining(
                members.key(self._settings.namespace, group),
                self._member_id,
                lease,
                tooz_utils.dumps(said),
            )
        )

    def _said(self, group: bytes, member: bytes) -> Any:
        key = members.key(self._settings.namespace, group)
        found = self._tooz.client.get(key + member)
        return decoding.decode_or_none(found[0]) if found else None

    def _submit(self, call: Callable[[], Any]) -> Any:
        deadline = requests.Deadline(self._settings.wait)

        def bounded() -> Any:
            self._session.deadline = deadline
            return call()

        return coordination.CoordinatorResult(self._thread.submit(bounded))


def connection(
    settings: configuration.Settings, host: str
) -> connections.Connection:
    """Return a connection whose coordinators get member ids of a host."""
    return _connection(settings, host, Coordinator)


def peer_connection(
    settings: configuration.Settings, host: str
) -> connections.Connection:
    """Return one of which the coordinators are tooz's own."""

    def make(settings: configuration.Settings, member_id: bytes) -> Any:
        decoding.guard_tooz()
        made = _tooz(settings, gateway.Session(settings), member_id)
        # tooz says that a membership needs no heartbeats. Its lease does.
        made.CHARACTERISTICS = ()
        return made

    return _connection(settings, host, make)


def _connection(
    settings: configuration.Settings,
    host: str,
    make: Callable[[configuration.Settings, bytes], Any],
) -> connections.Connection:
    # One that fails goes on to the next server by itself, and gets a lease
    # when it can, so it need not be replaced.
    return connections.Connection(
        settings.backend,
        connections.HostFactory(host, functools.partial(make, settings)),
        connections.Limits(math.inf, settings.ttl / 4),
    )


def _tooz(
    settings: configuration.Settings,
    session: gateway.Session,
    member_id: bytes,
) -> Any:
    made = coordination.get_coordinator(
        settings.url,
        member_id,
        api_version='v3',
        timeout=settings.ttl,
        membership_timeout=settings.ttl,
        lock_timeout=settings.ttl,
    )
    made.client.session = session
    return made
