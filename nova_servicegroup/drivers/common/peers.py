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

from collections.abc import Callable
import contextlib
import dataclasses
import functools
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
from nova_servicegroup import exceptions

coordination = requests.try_import('tooz.coordination')

#: What other backends of tooz take, at the least (seconds).
_OTHER_TTL = 10
MAX_BACKOFF = 5.0
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
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend = connection.backend
        self.expiry = expiry
        self._connection = connection
        self._group = naming.escape(group).encode('ascii')
        self._wait = min(wait, expiry / 4)
        self._clock = clock
        self._request = requests.Request(connection.backend, clock=clock)
        self._joined: tuple[bytes, float] | None = None

    def meet(self) -> Peers:
        """See to it that this process is a member; return who else is.

        :raises BackendError: it is not, or that cannot be told
        """
        deadline = requests.Deadline(self._wait)
        with self._connection.use(deadline) as (coordinator, me):
            session = _Session(
                coordinator, self._group, self._request, deadline
            )
            if not self._has_joined(me):
                session.join()
            _beat(coordinator)
            ids = session.members()
            if me not in ids:
                self._forget()
            if not self._has_joined(me):
                self._joined = me, self._clock()
            self._check(len(ids) - 1)
            others = session.published(ids - {me})
        assert self._joined is not None  # noqa: S101
        return Peers(me, self._joined[1], others, self._request.asked_at)

    def publish(self, value: bytes) -> float:
        """Let the others see a value.

        :returns: a moment at which this process was a member, and not long
            ago: when the backend was asked, by the monotonic clock
        :raises BackendError: it is none any more, or that cannot be told
        """
        deadline = requests.Deadline(self._wait)
        with self._connection.use(deadline) as (coordinator, me):
            if not self._has_joined(me):
                self._forget()
            session = _Session(
                coordinator, self._group, self._request, deadline
            )
            try:
                session.publish(value)
            except (
                coordination.MemberNotJoined,
                coordination.GroupNotCreated,
            ):
                self._forget()
        return self._request.asked_at

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


class _Session:
    """What a coordinator is asked about one group, before a deadline.

    Each method raises BackendTimeout where no answer comes in time, and the
    errors of tooz.
    """

    def __init__(
        self,
        coordinator: Any,
        group: bytes,
        request: requests.Request,
        deadline: requests.Deadline,
    ) -> None:
        self._coordinator = coordinator
        self._group = group
        self._request = request
        self._deadline = deadline

    def join(self) -> None:
        """Join the group, which need not be there."""
        with contextlib.suppress(coordination.GroupAlreadyExist):
            self._ask(
                'create', lambda: self._coordinator.create_group(self._group)
            )
        # Not collected: tooz would hang on stopping what has joined.
        self._ask(
            'join',
            lambda: self._coordinator.join_group(self._group, {}),
            collect=False,
        )

    def members(self) -> set[bytes]:
        """Return those whose age can be told; others are none of ours."""
        try:
            found = self._ask(
                'members', lambda: self._coordinator.get_members(self._group)
            )
        except coordination.GroupNotCreated:
            return set()
        return {each for each in found if naming.joined(each) is not None}

    def publish(self, value: bytes) -> None:
        """Let the others see a value."""
        said = {'published': value}
        self._ask(
            'publish',
            lambda: self._coordinator.update_capabilities(self._group, said),
        )

    def published(self, ids: set[bytes]) -> dict[bytes, Any]:
        """Return what others have published; None: nothing."""
        get = functools.partial(
            self._coordinator.get_member_capabilities, self._group
        )
        found = self._ask(
            f'what {len(ids)} others have published, {hash(frozenset(ids))}',
            lambda: requests.Answers({each: get(each) for each in ids}),
        )
        return {
            each: said.get('published') if isinstance(said, dict) else None
            for each, said in found.items()
        }

    def _ask(
        self, name: str, issue: Callable[[], Any], collect: bool = True
    ) -> Any:
        return self._request.ask(
            self._coordinator, name, issue, self._deadline, collect
        )


def by_url(conf: cfg.ConfigOpts, url: str, group: str, host: str) -> PeerGroup:
    """Return this process's part in a group on a backend of tooz.

    :param url: of tooz
    :param host: where it runs
    :raises ConfigurationError: tooz knows no such backend
    :raises LibraryMissing: tooz, or the backend's client, is not installed
    :raises LibraryUnusable: it is, and cannot be imported
    """
    wait = float(conf.servicegroup.read_timeout)
    return PeerGroup(_by_url(url, host), group, _OTHER_TTL, wait)


def _by_url(url: str, host: str) -> connections.Connection:
    requests.require('monitor', 'tooz', 'zk')
    parts = urllib.parse.urlsplit(url)
    known = sorted(metadata.entry_points(group='tooz.backends').names)
    if parts.scheme not in known:
        raise exceptions.ConfigurationError(
            '[servicegroup_monitor] backend_url',
            None,
            f'a URL of tooz that begins with one of {", ".join(known)}',
        )
    place = parts.hostname or parts.path.rpartition('@')[2]
    # Only the monitor comes here, which is a program of our own.
    decoding.guard_tooz()
    return connections.Connection(
        f'{parts.scheme}://{place}',
        connections.HostFactory(
            host, functools.partial(_new_coordinator, url)
        ),
        connections.Limits(2.5 * _OTHER_TTL, MAX_BACKOFF),
    )


def _new_coordinator(url: str, member_id: bytes) -> Any:
    """Return a coordinator that has not been started.

    :raises ConfigurationError: TLS is wanted, and tooz does not do it
    """
    made = coordination.get_coordinator(url, member_id)
    parts = urllib.parse.urlsplit(url)
    if parts.scheme.startswith('etcd3+'):
        # tooz says that a membership needs no heartbeats. Its lease does.
        made.CHARACTERISTICS = ()
    wanted = dict(urllib.parse.parse_qsl(parts.query)).get('use_ssl')
    if (
        parts.scheme == 'memcached'
        and strutils.bool_from_string(wanted)
        and getattr(made, 'ssl_context', None) is None
    ):
        raise exceptions.ConfigurationError(
            '[servicegroup_monitor] backend_url',
            None,
            'memcached without use_ssl, or tooz 7.0 or later: pip install '
            'nova-servicegroup[mc-tls]',
        )
    return made


def _beat(coordinator: Any) -> None:
    """Renew a membership that expires without; ZooKeeper's does not."""
    steady = coordination.Characteristics.NON_TIMEOUT_BASED
    if steady not in coordinator.CHARACTERISTICS:
        coordinator.heartbeat()


def _age(member_id: bytes) -> tuple[float, bytes]:
    """Return what sorts members by the time at which they joined."""
    return naming.joined(member_id) or 0.0, member_id
