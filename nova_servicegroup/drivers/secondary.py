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

"""The drivers with which a service joins, too, and which are not asked."""

from collections.abc import Callable
import functools

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup import condition
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup import process
from nova_servicegroup import reporter
from nova_servicegroup import services

LOG = logging.getLogger(__name__)


class SecondaryDrivers:
    """Joins and leaves with several drivers; none disturbs the caller.

    :ivar drivers: by name
    :param load: constructs the driver of a name
    """

    def __init__(
        self, conf: cfg.ConfigOpts, load: Callable[[str], base.Driver]
    ) -> None:
        self._main: str = conf.servicegroup_driver
        names = opts.secondary_drivers(conf)
        self.drivers = {name: load(name) for name in names}
        self._repeats_main = self._main in conf.servicegroup.also_report_to
        self._entrances: process.PerProcess[
            dict[tuple[str, str], list[_Entrance]]
        ] = process.PerProcess(dict)

    def join(self, member: str, group: str, service: services.Service) -> None:
        """Join with each. Raises nothing; one that cannot goes on trying."""
        self._tell(member, group)
        entrances = [
            _Entrance(name, driver, member, group, service)
            for name, driver in self.drivers.items()
        ]
        self._entrances.get()[member, group] = entrances
        for each in entrances:
            each.join()

    def _tell(self, member: str, group: str) -> None:
        if self.drivers:
            LOG.info(
                'Member %s of group %s also joins with %s; who is up is '
                'asked by %s.',
                member,
                group,
                ', '.join(self.drivers),
                self._main,
            )
        # The order in which the two options are edited must not stop Nova.
        if self._repeats_main:
            self._repeats_main = False
            LOG.warning(
                '%s names %s, which is servicegroup_driver: ignored.',
                opts.ALSO_REPORT_TO,
                self._main,
            )

    def leave(self, member: str, group: str) -> None:
        """Leave with each that was joined. Raises nothing."""
        for each in self._entrances.get().pop((member, group), ()):
            each.leave()

    def mark(
        self, member: str, group: str, said: condition.Condition | None
    ) -> None:
        """Have each tell that a member is of no use; see base.Driver.mark."""
        for each in self._entrances.get().get((member, group), ()):
            each.mark(said)

    def close(self) -> None:
        """Close each. Raises nothing."""
        for member, group in list(self._entrances.get()):
            self.leave(member, group)
        for name, driver in self.drivers.items():
            guard(f'Driver {name}', driver.close)


def guard(name: str, call: Callable[[], None]) -> None:
    """Call what a driver should not raise anything from."""
    try:
        call()
    except Exception:
        LOG.exception('%s: unexpected error of the driver', name)


class _Entrance:
    """Joins one member with one driver, sooner or later.

    A driver's own beat goes on trying while its backend is away. This goes on
    where the driver could not even begin.
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
        self._join = functools.partial(driver.join, member, group, service)
        self._leave = functools.partial(driver.leave, member, group)
        self._service = service
        self._joined = False
        self._mark = functools.partial(driver.mark, member, group)
        self._said: condition.Condition | None = None
        self._reporter = reporter.Reporter(self._name, self._try)

    def join(self) -> None:
        """Join now, or else on the timer of the service."""
        self._reporter.run()
        if not self._joined and self._service.report_interval:
            self._reporter.start(self._service, self._service.report_interval)

    def mark(self, said: condition.Condition | None) -> None:
        """Tell, as soon as it has joined. Raises nothing."""
        self._said = said
        if self._joined:
            guard(self._name, functools.partial(self._mark, said))

    def leave(self) -> None:
        """Leave, and try no more. Raises nothing."""
        self._reporter.stop()
        guard(self._name, self._leave)

    def _try(self) -> None:
        if self._joined:
            return
        try:
            self._join()
        except Exception as error:
            # As one that is expected, it is logged once and not each time.
            raise exceptions.BackendError(
                'joining', f'{type(error).__name__}: {error}'
            ) from error
        self._joined = True
        if self._said is not None:
            self.mark(self._said)
