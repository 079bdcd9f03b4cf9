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

"""The servicegroup driver that Nova constructs."""

import datetime
from importlib import metadata
import logging
from typing import Any

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup import diagnostics
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup.plugin import conditions
from nova_servicegroup.plugin import records
from nova_servicegroup.plugin import service as service_
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: The shared APIs, by configuration and driver.
_apis: dict[tuple[int, str], api.API] = {}


def make_api(
    conf: cfg.ConfigOpts, driver: base.Driver | None = None
) -> api.API:
    """Return a new API that can read Nova's services table.

    :param driver: see api.API
    :raises: as api.API, without a traceback: the last line is what an operator
        needs in Nova's log
    """
    try:
        made = api.API(conf, driver)
    except exceptions.ServiceGroupError as error:
        raise error.with_traceback(None) from None
    made.give_table(records.ServicesTable())
    return made


def forget() -> None:
    """Close all shared APIs; the next driver makes a new one.

    For tests, which change Nova's options and databases in one process.
    """
    while _apis:
        _, made = _apis.popitem()
        made.close()


def _shared() -> api.API:
    """Return the API that all drivers share, for the option's present value.

    :raises: see make_api
    """
    import nova.conf

    conf = nova.conf.CONF
    key = id(conf), conf.servicegroup_driver
    if key not in _apis:
        diagnostics.register(_apis.values)
        # If two threads race, the loser's API has done nothing yet.
        _apis.setdefault(key, make_api(conf))
    return _apis[key]


class Driver:
    """The servicegroup driver as Nova knows it.

    nova-api constructs hundreds. All share one API for each configuration. The
    first one makes it, so that Nova does not start with unusable options.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Use the shared API.

        :raises LibraryMissing: the driver's client library is not installed
        :raises ConfigurationError: an option cannot be used
        """
        self._api = _shared()
        # Nova asks about every host: calling the driver directly is faster.
        driver = self._api.driver
        self.is_up = driver.is_up  # type: ignore[method-assign]
        self.updated_time = driver.updated_time  # type: ignore[method-assign]

    def join(self, member: str, group: str, service: Any = None) -> None:
        """Make member part of group for as long as service runs.

        :raises ArgumentError: an argument is empty
        :raises ServiceMissing: service is None
        """
        if service is None:
            raise exceptions.ServiceMissing
        LOG.info(
            'Joining the servicegroup %s as %s with the driver %s of '
            'nova-servicegroup %s',
            group,
            member,
            self._api.driver.conf.servicegroup_driver,
            metadata.version('nova-servicegroup'),
        )
        running = service_.NovaService(service)
        self._api.join(member, group, running)
        conditions.joined(self._api, member, group, running)

    def is_up(self, service_ref: services.ServiceRef) -> bool:
        """Return whether the service is up. Never raises.

        Nova does not ask about a service that is forced down.
        """
        return self._api.driver.is_up(service_ref)

    def updated_time(
        self, service_ref: services.ServiceRef
    ) -> datetime.datetime | None:
        """Return when it was last up, or None; see drivers.base.Driver."""
        return self._api.get_updated_time(service_ref)
