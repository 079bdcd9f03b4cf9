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

"""How a service has its heartbeats written: by the shortest way that works."""

import fcntl
import os
import secrets
import struct
import zlib

from oslo_log import log as logging

from nova_servicegroup import background
from nova_servicegroup.drivers.db import collector
from nova_servicegroup.drivers.db import routes
from nova_servicegroup import process
from nova_servicegroup import reporter
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: Seconds for which a service that stops waits until its record says so.
_LEAVE = 2.0

#: Each member has a byte of its own in the file that is locked.
_MEMBERS = 2**30
#: C's struct flock: its type, from where it starts, start, length, and owner.
_FLOCK = 'hhqqi'


class Workers:
    """The workers of one service, which share its record.

    Made before they are forked. Each that has joined locks a byte of this very
    file, which nobody else uses so, until it leaves or dies.
    """

    def __init__(self) -> None:
        self._family = secrets.token_hex(8)
        self._files: process.PerProcess[int] = process.PerProcess(
            lambda: os.open(__file__, os.O_RDONLY)
        )

    def enter(self, member: str, group: str) -> None:
        """Take note that this process has joined."""
        self._lock(fcntl.F_OFD_SETLK, fcntl.F_RDLCK, member, group)

    def leave(self, member: str, group: str) -> bool:
        """Take note that it leaves; tell whether no other goes on."""
        self._lock(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, member, group)
        found = self._lock(fcntl.F_OFD_GETLK, fcntl.F_WRLCK, member, group)
        return found == fcntl.F_UNLCK

    def _lock(self, command: int, kind: int, member: str, group: str) -> int:
        """Return the kind of the lock that there is, or was made."""
        name = f'{self._family}/{group}/{member}'
        byte = zlib.crc32(name.encode()) % _MEMBERS
        asked = struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0)
        found = fcntl.fcntl(self._files.get(), command, asked)
        return int(struct.unpack(_FLOCK, found)[0])


class Departure:
    """Ends the membership of one member.

    :param workers: None: the service has no others
    """

    def __init__(
        self,
        name: str,
        member: tuple[str, str],
        route: routes.Route,
        workers: Workers | None,
    ) -> None:
        self.name = name
        self._member = member
        self._route = route
        self._workers = Workers() if workers is None else workers

    def enter(self) -> None:
        """Take note that the service has joined."""
        try:
            self._workers.enter(*self._member)
        except OSError as error:
            LOG.debug('%s: no lock for its workers: %s', self.name, error)

    def leave(self) -> None:
        """Have the record say that it has left, unless other workers go on.

        :raises ServiceGroupError: it does not say so yet
        """
        if self._workers.leave(*self._member):
            leaves = background.OneAtATime(self.name, self._route.leave)
            leaves.ask(_LEAVE)


class Registration:
    """One member of one group, for as long as its service runs.

    :param down_time: seconds without a heartbeat after which it is down
    :param processes: the workers of its service; None: it has no others
    :param leave_on_stop: leave when the service stops
    """

    def __init__(
        self,
        host: str,
        group: str,
        service: services.Service,
        down_time: float,
        processes: Workers | None = None,
        leave_on_stop: bool = True,
    ) -> None:
        self.name = f'Member {host} of group {group} (db)'
        self._service = service
        self._leave_on_stop = leave_on_stop
        route = routes.choose(service, self.name, down_time)
        self._departure = Departure(self.name, (host, group), route, processes)
        # A heartbeat that hangs is not repeated, only awaited.
        self._beats = background.OneAtATime(
            self.name, route.beat, waits_again=True
        )
        self.reporter = reporter.Reporter(
            self.name, self._beat, self._departure.leave
        )
        self._host = host
        self._collector: collector.Collector | None = None

    def start(self) -> None:
        """Beat on the service's timer; in a conductor, also collect."""
        self._departure.enter()
        self.reporter.start(
            self._service, self._service.report_interval, self._leave_on_stop
        )
        self._collect()

    def _collect(self) -> None:
        """Make and start a collector, in a conductor.

        The service is more important than that.
        """
        try:
            self._collector = collector.make(self._service, self._host)
            if self._collector is not None:
                self._service.on_stop(self._collector.stop)
                self._collector.start()
        except Exception:
            LOG.exception(
                '%s: its collector does not start. Services without access '
                'to the database have nova-conductor write their heartbeats.',
                self.name,
            )

    def mark(self, mark: str | None) -> None:
        """See registering.Registration.

        Stock's record has no room for it. A heartbeat goes the way of all
        else that is asked of the service, so without that one it is down.
        """

    def stop(self) -> None:
        """Leave, and beat no more."""
        self.reporter.stop()
        if self._collector is not None:
            self._collector.stop()

    def _beat(self) -> float | None:
        return self._beats.ask(0.8 * self._service.report_interval)
