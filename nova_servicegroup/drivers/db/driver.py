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


"""Driver of the database: a member is a row of Nova's services table.

It uses the same columns in the same meaning as Nova's own driver, so that
services with either driver may be mixed.
"""

import datetime
import math
import time

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup import dates
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import registering
from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import readers
from nova_servicegroup.drivers.db import reading
from nova_servicegroup.drivers.db import registration
from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import transports
from nova_servicegroup.drivers import updates
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup import opts
from nova_servicegroup import process
from nova_servicegroup import services

LOG = logging.getLogger(__name__)


class DatabaseDriver(registering.RegisteringDriver):
    """Driver whose members write the times of their heartbeats to the table.

    Options: Nova's ``report_interval`` and ``service_down_time``, and
    ``[servicegroup] hold_time``. A conductor that joins also writes the
    heartbeats of services without access to the database. A member that leaves
    writes that to its record, unless ``leave_on_stop`` is off.
    """

    needs_record = True
    backend = base.DATABASE

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__(conf)
        self._down_time = self.found_within = opts.service_down_time(conf)
        self._limits = reading.limits(conf)
        self._workers = registration.Workers()
        self._client = process.PerProcess(
            lambda: relay.Client(transports.make(conf, {}))
        )
        self._readers = process.PerProcess(lambda: readers.Readers(self))
        # The readers that were used last, perhaps by a parent process: by cell
        # and topic of a record, or by its UUID and topic if it has no cell.
        self._latest: dict[readers.Key, reading.TableReader] = {}

    def join(self, member: str, group: str, service: services.Service) -> None:
        """See base.Driver."""
        if not service.report_interval:
            return
        self.leave(member, group)
        made = registration.Registration(
            member,
            group,
            service,
            float(self._down_time),
            self._workers,
            self.conf.servicegroup.leave_on_stop,
        )
        self._registrations.get()[member, group] = made
        made.start()

    def end(self, joined: services.Joined, ago: float = 0.0) -> None:
        """See base.Driver. A collector writes that, without a database."""
        if ago > messages.MAX_AGE:
            # Another process may have reported since: this one's heartbeats
            # get too old by themselves.
            return
        wait = float(self.conf.servicegroup.read_timeout)
        ended_at = time.monotonic() - ago
        self._client.get().leave(joined.record_id, ended_at, wait)

    def is_up(self, service_ref: services.ServiceRef) -> bool:
        """See base.Driver.

        Operators update records, too, so an update is no proof of life. A late
        host is judged together with the whole group in its cell.
        """
        try:
            beat = _last_beat(service_ref)
            if beat is None:
                return False
            key = _key(service_ref)
            latest = self._latest.get(key)
            if latest is not None and latest.is_fresh(beat, service_ref):
                return True
            return self._judge(service_ref, beat, key)
        except Exception:
            return base.presume_up(service_ref)

    def _judge(
        self, service_ref: services.ServiceRef, beat: float, key: readers.Key
    ) -> bool:
        group, host = base.group_of(service_ref), service_ref['host']
        readers = self._readers.get()
        try:
            readers.read_cells()
            found = readers.of_record(service_ref, group)
        except exceptions.NoAccess:
            return _is_young(beat, self._limits.longest)
        except exceptions.BackendError:
            # The cell of the record is not known.
            return reading.time_of_day() - beat <= self._limits.longest
        if len(found) == 1 and key[0] is not None:
            self._latest[key] = found[0]
        if any(each.is_up(host, beat) for each in found):
            return True
        # A host that is not in the table is judged as by Nova's own driver.
        known = any(each.has(host) for each in found)
        return not known and _is_young(beat, self._down_time)

    def observers(self) -> dict[str, observer.Observer]:
        """See base.Driver."""
        readers = list((self._readers.peek() or {}).items())
        return {
            f'{group} of cell {cell}': each.observer
            for (cell, group), each in readers
        }

    def updated_time(
        self, service_ref: services.ServiceRef
    ) -> datetime.datetime | None:
        """See base.Driver. A heartbeat is an update of the record."""
        host = service_ref['host']
        latest = self._latest.get(_key(service_ref))
        if latest is None:
            return updates.later(None, service_ref)
        recorded = dates.aware(service_ref['updated_at'] or None)
        updated = recorded.timestamp() if recorded else math.nan
        return updates.newer(latest.newer_age(host, updated), service_ref)

    def view(self, group: str, detailed: views.Detailed = False) -> views.View:
        """See base.Driver. It has no details of processes."""
        try:
            self._readers.get().read_cells()
            readers = self._readers.get().of_group(group)
        except exceptions.BackendError as error:
            return views.View((), None, error)
        members = [
            each for reader in readers for each in _members(reader, group)
        ]
        observers = [each.observer for each in readers]
        ages = [each.age() for each in observers]
        return views.View(
            tuple(sorted(members, key=lambda member: member.host)),
            max((age for age in ages if age is not None), default=None),
            next((each.error for each in observers if each.error), None),
        )

    def check(self) -> str:
        """See base.Driver."""
        computes = len(self.read_records('compute'))
        return f'{services.TABLE} answers; {computes} computes.'

    def close(self) -> None:
        """See base.Driver."""
        super().close()
        for each in list((self._readers.peek() or {}).values()):
            each.observer.close()


def _key(service_ref: services.ServiceRef) -> readers.Key:
    """Return the cell of a record, or its UUID without one, and its topic."""
    cell = services.cell_of(service_ref)
    return cell or services.uuid_of(service_ref), service_ref['topic']


def _is_young(beat: float, longest: float) -> bool:
    """Return whether a heartbeat is in time by this process's own clock."""
    return abs(reading.time_of_day() - beat) <= longest


def _members(reader: reading.TableReader, group: str) -> list[views.Member]:
    """Return the members in one cell, whether up or down."""
    reader.observer.refresh()
    return [_member(reader, group, name) for _, name, _ in reader.rows]


def _member(
    reader: reading.TableReader, group: str, name: str
) -> views.Member:
    host, seen = membership.canonical(name), reader.observer
    held, up = seen.members.is_held(host), seen.is_up(host)
    age = reader.ages.by_host.get(host)
    reason = 'has left' if host in reader.ages.left else 'never a heartbeat'
    if age is not None:
        age = max(0.0, age + (seen.age() or 0.0))
        reason = f'no heartbeat for {age:.0f} s'
    if held:
        reason = f'{reason}, but {seen.members.reason(host)}'
    shown = reason if held or not up else None
    return views.Member(
        name, group, up, held, age, reason=shown, cell=reader.cell
    )


def _last_beat(service_ref: services.ServiceRef) -> float | None:
    """Return the time of the last heartbeat, or of the record's creation.

    :returns: seconds since the epoch, or None if it has neither
    """
    try:
        last = service_ref['last_seen_up']
    except KeyError:
        last = None
    last = last or service_ref['created_at']
    if isinstance(last, str) or (last is not None and last.tzinfo is None):
        last = dates.aware(last)
    return None if last is None else float(last.timestamp())
