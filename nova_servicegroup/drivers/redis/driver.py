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

"""The redis driver, its members, and its readers."""

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
from nova_servicegroup.drivers.redis import internals
from nova_servicegroup.drivers.redis import memory
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup import pace

coordination = requests.try_import('tooz.coordination')

#: One in so many joins removes those that have died.
_SWEEP = 50
#: Seconds that it may take to remove a mark.
_LEAVE = 0.5
_UNCONFIRMED = 'most Sentinels do not say that this is the server'


class RedisDriver(coordinated.CoordinatedDriver):
    """Members are keys that expire, one for each process that joined.

    Options: those of ``[redis]``, or else ``[coordination] backend_url``. A
    dead member is found when its key expires.

    What tooz's driver for redis does, and this one does not: its heartbeat
    never joins again, its readers remove members whose key has expired, it
    tries fifteen times whatever fails, and it takes any data for its own.
    """

    backend = base.REDIS
    cost = base.Cost(
        threads=1,
        files=4,
        spread=False,
        taken=10000,
        setting='maxclients in redis.conf',
    )

    _settings: configuration.Settings

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        requests.require(
            'redis', 'redis', 'redis', 'tooz.drivers.redis', 'redis.sentinel'
        )
        super().__init__(conf, configuration.Settings(conf))

    def _register(self, host: str, group: str) -> 'Registration':
        return Registration(self._settings, host, group)

    def _connect(self) -> roster_reader.Backend:
        return roster_reader.Backend(self._settings, GroupReader)


class Registration(registration.Registration):
    """A key that expires, renewed at each heartbeat."""

    def _keep(self, session: sessions.Session) -> None:
        """See registration.Registration.

        Somebody may have removed the member, or everything.
        """
        servers = internals.Group(session)
        said = self._said()
        if servers.ask('renew', servers.renew) == internals.packed(said):
            return
        # Others have yet to join: whoever reads must know it before it sees
        # the first of them.
        servers.ask('mark', servers.mark, self._settings.settle_time)
        session.create()
        # It was there, with something else in it, which is replaced.
        with contextlib.suppress(coordination.MemberAlreadyExist):
            session.join(said)
        if not random.randrange(_SWEEP):
            servers.ask('sweep', servers.sweep)

    def _leave(self) -> None:
        """See registration.Registration.

        A mark would expire by itself. Until then, older releases take it for
        the member's.
        """
        self._mark = None
        with contextlib.suppress(exceptions.BackendError):
            self._tend_mark(requests.Deadline(min(self._wait, _LEAVE)))
        super()._leave()

    def _put_mark(self, session: sessions.Session, mark: str) -> None:
        """See registration.Registration."""
        servers = internals.Group(session)
        servers.ask(f'mark {mark}', servers.put_mark, mark)

    def _drop_mark(self, session: sessions.Session, mark: str) -> None:
        """See registration.Registration."""
        servers = internals.Group(session)
        servers.ask(f'drop {mark}', servers.drop_mark, mark)


class GroupReader(roster_reader.RosterReader):
    """Reads one group."""

    def __init__(self, backend: roster_reader.Backend, group: str) -> None:
        super().__init__(backend, group)
        # Where nobody waits, the next read fetches what this one asks: two
        # questions of one request would put each other off for ever.
        self._confirmation = requests.Request(backend.settings.backend)
        self._memory = memory.Memory(
            backend.settings.settle_time,
            float(opts.hold_time(backend.settings.conf)),
        )

    def _read(self, session: sessions.Session) -> evidence.Reading:
        """See RosterReader."""
        servers = internals.Group(session)
        answer = servers.ask('get members', servers.read, max_age=pace.IDLE)
        hosts = self._roster.take(answer.ids or frozenset())
        if self._memory.misses(hosts):
            beside = internals.Group(session.beside(self._confirmation))
            if not beside.ask('confirm', beside.confirm, max_age=pace.IDLE):
                raise exceptions.BackendError(
                    self._confirmation.backend, _UNCONFIRMED
                )
        self._origins.look(session)
        return self._memory.take(answer, hosts)
