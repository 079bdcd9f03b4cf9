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

"""Reads the heartbeats of one group from the database of one cell."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import math
import time

from oslo_config import cfg
from oslo_utils import timeutils

from nova_servicegroup import background
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.db import ages
from nova_servicegroup import evidence
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup import opts
from nova_servicegroup import pace
from nova_servicegroup import services

#: Seconds for which the database's clock is trusted without a read.
_TRUST = 60.0
#: A difference of the database's clock that is a step (seconds).
_STEP = 1.0


def limits(conf: cfg.ConfigOpts) -> ages.Limits:
    """Return the limits of the options; the interval may be Nova's default."""
    return ages.Limits(
        float(conf.report_interval or 10),
        float(opts.service_down_time(conf)),
        float(opts.hold_time(conf)),
    )


def time_of_day() -> float:
    """Return this process's time of day in seconds since the epoch.

    By the function that Nova uses, whose time its tests set.
    """
    return timeutils.utcnow_ts(microsecond=True)


@dataclasses.dataclass
class _Clock:
    """The database's clock, as its difference to the observer's.

    :ivar ahead: seconds; NaN if it was never read
    :ivar error: the seconds by which ahead may be wrong
    :ivar until: when it has to be read again
    :ivar doubted_until: until when, since it went back, older heartbeats may
        look young
    """

    ahead: float = math.nan
    error: float = 0.0
    until: float = -math.inf
    doubted_until: float = -math.inf

    def set(
        self, wall: float, now: float, error: float, down_time: float
    ) -> None:
        """Note what it shows.

        :param error: seconds by which now may be wrong
        """
        back = self.ahead - (wall - now)
        if back > _STEP + self.error + error:
            self.doubted_until = now + back + down_time
        self.ahead, self.error = wall - now, error
        self.until = -math.inf if self.doubts(now) else now + _TRUST

    def doubts(self, now: float) -> bool:
        """Return whether older heartbeats may look young."""
        return now <= self.doubted_until


class TableReader(observer.Source):
    """Source of one group in one cell, with its observer.

    :param driver: whose table and options it uses
    :ivar cell: see services.Table.cells
    :ivar rows: see services.Heartbeats
    :ivar ages: of the heartbeats, when they were last read
    """

    def __init__(
        self,
        driver: base.Driver,
        cell: str | None,
        group: str,
        patience: pace.Patience,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cell = cell
        self._clock = clock
        ask = functools.partial(self._ask, driver, group)
        self._reads = background.OneAtATime(services.TABLE, ask, pace.IDLE)
        self._judge = ages.Judge(limits(driver.conf))
        self.ages = self._judge.ages
        self._database = _Clock()
        self.rows: Sequence[services.Row] = ()
        where = '' if cell is None else f', cell {cell}'
        name = f'Group {group} (db{where})'
        settle_time = self._judge.limits.settle_time
        self.observer = base.observe(
            driver.conf, name, self, settle_time, patience, clock
        )

    def is_fresh(self, beat: float, service_ref: services.ServiceRef) -> bool:
        """Return whether a heartbeat is in time, without any read.

        It is not if it was in the future when it came, since it looks young
        when that time has come; nor if its host is missing, since the
        membership only has that host again after a read.
        """
        now, database = self._clock(), self._database
        age = now + database.ahead - beat
        late, ahead = self._judge.limits.late, self.ages.ahead
        if not -ages.AHEAD <= age <= late or now >= database.until:
            return False
        missing = self.observer.members.missing
        if not ahead and not missing:
            return True
        host = membership.canonical(service_ref['host'])
        return host not in ahead and host not in missing

    def has(self, host: str) -> bool:
        """Return whether a host had a heartbeat when last read."""
        return membership.canonical(host) in self.ages.by_host

    def is_up(self, host: str, beat: float) -> bool:
        """Return whether a host is up.

        :param beat: its heartbeat, which may be newer than the last reading
        """
        up = self.observer.is_up(host)
        now, database = self._clock(), self._database
        # The database's clock may never have been read.
        unread = math.isnan(database.ahead)
        wall = time_of_day() if unread else now + database.ahead
        young = -ages.AHEAD <= wall - beat <= self._judge.limits.down_time
        doubtful = database.doubts(now) or (
            membership.canonical(host) in self.ages.ahead
        )
        return up or (young and not doubtful)

    def newer_age(self, host: str, updated: float) -> float | None:
        """Return the seconds since a host was up, if its record seems dead.

        It is held, nothing can be read, or a slow clock writes its heartbeats,
        which then count since they came. From memory.

        :param updated: the time of its record's update, or NaN
        """
        if self.observer.is_presumed(host):
            return 0.0
        down_time = self._judge.limits.down_time
        # Not a number if unknown. Nova asks about every host, and most records
        # are young.
        if not self._clock() + self._database.ahead - updated > down_time:
            return None
        age = self.ages.by_host.get(membership.canonical(host), math.inf)
        age += self.observer.age() or 0.0
        return age if age <= down_time else None

    def read(self, wait: float) -> evidence.Reading:
        """See observer.Source."""
        heartbeats, begun, ended = self._reads.ask(wait)
        now, error = (begun + ended) / 2, (ended - begun) / 2
        down_time = self._judge.limits.down_time
        self._database.set(heartbeats.now, now, error, down_time)
        self.rows = heartbeats.rows
        return self._judge.update(heartbeats, now)

    def _ask(
        self, driver: base.Driver, group: str
    ) -> tuple[services.Heartbeats, float, float]:
        """Return the heartbeats, and when reading them began and ended."""
        begun = self._clock()
        found = driver.table.heartbeats(self.cell, group)
        return found, begun, self._clock()
