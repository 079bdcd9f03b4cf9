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

"""Reads the heartbeats of one group from the database of one cell."""

from collections.abc import Callable, Sequence, Set
import dataclasses
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

#: The database's clock is trusted for so long without a look (seconds).
_TRUST = 60.0
#: A step of the database's clock, in seconds.
_STEP = 1.0


def rules(conf: cfg.ConfigOpts) -> ages.Rules:
    """Return what the options say. Without an interval, Nova's default."""
    return ages.Rules(
        float(conf.report_interval or 10),
        float(opts.service_down_time(conf)),
        float(opts.hold_time(conf)),
    )


def time_of_day() -> float:
    """Return this process's own, in seconds since the epoch.

    It is Nova's, too, which sets it in tests.
    """
    return timeutils.utcnow_ts(microsecond=True)


@dataclasses.dataclass
class _Clock:
    """The database's clock, as the difference to the observer's own.

    :ivar ahead: seconds; NaN: it was never read
    :ivar until: when it is to be asked again
    :ivar doubted_until: it went back, so until then what it has written before
        may look young
    :ivar error: seconds by which ahead may be wrong
    """

    ahead: float = math.nan
    until: float = -math.inf
    doubted_until: float = -math.inf
    error: float = 0.0

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
        """Tell whether its times cannot be told apart."""
        return now <= self.doubted_until


class TableReader(observer.Source):
    """Reads one group of one cell, for the observer that it has.

    :param driver: whose table and options it uses
    :ivar cell: see services.Table.cells
    :ivar rows: see services.Heartbeats
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
        self._driver = driver
        self._group = group
        self._clock = clock
        self._reads = background.OneAtATime(
            services.TABLE, self._ask, pace.IDLE
        )
        self._judge = ages.Judge(rules(driver.conf))
        self._database = _Clock()
        self.rows: Sequence[services.Row] = ()
        where = '' if cell is None else f', cell {cell}'
        self.observer = base.observe(
            driver.conf,
            f'Group {group} (db{where})',
            self,
            self._judge.rules.settle_time,
            patience,
            clock,
        )

    @property
    def ages(self) -> dict[str, float]:
        """The ages of the heartbeats, by host, in seconds, when last read."""
        return self._judge.ages

    @property
    def left(self) -> Set[str]:
        """The hosts that had left when the group was last read."""
        return self._judge.left

    def is_fresh(self, beat: float, service_ref: services.ServiceRef) -> bool:
        """Tell whether a heartbeat is in time, without any look.

        One that came with a time that was yet to come is old when that time
        comes, and looks young. And one of a host that is missing is to be
        read, so that the membership has it again.
        """
        now, database = self._clock(), self._database
        age = now + database.ahead - beat
        late, ahead = self._judge.rules.late, self._judge.ahead
        if not -ages.AHEAD <= age <= late or now >= database.until:
            return False
        missing = self.observer.members.missing
        if not ahead and not missing:
            return True
        host = membership.canonical(service_ref['host'])
        return host not in ahead and host not in missing

    def has(self, host: str) -> bool:
        """Tell whether the table had a heartbeat of a host, when last read."""
        return membership.canonical(host) in self.ages

    def is_up(self, host: str, beat: float) -> bool:
        """Tell whether a host is up, whose record shows a heartbeat.

        It may be younger than what was read.
        """
        up = self.observer.is_up(host)
        now, database = self._clock(), self._database
        # Its clock may never have been read.
        unread = math.isnan(database.ahead)
        wall = time_of_day() if unread else now + database.ahead
        young = -ages.AHEAD <= wall - beat <= self._judge.rules.down_time
        doubtful = database.doubts(now) or (
            membership.canonical(host) in self._judge.ahead
        )
        return up or (young and not doubtful)

    def read(self, wait: float) -> evidence.Reading:
        """See observer.Source."""
        heartbeats, begun, ended = self._reads.ask(wait)
        now, error = (begun + ended) / 2, (ended - begun) / 2
        down_time = self._judge.rules.down_time
        self._database.set(heartbeats.now, now, error, down_time)
        self.rows = heartbeats.rows
        return self._judge.take(heartbeats, now)

    def _ask(self) -> tuple[services.Heartbeats, float, float]:
        """Return the heartbeats, and when reading them began and ended."""
        begun = self._clock()
        found = self._driver.table.heartbeats(self.cell, self._group)
        return found, begun, self._clock()
