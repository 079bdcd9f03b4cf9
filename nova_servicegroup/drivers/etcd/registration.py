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

"""Registers a member: a key with a lease, compared at each heartbeat."""

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import registration
from nova_servicegroup.drivers.etcd import configuration
from nova_servicegroup.drivers.etcd import coordinator


class Registration(registration.Registration):
    """One member of one group, for as long as its service runs.

    Nothing renews the lease of a service whose timers stand still.
    """

    def __init__(
        self, settings: configuration.Settings, host: str, group: str
    ) -> None:
        super().__init__(
            settings.conf,
            'etcd',
            coordinator.connection(settings, host),
            host,
            group,
            settings.ttl,
        )

    def _keep(
        self, connected: connections.Connected, ask: registration.Ask
    ) -> None:
        """See registration.Registration."""
        ask('renew', lambda: connected.coordinator.renew(self._group))
