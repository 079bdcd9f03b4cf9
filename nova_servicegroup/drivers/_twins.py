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


"""Two machines that believe to be the same host."""

from collections.abc import Callable
import dataclasses
import os
import socket
import time
from typing import Any

from oslo_log import log as logging

from nova_servicegroup.drivers import _zookeeper

LOG = logging.getLogger(__name__)


def origin() -> dict[str, Any]:
    """Return what tells two processes with one host name apart."""
    return {'machine': socket.gethostname(), 'pid': os.getpid()}


@dataclasses.dataclass
class _Double:
    """A host with more than one member id.

    :ivar since: when that was first seen
    :ivar origins: what is known of its members
    """

    since: float
    origins: dict[bytes, tuple[str, str] | None] = dataclasses.field(
        default_factory=dict
    )
    warned: bool = False

    def machines(self) -> list[str]:
        """Return where its members run."""
        return sorted({each[0] for each in self.origins.values() if each})


class Twins:
    """Finds the hosts whose members run on several machines.

    Several workers of one machine are no twins, and a restart shows the old
    member beside the new one for a while.

    :param patience: seconds that a restart may take to be over
    """

    def __init__(
        self,
        group: str,
        roster: _zookeeper.Roster,
        patience: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._roster = roster
        self._patience = patience
        self._clock = clock
        self._doubles: dict[str, _Double] = {}

    def unknown(self) -> list[bytes]:
        """Return the member ids of doubled hosts that nothing is known of."""
        return self._unknown(self._clock())

    def doubtful(self) -> list[bytes]:
        """Return those of them that have been doubled for too long."""
        return self._unknown(self._clock() - self._patience)

    def tell(self, member_id: bytes, found: Any) -> None:
        """Take what a member said of its origin; anything is possible."""
        for host, double in self._doubles.items():
            if member_id in self._roster.ids(host):
                double.origins[member_id] = _parsed(found)
                self._warn(host, double)

    def incarnations(self, host: str) -> tuple[str, ...]:
        """Return the member ids of host, with their origins if known."""
        double = self._doubles.get(host)
        known = double.origins if double else {}
        return tuple(
            _shown(each, known.get(each)) for each in self._roster.ids(host)
        )

    def _unknown(self, before: float) -> list[bytes]:
        self._update()
        return [
            each
            for host, double in self._doubles.items()
            if double.since <= before
            for each in self._roster.ids(host)
            if each not in double.origins
        ]

    def _update(self) -> None:
        """Keep what is known of the hosts that are still doubled."""
        if not (self._doubles or self._roster.doubles):
            return
        now, old = self._clock(), self._doubles
        self._doubles = {
            host: old.get(host) or _Double(now)
            for host in self._roster.doubles
        }
        for host, double in self._doubles.items():
            gone = double.origins.keys() - self._roster.ids(host)
            for each in gone:
                del double.origins[each]
            self._warn(host, double)

    def _warn(self, host: str, double: _Double) -> None:
        machines = double.machines()
        young = self._clock() - double.since < self._patience
        if len(machines) < 2 or young or double.warned:
            return
        double.warned = True
        LOG.warning(
            'Group %s: %s is the host name of several machines: %s. It is up '
            'while one of them is; give each a host name of its own.',
            self._group,
            host,
            ', '.join(machines),
        )


def _parsed(found: Any) -> tuple[str, str] | None:
    if not isinstance(found, dict) or 'machine' not in found:
        return None
    return str(found['machine']), str(found.get('pid'))


def _shown(member_id: bytes, where: tuple[str, str] | None) -> str:
    name = member_id.decode('ascii')
    return f'{name} ({where[0]}, process {where[1]})' if where else name
