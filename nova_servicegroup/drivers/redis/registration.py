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

"""Registers a member: a key that expires, renewed at each heartbeat."""

import contextlib
import functools
import random

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import provenance
from nova_servicegroup.drivers.common import registration
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.redis import configuration
from nova_servicegroup.drivers.redis import internals

coordination = requests.try_import('tooz.coordination')

#: One in so many joins removes those that have died.
_SWEEP = 50


class Registration(registration.Registration):
    """One member of one group, for as long as its service runs."""

    def __init__(
        self, settings: configuration.Settings, host: str, group: str
    ) -> None:
        super().__init__(
            settings.conf,
            'redis',
            settings.connection(host),
            host,
            group,
            settings.ttl,
        )
        self._settle_time = settings.settle_time

    def _keep(
        self, connected: connections.Connected, ask: registration.Ask
    ) -> None:
        """See registration.Registration.

        Somebody may have removed the member, or everything.
        """
        servers = internals.Group(connected, self._group)
        origin = provenance.origin(self._reads)
        if ask('renew', servers.renew) == internals.packed(origin):
            return
        tooz = connected.coordinator
        # Others have yet to join: whoever reads must know it before it sees
        # the first of them.
        ask('mark', functools.partial(servers.mark, self._settle_time))
        with contextlib.suppress(coordination.GroupAlreadyExist):
            ask('create', functools.partial(tooz.create_group, self._group))
        # It was there, with something else in it, which is replaced.
        with contextlib.suppress(coordination.MemberAlreadyExist):
            ask(
                'join',
                functools.partial(tooz.join_group, self._group, origin),
            )
        if not random.randrange(_SWEEP):
            ask('sweep', servers.sweep)
