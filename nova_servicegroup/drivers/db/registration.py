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

"""Membership of one service in one group, from its start to its stop."""

import fcntl
import os
import secrets
import struct
import zlib

from oslo_log import log as logging

from nova_servicegroup import background
from nova_servicegroup.drivers.db import collector
from nova_servicegroup.drivers.db import routes
from nova_servicegroup import heartbeat
from nova_servicegroup import process
from nova_servicegroup import reporter
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: The longest wait of a stopping service for its record to say so (seconds).
_LEAVE = 2.0

#: The bytes of the locked file that are shared out among the members.
_MEMBERS = 2**30
#: C's struct flock: type, whence, start, length and owner.
_FLOCK = 'hhqqi'


class Workers:
    """Worker processes of one service, which share its record.

    It is made before they are forked. Each worker that has joined locks a byte
    of this source file, which has no other locks, until it leaves or dies.
    """

    def __init__(self) -> None:
        self._token = secrets.token_hex(8)
        self._files: process.PerProcess[int] = process.PerProcess(
            lambda: os.open(__file__, os.O_RDONLY)
        )

    def enter(self, member: str, group: str) -> None:
        """Note that this process has joined."""
        self._lock(fcntl.F_OFD_SETLK, fcntl.F_RDLCK, member, group)

    def leave(self, member: str, group: str) -> bool:
        """Note that this process leaves; return whether it was the last."""
        self._lock(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, member, group)
        found = self._lock(fcntl.F_OFD_GETLK, fcntl.F_WRLCK, member, group)
        return found == fcntl.F_UNLCK

    def _lock(self, command: int, kind: int, member: str, group: str) -> int:
        """Make or look up a lock; return the kind of what was found or made.

        :raises OSError: the file system or the kernel has no such locks
        """
        name = f'{self._token}/{group}/{member}'
        byte = zlib.crc32(name.encode()) % _MEMBERS
        asked = struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0)
        found = fcntl.fcntl(self._files.get(), command, asked)
        return int(struct.unpack(_FLOCK, found)[0])


class Departure:
    """Departure of one member when the last of its workers leaves."""

    def __init__(
        self,
        name: str,
        member: tuple[str, str],
        route: routes.Route,
        workers: Workers,
    ) -> None:
        self.name = name
        self._member = member
        self._route = route
        self._workers = workers

    def enter(self) -> None:
        """Note that this process has joined."""
        try:
            self._workers.enter(*self._member)
        except OSError as error:
            LOG.debug('%s: no lock for its workers: %s', self.name, error)

    def leave(self) -> None:
        """Write that the member has left, unless other workers remain.

        :raises ServiceGroupError: it is not written yet
        """
        if self._workers.leave(*self._member):
            leaves = background.OneAtATime(self.name, self._route.leave)
            leaves.ask(_LEAVE)


class Registration(heartbeat.Renewable):
    """One member of one group, for as long as its service runs.

    :param down_time: seconds without a heartbeat after which it is down
    :param workers: the workers of its service
    :param leave_on_stop: whether it leaves when the service stops
    """

    def __init__(
        self,
        host: str,
        group: str,
        service: services.Service,
        down_time: float,
        workers: Workers,
        leave_on_stop: bool = True,
    ) -> None:
        self.name = f'Member {host} of group {group} (db)'
        self._service = service
        self._leave_on_stop = leave_on_stop
        route = routes.choose(service, self.name, down_time)
        self._departure = Departure(self.name, (host, group), route, workers)
        # A heartbeat that hangs is awaited, not repeated.
        self._beats = background.OneAtATime(
            self.name, route.beat, waits_again=True
        )
        self.reporter = reporter.Reporter(self.name, self)
        self._host = host
        self._collector: collector.Collector | None = None

    def start(self) -> None:
        """Beat on the service's timer; in a conductor, run a collector."""
        self._departure.enter()
        self.reporter.start(
            self._service, self._service.report_interval, self._leave_on_stop
        )
        self._collect()

    def _collect(self) -> None:
        """Start a collector in a conductor; its errors are only logged."""
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
        """See registering.Registration. Does nothing.

        Nova's table has no column for it. Heartbeats use the same message
        queue as all requests to the service: without that it is down.
        """

    def stop(self) -> None:
        """Leave, and stop the heartbeats."""
        self.reporter.stop()
        if self._collector is not None:
            self._collector.stop()

    def beat(self) -> float | None:
        """See heartbeat.Renewable."""
        return self._beats.ask(0.8 * self._service.report_interval)

    def leave(self) -> None:
        """See heartbeat.Renewable."""
        self._departure.leave()
