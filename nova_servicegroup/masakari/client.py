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

"""What masakari and Nova know of hosts, and the notifications to masakari."""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import datetime
import math
import time
from typing import Any

from oslo_utils import timeutils

from nova_servicegroup import exceptions
from nova_servicegroup import membership
from nova_servicegroup import services

_HOST = 'COMPUTE_HOST'
STOPPED, STARTED = 'STOPPED', 'STARTED'
_CLUSTER = {STOPPED: 'OFFLINE', STARTED: 'ONLINE'}

#: The answers that masakari gives again if it is asked again: it has no such
#: host; it knows of the event, or the host is on maintenance.
_REFUSED = (400, 409)

#: Seconds for which the list of hosts is used.
_REFRESH = 60.0


def notification(host: str, event: str) -> dict[str, Any]:
    """Return the arguments of a notification, as of the stock drivers.

    masakari-engine ignores every one whose host_status is not NORMAL.

    :param event: STOPPED or STARTED
    """
    return {
        'type': _HOST,
        'hostname': host,
        'generated_time': timeutils.utcnow(),
        'payload': {
            'event': event,
            'cluster_status': _CLUSTER[event],
            'host_status': 'NORMAL',
        },
    }


@dataclasses.dataclass(frozen=True)
class Host:
    """A host of a failover segment.

    :ivar changed_at: when masakari's record of it was last changed, in seconds
        since the epoch; None: never
    """

    name: str
    uuid: str
    on_maintenance: bool
    changed_at: float | None


class UnknownHost(exceptions.BackendError):
    """No failover segment of masakari has a host."""


class Client:
    """The APIs of masakari and Nova. Each method raises BackendError.

    :param connect: returns openstacksdk's proxies of masakari and of Nova
    """

    def __init__(self, connect: Callable[[], tuple[Any, Any]]) -> None:
        self._connect = connect
        self._proxies: tuple[Any, Any] | None = None

    def hosts(self) -> dict[str, Host]:
        """Return the hosts of all failover segments, by canonical name."""
        with self._asking('masakari-api') as (masakari, _):
            return {
                membership.canonical(each.name): _host(each)
                for segment in masakari.segments()
                for each in masakari.hosts(segment.uuid)
            }

    def knows(self, name: str, lived_at: float | None) -> bool:
        """Return whether masakari knows that a host is dead.

        It does if it has evacuated the host, which is on maintenance then, or
        if it was notified since the host was last alive. An operator who ends
        the maintenance says that the host is alive.

        :param lived_at: when the host was last proved alive, in seconds since
            the epoch, or None if that is not known
        :raises UnknownHost: masakari has no such host
        """
        host = self.hosts().get(membership.canonical(name))
        if host is None:
            raise UnknownHost(
                'masakari-api', 'no failover segment has the host'
            )
        since = host.changed_at if lived_at is None else lived_at
        return host.on_maintenance or self._was_notified(host, since)

    def _was_notified(self, host: Host, since: float | None) -> bool:
        wanted = {'source_host_uuid': host.uuid, 'type': _HOST}
        if since is not None:
            at = datetime.datetime.fromtimestamp(since, datetime.timezone.utc)
            wanted['generated_since'] = at.strftime('%Y-%m-%dT%H:%M:%S')
        with self._asking('masakari-api') as (masakari, _):
            return any(
                _event(each) == STOPPED
                for each in masakari.notifications(**wanted)
            )

    def objection(self, host: str) -> str | None:
        """Return why Nova would not let a host be evacuated, or None."""
        with self._asking('nova-api') as (_, nova):
            found = [
                each
                for each in nova.services(binary='nova-compute', host=host)
                if each.host == host
            ]
        if not found:
            return 'Nova has no nova-compute of it'
        if any(each.is_forced_down for each in found):
            return 'an operator has forced it down'
        is_down = all(each.state == 'down' for each in found)
        return None if is_down else 'Nova says that it is up'

    def send(self, host: str, event: str) -> bool:
        """Notify masakari; return whether it has accepted that.

        :param event: STOPPED or STARTED
        """
        try:
            with self._asking('masakari-api') as (masakari, _):
                masakari.create_notification(**notification(host, event))
        except exceptions.BackendError as error:
            if getattr(error.__cause__, 'status_code', None) in _REFUSED:
                return False
            raise
        return True

    @contextlib.contextmanager
    def _asking(self, whom: str) -> Iterator[tuple[Any, Any]]:
        try:
            if self._proxies is None:
                self._proxies = self._connect()
            yield self._proxies
        except exceptions.BackendError:
            raise
        except Exception as error:
            if not hasattr(error, 'status_code'):
                # The next attempt asks for a new token and the endpoints.
                self._proxies = None
            raise _error(whom, exceptions.first_line(error)) from error


class Table:
    """The hosts of masakari as records of their services; see services.Table.

    It has no heartbeats.
    """

    def __init__(self, client: Client) -> None:
        none = services.NoTable('only masakari is asked which hosts there are')
        self.cells, self.heartbeats = none.cells, none.heartbeats
        self._client = client
        self._found: list[str] = []
        self._until = -math.inf

    def records(self, group: str) -> list[services.ServiceRef]:
        """See services.Table. Read once a minute."""
        if time.monotonic() >= self._until:
            found = self._client.hosts().values()
            self._found = [each.name for each in found]
            self._until = time.monotonic() + _REFRESH
        return [{'host': each, 'topic': group} for each in self._found]


def _host(found: Any) -> Host:
    at = found.updated_at or found.created_at
    return Host(
        str(found.name),
        str(found.uuid),
        bool(found.on_maintenance),
        None if not at else _seconds(at),
    )


def _seconds(text: str) -> float:
    """Return the seconds since the epoch of a time in UTC."""
    return (
        timeutils.normalize_time(timeutils.parse_isotime(text))
        .replace(tzinfo=datetime.timezone.utc)
        .timestamp()
    )


def _event(found: Any) -> str | None:
    payload = found.payload
    return payload.get('event') if isinstance(payload, dict) else None


def _error(whom: str, reason: str) -> exceptions.BackendError:
    return exceptions.BackendError(whom, reason)
