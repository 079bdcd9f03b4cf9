# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""A few processes that share a task, as members of one tooz group.

Each sees who else is there, in the order in which they joined, and what each
has published.
"""

from __future__ import annotations

import dataclasses
from importlib import metadata
import time
from typing import Any, NoReturn
import urllib.parse

from oslo_config import cfg
from oslo_utils import strutils

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import decoding
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.common import starting
from nova_servicegroup import exceptions

coordination = requests.try_import('tooz.coordination')

#: What other backends of tooz take, at the least (seconds).
_URL_TTL = 10
_URL_LIMITS = connections.Limits(2.5 * _URL_TTL, 5.0)
#: So many others there may be. Each is asked what it has published.
_MOST = 100


@dataclasses.dataclass(frozen=True)
class Peers:
    """Who is there.

    :ivar me: this process
    :ivar since: when it joined, by the monotonic clock
    :ivar others: what the others have published; None: nothing yet
    :ivar asked: when they were asked, by the monotonic clock
    """

    me: bytes
    since: float
    others: dict[bytes, Any]
    asked: float

    def by_age(self) -> list[bytes]:
        """Return the others, whoever has joined first before the others."""
        return sorted(self.others, key=_age)

    def older(self) -> list[bytes]:
        """Return those who have joined before this process, by age."""
        return [each for each in self.by_age() if _age(each) < _age(self.me)]


class PeerGroup:
    """One member. For one thread; only close is for any.

    Each coordinator has a member id of its own. One that has lost its
    membership is replaced, so whoever was away is the youngest.

    :param expiry: a member that is silent for so long may be gone (seconds)
    :param wait: seconds that an answer may take
    """

    def __init__(
        self,
        connection: connections.Connection,
        group: str,
        expiry: float,
        wait: float,
    ) -> None:
        self.backend = connection.backend
        self.expiry = expiry
        self._connection = connection
        self._sessions = sessions.Sessions(connection, group)
        self._wait = min(wait, expiry / 4)
        self._joined: tuple[bytes, float] | None = None

    def meet(self) -> Peers:
        """See to it that this process is a member; return who else is.

        :raises BackendError: it is not, or that cannot be told
        """
        with self._sessions.lend(requests.Deadline(self._wait)) as session:
            me = session.member_id
            if not self._has_joined(me):
                session.create()
                # Not collected: tooz would hang on stopping what has joined.
                session.join({}, collect=False)
            _beat(session.coordinator)
            ids = _members(session)
            if me not in ids:
                self._forget()
            if not self._has_joined(me):
                self._joined = me, time.monotonic()
            self._check(len(ids) - 1)
            others = {
                each: said.get('published') if isinstance(said, dict) else None
                for each, said in session.said(ids - {me}).items()
            }
        assert self._joined is not None  # noqa: S101
        asked_at = self._sessions.request.asked_at
        return Peers(me, self._joined[1], others, asked_at)

    def publish(self, value: bytes) -> float:
        """Let the others see a value.

        :returns: a moment at which this process was a member, and not long
            ago: when the backend was asked, by the monotonic clock
        :raises BackendError: it is none any more, or that cannot be told
        """
        with self._sessions.lend(requests.Deadline(self._wait)) as session:
            if not self._has_joined(session.member_id):
                self._forget()
            try:
                session.ask(
                    'publish',
                    session.coordinator.update_capabilities,
                    session.group,
                    {'published': value},
                )
            except (
                coordination.MemberNotJoined,
                coordination.GroupNotCreated,
            ):
                self._forget()
        return self._sessions.request.asked_at

    def close(self, wait: float) -> None:
        """Leave, waiting at most so many seconds."""
        self._connection.close(wait)

    def _has_joined(self, me: bytes) -> bool:
        return self._joined is not None and self._joined[0] == me

    def _check(self, others: int) -> None:
        """Refuse a group that nobody can have filled but a stranger."""
        if others > _MOST:
            raise exceptions.BackendError(
                self.backend,
                f'{others} others are in the group, which is not possible: '
                'somebody else writes there',
            )

    def _forget(self) -> NoReturn:
        """Begin anew, with another member id."""
        if self._joined is not None:
            self._joined = None
            self._connection.discard()
        raise exceptions.BackendError(self.backend, 'the membership is gone')


def _beat(coordinator: Any) -> None:
    """Renew a membership that expires without; ZooKeeper's does not."""
    steady = coordination.Characteristics.NON_TIMEOUT_BASED
    if steady not in coordinator.CHARACTERISTICS:
        coordinator.heartbeat()


def _age(member_id: bytes) -> tuple[float, bytes]:
    """Return what sorts members by the time at which they joined."""
    return naming.joined(member_id) or 0.0, member_id


def _members(session: sessions.Session) -> set[bytes]:
    """Return those whose age can be told; others are none of ours."""
    try:
        found = session.ask(
            'members', session.coordinator.get_members, session.group
        )
    except coordination.GroupNotCreated:
        return set()
    return {each for each in found if naming.joined(each) is not None}


def by_url(conf: cfg.ConfigOpts, url: str, group: str, host: str) -> PeerGroup:
    """Return this process's part in a group on a backend of tooz.

    :param url: of tooz
    :param host: where it runs
    :raises ConfigurationError: tooz knows no such backend
    :raises LibraryMissing: tooz, or the backend's client, is not installed
    :raises LibraryUnusable: it is, and cannot be imported
    """
    requests.require('monitor', 'tooz', 'zk')
    connection = connections.Connection(_Url(url), host, _URL_LIMITS)
    wait = float(conf.servicegroup.read_timeout)
    return PeerGroup(connection, group, _URL_TTL, wait)


class _Url(starting.Factory):
    """Makes the coordinators of a URL, in a program of our own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._parts = parts = urllib.parse.urlsplit(url)
        known = sorted(metadata.entry_points(group='tooz.backends').names)
        if parts.scheme not in known:
            raise _refused(
                f'a URL of tooz that begins with one of {", ".join(known)}'
            )
        place = parts.hostname or parts.path.rpartition('@')[2]
        self.backend = f'{parts.scheme}://{place}'
        decoding.guard_tooz()

    def make(self, member_id: bytes) -> Any:
        """See starting.Factory.

        :raises ConfigurationError: TLS is wanted, and tooz does not do it
        """
        made = coordination.get_coordinator(self._url, member_id)
        if self._parts.scheme.startswith('etcd3+'):
            # tooz says that a membership needs no heartbeats. Its lease does.
            made.CHARACTERISTICS = ()
        said = dict(urllib.parse.parse_qsl(self._parts.query))
        if (
            self._parts.scheme == 'memcached'
            and strutils.bool_from_string(said.get('use_ssl'))
            and getattr(made, 'ssl_context', None) is None
        ):
            raise _refused(
                'memcached without use_ssl, or tooz 7.0 or later: pip install '
                'nova-servicegroup[mc-tls]'
            )
        return made


def _refused(accepted: str) -> exceptions.ConfigurationError:
    return exceptions.ConfigurationError(
        '[servicegroup_monitor] backend_url', None, accepted
    )
