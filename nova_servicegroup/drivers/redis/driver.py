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

"""The redis driver with its registration and its reader."""

import contextlib
import random

from oslo_config import cfg

from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import coordinated
from nova_servicegroup.drivers.common import registration
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import roster_reader
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.redis import configuration
from nova_servicegroup.drivers.redis import history
from nova_servicegroup.drivers.redis import internals
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup import pace

coordination = requests.try_import('tooz.coordination')

#: One of so many joins removes the dead members of the group.
_SWEEP = 50
#: Seconds that removing a mark may take when a member leaves.
_LEAVE = 0.5
_UNCONFIRMED = 'most Sentinels do not say that this is the server'


class RedisDriver(coordinated.CoordinatedDriver):
    """A driver whose members are keys that expire, one for each process.

    Options: those of ``[redis]``, or else ``[coordination] backend_url``. A
    dead member is found when its key expires.

    This driver avoids these traps of tooz's own for redis: its heartbeat never
    rejoins, its readers remove members whose key has expired, it repeats each
    failed call fifteen times, and it trusts any data.
    """

    backend = base.REDIS
    cost = base.Cost(
        threads=1,
        files=4,
        spread=False,
        max_connections=10000,
        setting='maxclients in redis.conf',
    )

    _settings: configuration.Settings

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        requests.require(
            'redis', 'redis', 'redis', 'tooz.drivers.redis', 'redis.sentinel'
        )
        settings = configuration.Settings(conf)
        super().__init__(conf, settings)
        # A server that takes over may not have what the other confirmed.
        self.readings_agree = not settings.has_sentinels

    def _register(self, host: str, group: str) -> 'Registration':
        return Registration(self._settings, host, group)

    def _connect(self) -> roster_reader.Backend:
        return roster_reader.Backend(self._settings, GroupReader)


class Registration(registration.Registration):
    """A registration whose key is renewed at each heartbeat."""

    def _verify(self, session: sessions.Session) -> float | None:
        """See registration.Registration.

        The member, or all data of the server, may have been removed.
        """
        group, capabilities = internals.Group(session), self._capabilities()
        if group.ask('renew', group.renew, capabilities):
            return self._sessions.request.asked_at
        # Other members have yet to rejoin. Readers must know that before they
        # see the first member.
        group.ask('mark', group.mark_young, self._settings.settle_time)
        session.create()
        # A member with other capabilities is overwritten all the same.
        with contextlib.suppress(coordination.MemberAlreadyExist):
            session.join(capabilities)
        if not random.randrange(_SWEEP):
            group.ask('sweep', group.sweep)
        return None

    def leave(self) -> None:
        """See registration.Registration.

        Remove the mark first. It would expire by itself, but until then older
        releases take it for the member.
        """
        self._mark = None
        with contextlib.suppress(exceptions.BackendError):
            self._update_mark(requests.Deadline(min(self._wait, _LEAVE)))
        super().leave()

    def _put_mark(self, session: sessions.Session, mark: str) -> None:
        """See registration.Registration."""
        group = internals.Group(session)
        group.ask(f'mark {mark}', group.put_mark, mark)

    def _drop_mark(self, session: sessions.Session, mark: str) -> None:
        """See registration.Registration."""
        group = internals.Group(session)
        group.ask(f'drop {mark}', group.drop_mark, mark)


class GroupReader(roster_reader.RosterReader):
    """A reader of one group."""

    def __init__(self, backend: roster_reader.Backend, group: str) -> None:
        super().__init__(backend, group)
        # A read that does not wait leaves its question to the next one. Two
        # questions in one request would displace each other for ever.
        self._confirmation = requests.Request(backend.settings.backend)
        self._history = history.History(
            backend.settings.settle_time,
            float(opts.hold_time(backend.settings.conf)),
        )

    def _read(self, session: sessions.Session) -> evidence.Reading:
        """See RosterReader."""
        group = internals.Group(session)
        answer = group.ask('get members', group.read, max_age=pace.IDLE)
        hosts = self._roster.update(answer.ids or frozenset())
        if self._history.misses(hosts):
            group = internals.Group(session.with_request(self._confirmation))
            if not group.ask('confirm', group.confirm, max_age=pace.IDLE):
                raise exceptions.BackendError(
                    self._confirmation.backend, _UNCONFIRMED
                )
        self._origins.check_one(session)
        return self._history.update(answer, hosts)

    def _end_member(
        self, session: sessions.Session, member_id: bytes, mark: bytes
    ) -> None:
        """See RosterReader."""
        group = internals.Group(session)
        group.ask(f'end {member_id!r}', group.end, member_id, mark)
