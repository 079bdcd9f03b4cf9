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

"""The etcd driver with its registration and its reader."""

from oslo_config import cfg

from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import coordinated
from nova_servicegroup.drivers.common import registration
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import roster_reader
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.etcd import configuration
from nova_servicegroup.drivers.etcd import members
from nova_servicegroup import evidence
from nova_servicegroup import pace


class EtcdDriver(coordinated.CoordinatedDriver):
    """A driver whose members are keys with leases, one for each process.

    Options: ``[etcd] address``, ``ttl``, ``namespace``, ``username``,
    ``password``, ``use_tls``, ``ca_file``, ``cert_file``, ``key_file``. A
    dead member is found when its lease expires.

    What tooz's own driver for etcd lacks:

    - its heartbeat replaces an expired lease, but does not restore the keys:
      here each heartbeat compares the lease of the member's key, and writes
      the key if it differs;
    - it knows one server: see gateway;
    - its join and its list of members read the whole group: see members.
    """

    backend = base.ETCD
    readings_agree = True
    cost = base.Cost(
        threads=1,
        files=1,
        spread=True,
        max_connections=65536,
        setting='LimitNOFILE in the unit of etcd',
    )

    _settings: configuration.Settings

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        requests.require('etcd', 'etcd3gw', 'etcd', 'tooz.drivers.etcd3gw')
        super().__init__(conf, configuration.Settings(conf))

    def _register(self, host: str, group: str) -> 'Registration':
        return Registration(self._settings, host, group)

    def _connect(self) -> roster_reader.Backend:
        return roster_reader.Backend(self._settings, GroupReader)


class Registration(registration.Registration):
    """A registration whose key is verified at each heartbeat.

    Only heartbeats renew the lease, so it expires when the timers of the
    service stop.
    """

    def _verify(self, session: sessions.Session) -> float:
        """See registration.Registration."""
        renew = session.coordinator.renew
        session.ask('renew', renew, session.group, self._capabilities())
        return self._sessions.request.asked_at

    def _put_mark(self, session: sessions.Session, mark: str) -> None:
        """See registration.Registration."""
        put = session.coordinator.put_mark
        session.ask(f'mark {mark}', put, session.group, mark)

    def _drop_mark(self, session: sessions.Session, mark: str) -> None:
        """See registration.Registration."""
        drop = session.coordinator.drop_mark
        session.ask(f'drop {mark}', drop, session.group, mark)


class GroupReader(roster_reader.RosterReader):
    """A reader of one group."""

    def __init__(self, backend: roster_reader.Backend, group: str) -> None:
        super().__init__(backend, group)
        namespace = backend.settings.conf.etcd.namespace
        key = members.key(namespace, self._sessions.group)
        self._members = members.Group(key)
        self._marker: str | None = None

    def _read(self, session: sessions.Session) -> evidence.Reading:
        """See RosterReader."""
        state = session.ask(
            'read', session.coordinator.read, self._members, max_age=pace.IDLE
        )
        known, self._marker = self._marker, state.marker
        if state.marker is None or known not in (None, state.marker):
            return self._emptied_reading(state.ids)
        return self._full_reading(session, state.ids)

    def _end_member(
        self, session: sessions.Session, member_id: bytes, mark: bytes
    ) -> None:
        """See RosterReader."""
        end = session.coordinator.end
        session.ask(f'end {member_id!r}', end, session.group, member_id, mark)
