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


"""The database: a member is a row of Nova's services table.

The same table, columns and meaning as Nova's own driver, so that services
with either may be mixed.
"""

import contextlib
import datetime
import time

from oslo_config import cfg
from oslo_utils import timeutils

from nova_servicegroup.drivers import _attending
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.db import cells
from nova_servicegroup.drivers.db import fleet
from nova_servicegroup.drivers.db import reporting
from nova_servicegroup.drivers.db import table
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup import process
from nova_servicegroup import services

BACKEND = 'services table'

#: Seconds that a view may wait for the records; Nova's first read is slow.
_VIEW_WAIT = 8.0

#: A cell, if it is known, and a group.
_Key = tuple[str | None, str]


class DatabaseDriver(_attending.AttendingDriver):
    """Members have the time of their heartbeat written into their record.

    Options: Nova's ``report_interval`` and ``service_down_time``, and
    ``[servicegroup] hold_time``. A service that joins in a conductor also
    writes the heartbeats of those that have no access to the database. One
    that leaves is down service_down_time later.
    """

    needs_record = True

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__(conf)
        self._down_time = self.found_within = opts.service_down_time(conf)
        self._interval = float(conf.report_interval)
        self._hold_time = float(opts.hold_time(conf))
        self._wait = float(conf.servicegroup.read_timeout)
        self._cells = cells.Cells(self.read_records, self._wait)
        self._tables = process.PerProcess(
            lambda: table.Tables(
                lambda group: self._cells.read(group, _VIEW_WAIT),
                conf.servicegroup.refresh_interval,
            )
        )
        self._fleets: dict[_Key, fleet.Fleet] = {}

    def join(self, member: str, group: str, service: services.Service) -> None:
        """See base.Driver."""
        if not service.report_interval:
            return
        self.leave(member, group)
        attendance = reporting.Attendance(
            member, group, service, float(self._down_time)
        )
        self._attendances.get()[member, group] = attendance
        attendance.start()

    def is_up(self, service_ref: services.ServiceRef) -> bool:
        """See base.Driver.

        An update of the record is no proof of life: also an operator makes
        one. A heartbeat from the future is as bad as one from the past. And
        what makes the whole fleet late is not held against one of it.
        """
        beat, wall = _last_beat(service_ref), _now()
        if beat is None:
            return False
        cell = self._cells.find(service_ref)
        key = cell, base.group_of(service_ref)
        host, now = service_ref['host'], time.monotonic()
        members = self._fleets.get(key) or self._fleet(key)
        members.take(host, beat, wall, now)
        if abs(wall - beat) <= self._down_time:
            return True
        if members.must_look(host, beat, now):
            self._look(key)
            members.looked()
            wall, now = _now(), time.monotonic()
        return members.age(host, beat, wall, now) <= self._down_time

    def _fleet(self, key: _Key) -> fleet.Fleet:
        """Return the fleet of a cell and group, which may be a new one."""
        new = fleet.Fleet(
            self._interval, float(self._down_time), self._hold_time
        )
        return self._fleets.setdefault(key, new)

    def _look(self, key: _Key) -> None:
        """Look at a whole group, where that is possible."""
        cell, group = key
        with contextlib.suppress(exceptions.BackendError):
            records = self._cells.read(group, self._wait)
            wall, now = _now(), time.monotonic()
            for each in records:
                beat = _last_beat(each)
                if beat is not None:
                    # A record of no known cell is compared with all.
                    its = cell and services.cell_of(each)
                    members = self._fleet((its, group))
                    members.take(each['host'], beat, wall, now)

    def updated_time(
        self,
        service_ref: services.ServiceRef,
    ) -> datetime.datetime | None:
        """See base.Driver."""
        return base.aware(service_ref['updated_at'])

    def view(self, group: str, detailed: base.Detailed = False) -> base.View:
        """See base.Driver. Nothing is known of the processes."""
        seen = self._tables.get()[group]
        records = seen.read()
        members = [self._member(group, each) for each in records]
        return base.View(
            tuple(sorted(members, key=lambda member: member.host)),
            seen.age(),
            seen.error,
        )

    def check(self) -> str:
        """See base.Driver."""
        return (
            f'{BACKEND} answers; {len(self.read_records("compute"))} computes.'
        )

    def _member(
        self, group: str, service_ref: services.ServiceRef
    ) -> base.Member:
        beat = _last_beat(service_ref)
        age = None if beat is None else _now() - beat
        return base.Member(
            service_ref['host'],
            group,
            self.is_up(service_ref),
            held=age is None or abs(age) > self._down_time,
            proof_age=None if age is None else max(0.0, age),
        )


def _last_beat(service_ref: services.ServiceRef) -> float | None:
    """Return the time of the last heartbeat; None: there is no time.

    A record that was never reported for is as old as it is.
    """
    try:
        last = service_ref['last_seen_up']
    except KeyError:
        last = None
    last = last or service_ref['created_at']
    if isinstance(last, str) or (last is not None and last.tzinfo is None):
        last = base.aware(last)
    return None if last is None else float(last.timestamp())


def _now() -> float:
    return float(timeutils.utcnow_ts(microsecond=True))
