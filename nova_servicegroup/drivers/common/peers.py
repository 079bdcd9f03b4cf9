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

"""A group of a few processes that share a task, on any backend of tooz.

Each of them sees the others, in the order in which they joined, and what each
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

#: Seconds after which a member expires by the backends of tooz, at least.
_URL_TTL = 10
_URL_LIMITS = connections.Limits(2.5 * _URL_TTL, 5.0)
#: Other members, at most. Each is asked what it has published.
_MOST = 100


@dataclasses.dataclass(frozen=True)
class Peers:
    """The members of the group as one process has read them.

    :ivar me: the member id of this process
    :ivar since: when it joined, by the monotonic clock
    :ivar others: what each other member has published, or None if nothing yet
    :ivar read_at: when the backend was asked for them, by the monotonic clock
    """

    me: bytes
    since: float
    others: dict[bytes, Any]
    read_at: float

    def by_age(self) -> list[bytes]:
        """Return the other members, the one that joined first at the head."""
        return sorted(self.others, key=_age)

    def older(self) -> list[bytes]:
        """Return those that joined before this process, in the same order."""
        return [each for each in self.by_age() if _age(each) < _age(self.me)]


class PeerGroup:
    """One member of the group. Only close may be called by other threads.

    Each coordinator has a member id of its own. One that has lost its
    membership is replaced, so a member that was away is the youngest.

    :param expiry: seconds of silence after which a member may be gone
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

    def read(self) -> Peers:
        """Join the group unless this process is a member, and read it.

        :raises BackendError: it is no member, or there is no answer
        """
        with self._sessions.use(requests.Deadline(self._wait)) as session:
            me = session.member_id
            if not self._has_joined(me):
                session.create()
                # Not collected: tooz would hang on stopping what has joined.
                session.join({}, collect=False)
            _renew(session.coordinator)
            ids = _read_members(session)
            if me not in ids:
                self._replace()
            if not self._has_joined(me):
                self._joined = me, time.monotonic()
            self._check(len(ids) - 1)
            others = {
                each: data.get('published') if isinstance(data, dict) else None
                for each, data in session.capabilities(ids - {me}).items()
            }
        assert self._joined is not None  # noqa: S101
        asked_at = self._sessions.request.asked_at
        return Peers(me, self._joined[1], others, asked_at)

    def publish(self, value: bytes) -> float:
        """Store a value that the other members see.

        :returns: when the backend was asked, by the monotonic clock: a recent
            moment at which this process was a member
        :raises BackendError: it is a member no more, or there is no answer
        """
        with self._sessions.use(requests.Deadline(self._wait)) as session:
            if not self._has_joined(session.member_id):
                self._replace()
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
                self._replace()
        return self._sessions.request.asked_at

    def close(self, wait: float) -> None:
        """Leave the group, waiting for at most wait seconds."""
        self._connection.close(wait)

    def _has_joined(self, me: bytes) -> bool:
        return self._joined is not None and self._joined[0] == me

    def _check(self, others: int) -> None:
        """Raise BackendError if unknown clients must have joined."""
        if others > _MOST:
            raise exceptions.BackendError(
                self.backend,
                f'{others} others are in the group, which is not possible: '
                'another client writes there',
            )

    def _replace(self) -> NoReturn:
        """Drop a coordinator without membership, and raise BackendError."""
        if self._joined is not None:
            self._joined = None
            self._connection.discard()
        raise exceptions.BackendError(self.backend, 'the membership is gone')


def _renew(coordinator: Any) -> None:
    """Renew a membership that expires otherwise; ZooKeeper's does not."""
    steady = coordination.Characteristics.NON_TIMEOUT_BASED
    if steady not in coordinator.CHARACTERISTICS:
        coordinator.heartbeat()


def _age(member_id: bytes) -> tuple[float, bytes]:
    """Return the sort key of a member: when it joined, and its id."""
    return naming.joined(member_id) or 0.0, member_id


def _read_members(session: sessions.Session) -> set[bytes]:
    """Return the members that have an id of ours; others are foreign."""
    try:
        found = session.ask(
            'members', session.coordinator.get_members, session.group
        )
    except coordination.GroupNotCreated:
        return set()
    return {each for each in found if naming.joined(each) is not None}


def by_url(conf: cfg.ConfigOpts, url: str, group: str, host: str) -> PeerGroup:
    """Return the member that this process is to be of a group.

    :param url: the URL of a backend, as tooz takes it
    :param host: the host on which this process runs
    :raises ConfigurationError: tooz knows no such backend
    :raises LibraryMissing: tooz, or the backend's client, is not installed
    :raises LibraryUnusable: one of them cannot be imported
    """
    requests.require('monitor', 'tooz', 'zk')
    connection = connections.Connection(_Url(url), host, _URL_LIMITS)
    wait = float(conf.servicegroup.read_timeout)
    return PeerGroup(connection, group, _URL_TTL, wait)


class _Url(starting.Factory):
    """Makes coordinators by a URL of tooz, in a program of this package."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._parts = parts = urllib.parse.urlsplit(url)
        known = sorted(metadata.entry_points(group='tooz.backends').names)
        if parts.scheme not in known:
            raise _refused(
                f'a URL of tooz that begins with one of {", ".join(known)}'
            )
        location = parts.hostname or parts.path.rpartition('@')[2]
        self.backend = f'{parts.scheme}://{location}'
        decoding.guard_tooz()

    def make(self, member_id: bytes) -> Any:
        """See starting.Factory.

        :raises ConfigurationError: this tooz cannot use TLS, which is wanted
        """
        made = coordination.get_coordinator(self._url, member_id)
        if self._parts.scheme.startswith('etcd3+'):
            # tooz says that a membership needs no heartbeats. Its lease does.
            made.CHARACTERISTICS = ()
        options = dict(urllib.parse.parse_qsl(self._parts.query))
        if (
            self._parts.scheme == 'memcached'
            and strutils.bool_from_string(options.get('use_ssl'))
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
