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

"""ZooKeeper: a member is an ephemeral node."""

from collections.abc import Callable, Sequence
import contextlib
import functools
import time
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import importutils

from nova_servicegroup.drivers import _connection
from nova_servicegroup.drivers import _coordinated
from nova_servicegroup.drivers import _names
from nova_servicegroup.drivers import _origin
from nova_servicegroup.drivers import _tooz
from nova_servicegroup.drivers import _twins
from nova_servicegroup.drivers import _zookeeper
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup import opts
from nova_servicegroup import reporter
from nova_servicegroup import services

#: Seconds between two beats while they fail.
_RETRY_INTERVAL = 0.5

#: Seconds between two questions when the first was answered by an error.
_RETRY = 0.05

#: So many members are asked at once where they run.
_ORIGINS = 100

LOG = logging.getLogger(__name__)

coordination = importutils.try_import('tooz.coordination')


class ZooKeeperDriver(_coordinated.CoordinatedDriver):
    """Members are ephemeral nodes, one for each process that joined.

    Options: ``[zookeeper] address``, ``session_timeout``, ``namespace``,
    ``username``, ``password``, ``use_tls``, ``ca_file``, ``cert_file``,
    ``key_file``, ``key_password``. A dead member is found when its session
    expires.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        _tooz.require('zk', 'kazoo', 'zk')
        settings = _zookeeper.Settings(conf)
        super().__init__(
            conf,
            functools.partial(_Attendance, settings),
            functools.partial(_Backend, settings),
        )
        self.servers = settings.hosts
        # The servers look once in a tick, of which a session has at least two.
        self.found_within = 1.5 * settings.session_timeout


class _Attendance:
    """One member of one group, for as long as its service runs."""

    def __init__(
        self, settings: _zookeeper.Settings, host: str, group: str
    ) -> None:
        conf = settings.conf
        self._leave_on_stop = conf.servicegroup.leave_on_stop
        self._settings = settings
        self._group = _names.escape(group).encode('ascii')
        # A server that is mute for longer would end the session: another
        # one is made beside it, in time.
        self._connection = settings.connection(
            functools.partial(_names.member_id, host), patience=1 / 12
        )
        self._request = _tooz.Request(self._connection.backend)
        self._wait = float(conf.servicegroup.read_timeout)
        self._reads = conf.servicegroup_driver
        name = f'Member {host} of group {group} (zk)'
        self.reporter = reporter.Reporter(name, self._beat, self._leave)
        self._gate = reporter.ProgressGate(
            self.reporter,
            self._connection.discard,
            opts.service_down_time(conf),
        )

    def start(self, service: services.Service) -> None:
        """Join, as far as it is possible at once, and go on beating."""
        interval = min(
            float(service.report_interval), self._settings.session_timeout / 3
        )
        self._wait = min(self._wait, interval / 2)
        self.reporter.run()
        self.reporter.start(
            service, interval, self._leave_on_stop, _RETRY_INTERVAL
        )
        service.on_stop(self._gate.stop)
        self._gate.start()

    def stop(self) -> None:
        """Leave the group."""
        self._gate.stop()
        self.reporter.stop()

    def _leave(self) -> None:
        self._connection.close(wait=1.0)

    def _beat(self) -> None:
        """Verify the membership, and restore it where it is gone."""
        deadline = _tooz.Deadline(self._wait)
        with self._connection.use(deadline) as connected:
            ask = functools.partial(self._ask, connected, deadline)
            if not self._is_joined(connected, ask):
                self._join(connected, ask)

    def _ask(
        self,
        connected: _connection.Connected,
        deadline: _tooz.Deadline,
        name: str,
        issue: Callable[[], Any],
        collect: bool = True,
    ) -> Any:
        return self._request.ask(
            connected.coordinator, name, issue, deadline, collect
        )

    def _is_joined(
        self, connected: _connection.Connected, ask: Callable[..., Any]
    ) -> bool:
        # tooz's heartbeat succeeds whether or not the member is there.
        try:
            ask(
                'verify',
                functools.partial(
                    connected.coordinator.get_member_capabilities,
                    self._group,
                    connected.member_id,
                ),
            )
        except coordination.MemberNotJoined:
            return False
        return True

    def _join(
        self, connected: _connection.Connected, ask: Callable[..., Any]
    ) -> None:
        # The group is there, unless this is the first to join it.
        if self._try_to_join(connected, ask):
            return
        create = connected.coordinator.create_group
        with contextlib.suppress(coordination.GroupAlreadyExist):
            ask('create group', functools.partial(create, self._group))
        if not self._try_to_join(connected, ask):
            raise exceptions.BackendError(
                self._connection.backend, 'the membership was not accepted'
            )

    def _try_to_join(
        self, connected: _connection.Connected, ask: Callable[..., Any]
    ) -> bool:
        """Join the group; tell whether that was accepted."""
        # The result is not collected: a coordinator that knows that it has
        # joined cannot be stopped while the servers are away.
        ask(
            'join',
            functools.partial(
                connected.coordinator.join_group,
                self._group,
                _origin.origin(self._reads),
            ),
            collect=False,
        )
        return self._is_joined(connected, ask)


class _Backend:
    """The reading side of one process: one connection, all groups."""

    def __init__(self, settings: _zookeeper.Settings) -> None:
        self._settings = settings
        self._contact = observer.Contact()
        self._connection = settings.connection(
            functools.partial(_names.member_id, 'reader'),
            _tooz.max_idle(settings.session_timeout),
        )

    def reader(self, group: str) -> '_GroupReader':
        """Return a new reader of a group."""
        return _GroupReader(
            self._settings, self._connection, self._contact, group
        )

    def close(self) -> None:
        """See base.Driver."""
        self._connection.close(wait=1.0)

    def check(self) -> str:
        """Ask the servers once; see base.Driver."""
        wait = float(self._settings.session_timeout + 1)
        deadline = _tooz.Deadline(wait)
        with self._connection.use(deadline) as connected:
            groups = connected.coordinator.get_groups().get(deadline.left())
        return f'{self._connection.backend} answers; {len(groups)} groups.'


class _GroupReader(_coordinated.GroupReader):
    """Reads one group."""

    def __init__(
        self,
        settings: _zookeeper.Settings,
        connection: _connection.Connection,
        contact: observer.Contact,
        group: str,
    ) -> None:
        super().__init__(
            settings.conf,
            f'Group {group} (zk)',
            self._read_group,
            contact,
            settle_time=1.5 * settings.session_timeout,
            # Of a tick the servers grant at least two.
            lag=1.75 * settings.session_timeout,
        )
        self._group = _names.escape(group).encode('ascii')
        self._group_name = group
        self._connection = connection
        self._request = _tooz.Request(connection.backend)
        self._roster = _zookeeper.Roster(group)
        self._twins = _twins.Twins(
            group, self._roster, 1.5 * settings.session_timeout
        )

    def view(self, detailed: base.Detailed) -> base.View:
        """See base.Driver."""
        self.members()
        with self._lock, contextlib.suppress(exceptions.BackendError):
            self._ask_origins(detailed)
        return base.view_of(self, self._group_name, self._twins.incarnations)

    def _ask_origins(self, detailed: base.Detailed) -> None:
        """Learn where members run; of doubled hosts, if none is named."""
        unknown = self._twins.unknown(detailed)
        last = len(unknown) if detailed else _ORIGINS
        for start in range(0, min(len(unknown), last), _ORIGINS):
            if self._contact.lost_at is not None:
                return
            deadline = _tooz.Deadline(self._read_timeout)
            with self._connection.use(deadline) as connected:
                some = unknown[start : start + _ORIGINS]
                self._ask_origins_of(connected, some, deadline)

    def _ask_origins_of(
        self,
        connected: _connection.Connected,
        member_ids: Sequence[bytes],
        deadline: _tooz.Deadline,
    ) -> None:
        """Ask about some members at once.

        One that has just left, or whose data is foreign, has no origin.
        """
        ask = connected.coordinator.get_member_capabilities
        answers = self._request.ask(
            connected.coordinator,
            f'origins of {len(member_ids)} members, {member_ids[0]!r} first',
            lambda: _tooz.Answers(
                {each: ask(self._group, each) for each in member_ids}
            ),
            deadline,
        )
        for member_id, found in answers.items():
            self._twins.tell(member_id, found)

    def _read_group(self, wait: float) -> membership.Reading:
        deadline = _tooz.Deadline(wait)
        first: exceptions.BackendError | None = None
        while True:
            try:
                return self._ask_once(deadline)
            except exceptions.BackendTimeout as error:
                raise first or error from None
            except exceptions.BackendError as error:
                # An expired session, or a server that ended, fails what is
                # asked until kazoo has reconnected.
                first = first or error
                if deadline.left() < _RETRY:
                    raise
            time.sleep(_RETRY)

    def _ask_once(self, deadline: _tooz.Deadline) -> membership.Reading:
        with self._connection.use(deadline) as connected:
            coordinator = connected.coordinator
            try:
                ids = self._request.ask(
                    coordinator,
                    'get members',
                    lambda: _zookeeper.Children(
                        coordinator.get_members(self._group)
                    ),
                    deadline,
                    max_age=self._answer_age,
                )
            except coordination.GroupNotCreated:
                return membership.Reading(
                    self._roster.take(frozenset()), emptied=True
                )
            present = self._roster.take(ids)
            self._look_for_twins(connected, deadline)
        return membership.Reading(present)

    def _look_for_twins(
        self, connected: _connection.Connected, deadline: _tooz.Deadline
    ) -> None:
        """Ask about one member in each refresh, at most."""
        doubtful = self._twins.doubtful()
        if doubtful and deadline.left():
            with contextlib.suppress(exceptions.BackendTimeout):
                self._ask_origins_of(connected, doubtful[:1], deadline)
