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
from typing import Any, TYPE_CHECKING

from nova_servicegroup import exceptions
from nova_servicegroup.plugin import apis
from nova_servicegroup.plugin import service as service_

if TYPE_CHECKING:
    from nova_servicegroup import services

LOG = logging.getLogger(__name__)


class Driver:
    """The servicegroup driver as Nova knows it.

    nova-api constructs hundreds. All share one API for each configuration,
    which is made with the first, so that Nova does not start on options that
    cannot be used.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Find or make the API.

        :raises LibraryMissing: the driver's client library is not installed
        :raises ConfigurationError: an option cannot be used
        """
        self._api = apis.shared()
        # Nova asks about every host: some calls less for each.
        driver = self._api.driver
        self.is_up = driver.is_up  # type: ignore[method-assign]
        self.updated_time = driver.updated_time  # type: ignore[method-assign]

    def join(self, member: str, group: str, service: Any = None) -> None:
        """Make member part of group for as long as service runs.

        :raises ArgumentError: an argument is empty
        :raises ServiceMissing: there is no service
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
        self._api.join(member, group, service_.NovaService(service))

    def is_up(self, service_ref: 'services.ServiceRef') -> bool:
        """Tell whether the service is up. Never raises.

        Nova has answered for one that is forced down.
        """
        return self._api.driver.is_up(service_ref)

    def updated_time(
        self,
        service_ref: 'services.ServiceRef',
    ) -> datetime.datetime | None:
        """Return the last proof of life, or None; see drivers.base.Driver."""
        return self._api.get_updated_time(service_ref)
