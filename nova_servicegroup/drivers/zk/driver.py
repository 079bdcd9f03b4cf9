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

"""The zk driver and its group reader."""

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import coordinated
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import roster_reader
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.zk import internals
from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup.drivers.zk import registration
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import membership
from nova_servicegroup import pace

LOG = logging.getLogger(__name__)

coordination = requests.try_import('tooz.coordination')


class ZooKeeperDriver(coordinated.CoordinatedDriver):
    """A driver whose members are ephemeral nodes, one for each process.

    Options: ``[zookeeper] address``, ``session_timeout``, ``namespace``,
    ``username``, ``password``, ``use_tls``, ``ca_file``, ``check_hostname``,
    ``cert_file``, ``key_file``, ``key_password``. A dead member is found when
    its session expires.
    """

    backend = base.ZOOKEEPER
    readings_agree = True
    cost = base.Cost(
        threads=4,
        files=4,
        spread=True,
        max_connections=60,
        setting='maxClientCnxns in zoo.cfg (0: no limit)',
    )

    _settings: kazoo_client.Settings

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        requests.require('zk', 'kazoo', 'zk', 'tooz.drivers.zookeeper')
        super().__init__(conf, kazoo_client.Settings(conf))

    def _register(self, host: str, group: str) -> registration.Registration:
        return registration.Registration(self._settings, host, group)

    def _connect(self) -> roster_reader.Backend:
        return roster_reader.Backend(self._settings, GroupReader)


class GroupReader(roster_reader.RosterReader):
    """Reads one group from ZooKeeper."""

    def _read(self, session: sessions.Session) -> evidence.Reading:
        """See RosterReader."""
        try:
            ids = session.ask(
                'get members',
                session.coordinator.get_members,
                session.group,
                max_age=pace.IDLE,
            )
        except coordination.GroupNotCreated:
            return self._emptied_reading(frozenset())
        return self._full_reading(session, ids)

    def _end_member(
        self, session: sessions.Session, member_id: bytes, mark: bytes
    ) -> None:
        """See RosterReader.

        The mark lasts as long as the session of this process, which removes
        those that it has left before. Where it may not be made, for a quota or
        an ACL, the member ends without one.
        """
        try:
            internals.put(session, mark)
        except exceptions.BackendError:
            raise
        except Exception as error:
            LOG.debug('No mark is left: %s', requests.reason(error))
        internals.remove(session, member_id)
        host = membership.canonical(naming.host_of(member_id))
        for each in self._roster.ended_marks(host):
            if each != mark:
                internals.remove(session, each)
