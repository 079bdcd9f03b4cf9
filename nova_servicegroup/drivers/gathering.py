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
import math
import time
from typing import Any, NoReturn
import urllib.parse

from oslo_config import cfg
from oslo_utils import importutils

from nova_servicegroup.drivers import _connection
from nova_servicegroup.drivers import _memcached
from nova_servicegroup.drivers import _names
from nova_servicegroup.drivers import _tooz
from nova_servicegroup.drivers import _zookeeper
from nova_servicegroup.drivers import mc
from nova_servicegroup import exceptions

coordination = importutils.try_import('tooz.coordination')

#: Seconds after which a member is gone that memcached hears no more of.
_TTL = 10
#: What other backends of tooz take, at the least (seconds).
_OTHER_TTL = 10
_MAX_BACKOFF = 5.0


@dataclasses.dataclass(frozen=True)
class Meeting:
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

    def am_oldest(self) -> bool:
        """Tell whether this process has joined before all others."""
        return self.me == min((self.me, *self.others), key=_age)


class Gathering:
    """One member. For one thread; only close is for any.

    Each coordinator has a member id of its own. One that has lost its
    membership is replaced, so whoever was away is the youngest.

    :param expiry: a member that is silent for so long may be gone (seconds)
    :param wait: seconds that an answer may take
    """

    def __init__(
        self,
        connection: _connection.Connection,
        group: str,
        expiry: float,
        wait: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend = connection.backend
        self.expiry = expiry
        self._connection = connection
        self._group = _names.escape(group).encode('ascii')
        self._wait = min(wait, expiry / 4)
        self._clock = clock
        self._request = _tooz.Request(connection.backend, clock=clock)
        self._joined: tuple[bytes, float] | None = None

    def meet(self) -> Meeting:
        """See to it that this process is a member; return who else is.

        :raises BackendError: it is not, or that cannot be told
        """
        deadline = _tooz.Deadline(self._wait)
        with self._connection.use(deadline) as connected:
            coordinator, me = connected
            ask = functools.partial(
                self._request.ask, coordinator, deadline=deadline
            )
            if not self._has_joined(me):
                self._join(coordinator, ask)
            _beat(coordinator)
            ids = self._members(coordinator, ask)
            if me not in ids:
                self._forget()
            if not self._has_joined(me):
                self._joined = me, self._clock()
            others = self._published(coordinator, ask, ids - {me})
        assert self._joined is not None  # noqa: S101
        return Meeting(me, self._joined[1], others, self._request.asked_at)

    def publish(self, value: bytes) -> float:
        """Let the others see a value.

        :returns: a moment at which this process was a member, and not long
            ago: when the backend was asked, by the monotonic clock
        :raises BackendError: it is none any more, or that cannot be told
        """
        deadline = _tooz.Deadline(self._wait)
        with self._connection.use(deadline) as connected:
            coordinator, me = connected
            if not self._has_joined(me):
                self._forget()
            try:
                self._request.ask(
                    coordinator,
                    'publish',
                    lambda: coordinator.update_capabilities(
                        self._group, {'published': value}
                    ),
                    deadline,
                )
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

    def _join(self, coordinator: Any, ask: Callable[..., Any]) -> None:
        with contextlib.suppress(coordination.GroupAlreadyExist):
            ask('create', lambda: coordinator.create_group(self._group))
        # Not collected: tooz would hang on stopping what has joined.
        ask(
            'join',
            lambda: coordinator.join_group(self._group, {}),
            collect=False,
        )

    def _members(
        self, coordinator: Any, ask: Callable[..., Any]
    ) -> set[bytes]:
        """Return those whose age can be told; others are none of ours."""
        try:
            found = ask(
                'members',
                lambda: _zookeeper.Children(
                    coordinator.get_members(self._group)
                ),
            )
        except coordination.GroupNotCreated:
            return set()
        return {each for each in found if _names.joined(each) is not None}

    def _published(
        self, coordinator: Any, ask: Callable[..., Any], ids: set[bytes]
    ) -> dict[bytes, Any]:
        get = functools.partial(
            coordinator.get_member_capabilities, self._group
        )
        found = ask(
            f'what {sorted(ids)} have published',
            lambda: _tooz.Answers({each: get(each) for each in ids}),
        )
        return {
            each: said.get('published') if isinstance(said, dict) else None
            for each, said in found.items()
        }

    def _forget(self) -> NoReturn:
        """Begin anew, with another member id."""
        if self._joined is not None:
            self._joined = None
            self._connection.discard()
        raise exceptions.BackendError(self.backend, 'the membership is gone')


def gather(
    conf: cfg.ConfigOpts, group: str, host: str, url: str | None
) -> Gathering | None:
    """Return this process's part in a group; None: there is no backend.

    :param host: where it runs
    :param url: of tooz; None: the servers of the configured driver
    :raises ConfigurationError: an option cannot be used
    :raises LibraryMissing: tooz, or the backend's client, is not installed
    """
    new_id = functools.partial(_names.member_id, host)
    wait = float(conf.servicegroup.read_timeout)
    if url:
        return Gathering(_by_url(url, new_id), group, _OTHER_TTL, wait)
    if conf.servicegroup_driver == 'zk':
        _tooz.require('zk', 'kazoo', 'zk')
        settings = _zookeeper.Settings(conf)
        return Gathering(
            settings.connection(new_id), group, settings.session_timeout, wait
        )
    if conf.servicegroup_driver == 'mc' and mc.Settings(conf).addresses:
        name = f'{conf.memcached.key_prefix}:{group}'
        return Gathering(_on_memcached(conf, new_id), name, _TTL, wait)
    return None


def _on_memcached(
    conf: cfg.ConfigOpts, new_id: Callable[[], bytes]
) -> _connection.Connection:
    address = mc.Settings(conf).addresses[0]
    return _connection.Connection(
        f'memcached {address}',
        functools.partial(
            _memcached.new_coordinator, address, conf.memcached, _TTL
        ),
        new_id,
        patience=math.inf,
        max_backoff=_MAX_BACKOFF,
    )


def _by_url(url: str, new_id: Callable[[], bytes]) -> _connection.Connection:
    if coordination is None:
        raise exceptions.LibraryMissing('monitor', 'tooz', 'zk')
    parts = urllib.parse.urlsplit(url)
    known = sorted(metadata.entry_points(group='tooz.backends').names)
    if parts.scheme not in known:
        raise exceptions.ConfigurationError(
            '[servicegroup_monitor] backend_url',
            None,
            f'a URL of tooz that begins with one of {", ".join(known)}',
        )
    return _connection.Connection(
        f'{parts.scheme}://{parts.hostname or parts.path}',
        functools.partial(coordination.get_coordinator, url),
        new_id,
        patience=2.5 * _OTHER_TTL,
        max_backoff=_MAX_BACKOFF,
    )


def _beat(coordinator: Any) -> None:
    """Renew a membership that expires without; ZooKeeper's does not."""
    steady = coordination.Characteristics.NON_TIMEOUT_BASED
    if steady not in coordinator.CHARACTERISTICS:
        coordinator.heartbeat()


def _age(member_id: bytes) -> tuple[float, bytes]:
    """Return what sorts members by the time at which they joined."""
    return _names.joined(member_id) or 0.0, member_id
