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

"""The API for consumers: join and leave groups, ask which hosts are up."""

import datetime
from importlib import metadata
from typing import cast

from oslo_config import cfg
from oslo_log import log as logging
import stevedore
from stevedore import exception as stevedore_exc

from nova_servicegroup import condition
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers import secondary
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup import process
from nova_servicegroup import process_files
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

NAMESPACE = 'nova_servicegroup.drivers'


class API:
    """The groups and their members, through the driver that conf names.

    Constructing it loads the drivers and checks the options; it opens no
    connection and starts no thread, so it may be constructed before a fork.

    :ivar driver: answers which hosts are up
    :ivar secondary: the other drivers with which a service joins
    :ivar has_agents: whether each host has an agent, whose reports the driver
        can read
    :ivar has_watchdogs: whether hosts may have watchdogs that agents feed
    :param conf: the configuration; the package's options are registered on it
    :param driver: used instead of the driver that conf names
    :raises DriverNotFound: no installed driver has that name
    :raises DriverAmbiguous: several packages provide a driver of that name
    :raises LibraryMissing: the driver's client library is not installed
    :raises LibraryUnusable: the driver or a library of it cannot be imported
    :raises ConfigurationError: an option has an unusable value
    """

    def __init__(
        self, conf: cfg.ConfigOpts, driver: base.Driver | None = None
    ) -> None:
        opts.register_opts(conf)
        self.driver: base.Driver = driver or load_driver(
            conf, conf.servicegroup_driver
        )
        self.secondary = secondary.SecondaryDrivers(
            conf,
            {
                name: load_driver(conf, name, opts.ALSO_REPORT_TO)
                for name in opts.secondary_drivers(conf)
            },
        )

        self.has_agents: bool = (
            conf.servicegroup.agents and self.driver.shows_marks
        )
        self.has_watchdogs = self.has_agents and bool(
            conf.servicegroup_agent.watchdog
        )
        self._files: process.PerProcess[
            dict[tuple[str, str], process_files.ProcessFile]
        ] = process.PerProcess(dict)

    def give_table(self, table: services.Table) -> None:
        """Give every driver access to the services table."""
        for driver in (self.driver, *self.secondary.drivers.values()):
            driver.table = table

    def join(self, member: str, group: str, service: services.Service) -> None:
        """Make member part of group for as long as service runs.

        :param member: the host
        :param group: the topic
        :raises ArgumentError: member or group is empty
        """
        _check_name('member', member)
        _check_name('group', group)
        self._write_file(member, group, service)
        self.driver.join(member, group, service)
        self.secondary.join(member, group, service)

    def _write_file(
        self, member: str, group: str, service: services.Service
    ) -> None:
        """Show this process to the agent of its host, if there is one."""
        directory = self.driver.conf.servicegroup.process_directory
        if not directory or not service.report_interval:
            return
        joined = services.Joined(
            member, group, naming.incarnation(), service.record_id
        )
        self._remove_file(member, group)
        file = process_files.ProcessFile(directory, joined)
        try:
            file.write()
        except OSError as error:
            LOG.warning(
                '[servicegroup] process_directory = %s: nothing can be '
                'written there (%s), so the agent of this host does not see '
                'this process.',
                directory,
                error.strerror,
            )
        else:
            service.on_stop(file.remove)
            self._files.get()[member, group] = file

    def leave(self, member: str, group: str) -> None:
        """End a membership of this process, in bounded time.

        Does nothing if this process has not joined.
        """
        try:
            self.driver.leave(member, group)
        finally:
            self.secondary.leave(member, group)
            self._remove_file(member, group)

    def _remove_file(self, member: str, group: str) -> None:
        file = self._files.get().pop((member, group), None)
        if file is not None:
            file.remove()

    def mark(
        self, member: str, group: str, condition: condition.Condition | None
    ) -> None:
        """Publish the condition of a member of this process.

        Never raises. Does nothing if this process has not joined.

        :param condition: the condition; None: the member is fit again
        """
        secondary.guard(
            f'Member {member} of group {group}',
            lambda: self.driver.mark(member, group, condition),
        )
        self.secondary.mark(member, group, condition)

    def service_is_up(self, service_ref: services.ServiceRef) -> bool:
        """Return whether the service is up. Never raises.

        A service that is forced down is down, whatever the backend says.
        """
        if service_ref.get('forced_down'):
            return False
        return self.driver.is_up(service_ref)

    def get_updated_time(
        self, service_ref: services.ServiceRef
    ) -> datetime.datetime | None:
        """Return when it was last up, or None; see base.Driver."""
        return self.driver.updated_time(service_ref)

    def view(self, group: str, detailed: views.Detailed = False) -> views.View:
        """Return group as this process sees it; see base.Driver.view."""
        _check_name('group', group)
        return self.driver.view(group, detailed)

    def get_all(self, group: str) -> list[views.Member]:
        """Return the members of group as this process sees them, by host.

        :raises BackendError: the group cannot be read and was never read
        """
        view = self.view(group)
        if view.error is not None and not view.members:
            raise view.error
        return list(view.members)

    def close(self) -> None:
        """Leave every group and close this process's connections.

        For programs that end: the API cannot be used afterwards.
        """
        try:
            self.driver.close()
        finally:
            self.secondary.close()


def installed_drivers() -> list[str]:
    """Return the names of the installed drivers; imports none of them."""
    return sorted(metadata.entry_points(group=NAMESPACE).names)


def load_driver(
    conf: cfg.ConfigOpts, name: str, option: str = exceptions.DRIVER_OPTION
) -> base.Driver:
    """Construct the driver of that name.

    :param option: the option that names it, for errors
    :raises: as API
    """
    return _driver_class(name, option)(conf)


def _driver_class(name: str, option: str) -> type[base.Driver]:
    try:
        manager: stevedore.DriverManager[base.Driver] = (
            stevedore.DriverManager(
                NAMESPACE, name, on_load_failure_callback=_raise
            )
        )
    except stevedore_exc.MultipleMatches:
        points = metadata.entry_points(group=NAMESPACE, name=name)
        raise exceptions.DriverAmbiguous(
            name, {point.value for point in points}, option
        ) from None
    except stevedore_exc.NoMatches:
        raise exceptions.DriverNotFound(
            name, installed_drivers(), option
        ) from None
    return cast(type[base.Driver], manager.driver)


def _raise(
    manager: object, entrypoint: metadata.EntryPoint, error: BaseException
) -> None:
    raise exceptions.LibraryUnusable(
        entrypoint.name, entrypoint.value, error
    ) from error


def _check_name(argument: str, value: str) -> None:
    if not isinstance(value, str) or not value:
        raise exceptions.ArgumentError(argument, value, 'a non-empty string')
