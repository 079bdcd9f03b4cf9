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

"""Judges whether host names are unique and all hosts read from one driver."""

import collections
from collections.abc import Iterator
import datetime

from oslo_config import cfg

from nova_servicegroup import dates
from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers import views
from nova_servicegroup import opts
from nova_servicegroup import services
from nova_servicegroup.watch import inventory


class Judge:
    """Judges the hosts of groups, as seen by one driver.

    :param driver: its name
    :param in_database: whether its members report to the database
    :param now: aware
    """

    def __init__(
        self,
        driver: str,
        in_database: bool,
        conf: cfg.ConfigOpts,
        now: datetime.datetime,
    ) -> None:
        self._driver = driver
        self._in_database = in_database
        self._down_time = opts.service_down_time(conf)
        self._now = now

    def judge(
        self, group: str, seen: inventory.Inventory
    ) -> Iterator[finding.Finding]:
        """Return what is wrong with the hosts of a group."""
        yield from self._duplicates(group, seen)
        yield from self._mixed(group, seen)
        elsewhere = self.elsewhere(seen)
        if elsewhere:
            yield self._missed(group, elsewhere)

    def elsewhere(self, seen: inventory.Inventory) -> set[str]:
        """Return the hosts that report to the database only."""
        if self._in_database:
            return set()
        return {
            each.host
            for each in seen.entries.values()
            if each.record is not None
            and (each.member is None or not each.member.up)
            and each.state != inventory.FORCED_DOWN
            and self._is_fresh(each.record)
        }

    def _is_fresh(self, record: services.ServiceRef) -> bool:
        beat = dates.aware(record.get('last_seen_up', None))
        if beat is None:
            return False
        return abs((self._now - beat).total_seconds()) <= self._down_time

    def _missed(self, group: str, hosts: set[str]) -> finding.Finding:
        return finding.error(
            f'{group}: {len(hosts)} reporting to the database, but not to the '
            f'backend of {self._driver}: {finding.names(hosts)}.',
            f'They are alive, and down for any service that reads from '
            f'{self._driver}: their servers may be evacuated.',
            f'Install the package there and set servicegroup_driver = '
            f'{self._driver}, or go back to db here until they report.',
        )

    def _duplicates(
        self, group: str, seen: inventory.Inventory
    ) -> Iterator[finding.Finding]:
        for host, entry in seen.entries.items():
            shown = entry.member.incarnations if entry.member else ()
            machines = sorted({each.machine for each in shown if each.machine})
            if len(machines) > 1:
                yield self._duplicate(group, host, machines, shown)

    def _duplicate(
        self,
        group: str,
        host: str,
        machines: list[str],
        shown: tuple[views.Incarnation, ...],
    ) -> finding.Finding:
        youngest = max((each.since or 0.0 for each in shown), default=0.0)
        # A service that moved shows its old machine for a while.
        moved = self._now.timestamp() - youngest < self._down_time
        report, again = finding.error, ''
        if moved:
            report = finding.warning
            again = ' If it has just moved, look again in a minute.'
        return report(
            f'{group}: {host} is the host name of several machines: '
            f'{", ".join(machines)}.',
            'It is up while one of them is, so the death of one is not seen, '
            'and both take the work of the host.',
            f'Stop one, and give each a [DEFAULT] host of its own.{again}',
        )

    def _mixed(
        self, group: str, seen: inventory.Inventory
    ) -> Iterator[finding.Finding]:
        readers: dict[str, set[str]] = collections.defaultdict(set)
        for host, entry in seen.entries.items():
            for each in entry.member.incarnations if entry.member else ():
                if each.reads and each.reads != self._driver:
                    readers[each.reads].add(host)
        for driver, hosts in sorted(readers.items()):
            yield finding.warning(
                f'{group}: {len(hosts)} reading from {driver}, while this '
                f'host reads from {self._driver}: {finding.names(hosts)}.',
                'In a mixed fleet two services may differ on which hosts are '
                'up.',
                f'Set servicegroup_driver = {self._driver} there when the '
                'fleet has moved.',
            )
