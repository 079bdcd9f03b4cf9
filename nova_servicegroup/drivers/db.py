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

import datetime

from oslo_config import cfg
from oslo_utils import timeutils

from nova_servicegroup.drivers import base
from nova_servicegroup import opts
from nova_servicegroup import process
from nova_servicegroup import reporter
from nova_servicegroup import services

BACKEND = 'services table'


class DatabaseDriver(base.Driver):
    """Members write the time of their heartbeat into their own record.

    Options: Nova's ``report_interval`` and ``service_down_time``.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__(conf)
        self._down_time = opts.service_down_time(conf)
        self._reporters: process.PerProcess[
            dict[tuple[str, str], reporter.Reporter]
        ] = process.PerProcess(dict)

    def join(self, member: str, group: str, service: services.Service) -> None:
        """See base.Driver."""
        if not service.report_interval:
            return
        self.leave(member, group)
        reporting = reporter.Reporter(
            f'Member {member} of group {group}', service.save_heartbeat
        )
        self._reporters.get()[member, group] = reporting
        reporting.start(service, service.report_interval)

    def leave(self, member: str, group: str) -> None:
        """See base.Driver. The member is down service_down_time later."""
        reporting = self._reporters.get().pop((member, group), None)
        if reporting is not None:
            reporting.stop()

    def is_up(self, service_ref: services.ServiceRef) -> bool:
        """See base.Driver.

        An update of the record is no proof of life: also an operator makes
        one. A heartbeat from the future is as bad as one from the past.
        """
        age = _age(service_ref)
        return age is not None and abs(age) <= self._down_time

    def updated_time(
        self,
        service_ref: services.ServiceRef,
    ) -> datetime.datetime | None:
        """See base.Driver."""
        return base.aware(service_ref['updated_at'])

    def get_all(self, group: str) -> list[base.Member]:
        """See base.Driver."""
        members = [self._member(group, each) for each in self.records(group)]
        return sorted(members, key=lambda member: member.host)

    def close(self) -> None:
        """See base.Driver."""
        for member, group in list(self._reporters.get()):
            self.leave(member, group)

    def check(self) -> str:
        """See base.Driver."""
        return f'{BACKEND} answers; {len(self.records("compute"))} computes.'

    def _member(
        self, group: str, service_ref: services.ServiceRef
    ) -> base.Member:
        return base.Member(
            service_ref['host'],
            group,
            self.is_up(service_ref),
            proof_age=_age(service_ref),
        )


def _age(service_ref: services.ServiceRef) -> float | None:
    """Return the seconds since the last heartbeat; None: there is no time.

    A record that was never reported for is as old as it is.
    """
    last = service_ref.get('last_seen_up') or service_ref['created_at']
    if isinstance(last, str):
        last = base.aware(last)
    if last is None:
        return None
    elapsed: datetime.timedelta = timeutils.utcnow() - last.replace(
        tzinfo=None
    )
    return elapsed.total_seconds()
