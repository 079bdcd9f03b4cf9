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

"""The drivers with which a service also joins, and which nothing reads."""

from collections.abc import Callable, Mapping

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup import condition
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import heartbeat
from nova_servicegroup import opts
from nova_servicegroup import process
from nova_servicegroup import reporter
from nova_servicegroup import services

LOG = logging.getLogger(__name__)


class SecondaryDrivers:
    """The secondary drivers of a service. Their errors reach no caller.

    :ivar drivers: the drivers, by name
    """

    def __init__(
        self, conf: cfg.ConfigOpts, drivers: Mapping[str, base.Driver]
    ) -> None:
        self._main: str = conf.servicegroup_driver
        self.drivers = drivers
        self._repeats_main = self._main in conf.servicegroup.also_report_to
        self._members: process.PerProcess[
            dict[tuple[str, str], list[_SecondaryMember]]
        ] = process.PerProcess(dict)

    def join(self, member: str, group: str, service: services.Service) -> None:
        """Join with each. Raises nothing; a driver that fails is retried."""
        self._log(member, group)
        members = [
            _SecondaryMember(name, driver, member, group, service)
            for name, driver in self.drivers.items()
        ]
        self._members.get()[member, group] = members
        for each in members:
            each.join()

    def _log(self, member: str, group: str) -> None:
        if self.drivers:
            LOG.info(
                'Member %s of group %s also joins with %s; verdicts come '
                'from %s.',
                member,
                group,
                ', '.join(self.drivers),
                self._main,
            )
        # An operator may edit the two options in any order.
        if self._repeats_main:
            self._repeats_main = False
            LOG.warning(
                '%s names %s, which is servicegroup_driver: ignored.',
                opts.ALSO_REPORT_TO,
                self._main,
            )

    def leave(self, member: str, group: str) -> None:
        """Leave with each. Raises nothing."""
        for each in self._members.get().pop((member, group), ()):
            each.stop()

    def mark(
        self, member: str, group: str, condition: condition.Condition | None
    ) -> None:
        """Publish with each that a member is unfit; see base.Driver.mark."""
        for each in self._members.get().get((member, group), ()):
            each.mark(condition)

    def close(self) -> None:
        """Close each. Raises nothing."""
        for member, group in list(self._members.get()):
            self.leave(member, group)
        for name, driver in self.drivers.items():
            guard(f'Driver {name}', driver.close)


def guard(name: str, call: Callable[[], None]) -> None:
    """Call a method of a driver that should raise nothing; log what it raises.

    :param name: the driver or the member in the log
    """
    try:
        call()
    except Exception:
        LOG.exception('%s: unexpected error of the driver', name)


class _SecondaryMember(heartbeat.Renewable):
    """One member with one secondary driver.

    A driver's own heartbeat goes on trying while its backend is away. Here,
    join is tried again as long as it raises.
    """

    def __init__(
        self,
        name: str,
        driver: base.Driver,
        member: str,
        group: str,
        service: services.Service,
    ) -> None:
        self._name = f'Member {member} of group {group} ({name})'
        self._driver = driver
        self._key = member, group
        self._service = service
        self._joined = False
        self._condition: condition.Condition | None = None
        self._reporter = reporter.Reporter(self._name, self)

    def join(self) -> None:
        """Join now, or else on the timer of the service."""
        self._reporter.run()
        if not self._joined and self._service.report_interval:
            self._reporter.start(self._service, self._service.report_interval)

    def mark(self, condition: condition.Condition | None) -> None:
        """Publish a condition, once it has joined. Raises nothing."""
        self._condition = condition
        if self._joined:
            guard(self._name, lambda: self._driver.mark(*self._key, condition))

    def stop(self) -> None:
        """Leave, and do not try to join any more. Raises nothing."""
        self._reporter.stop()
        guard(self._name, lambda: self._driver.leave(*self._key))

    def beat(self) -> None:
        """Join, unless it has joined; see heartbeat.Renewable."""
        if self._joined:
            return
        try:
            self._driver.join(*self._key, self._service)
        except Exception as error:
            # Logged once, as an expected error is, and not at each try.
            raise exceptions.BackendError(
                'joining', f'{type(error).__name__}: {error}'
            ) from error
        self._joined = True
        if self._condition is not None:
            self.mark(self._condition)
