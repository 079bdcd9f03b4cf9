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

"""The last proofs of life of the services of a group, and of their hosts."""

from collections.abc import Mapping
import time

from oslo_log import log as logging

from nova_servicegroup import api
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import fencing
from nova_servicegroup import services
from nova_servicegroup.watch import claims
from nova_servicegroup.watch import deaths

LOG = logging.getLogger(__name__)

#: Seconds after which the last proof of life of a service is forgotten.
_FORGET_AFTER = 7 * 86400.0


class Proofs:
    """What one process knows of the deaths in a group.

    It reads the group of hosts, too, where there is one. Names are those of
    inventory.Entry.
    """

    def __init__(self, servicegroup: api.API, group: str) -> None:
        self._api = servicegroup
        self._group = group
        self._reads_agents = (
            servicegroup.has_agents and group != services.HOST_GROUP
        )
        # Two sessions that end together do not expire together.
        self._agents = deaths.Agents(
            2 * (servicegroup.driver.found_within or 0.0)
        )
        self._claims: claims.Claims | None = None
        self._claimed = ''
        if self._reads_agents and servicegroup.has_watchdogs:
            self._watch_claims(servicegroup.driver)
        # When each service was last proved alive, by the monotonic clock.
        self._last: dict[str, float] = {}
        # The services that are down, since the last reading.
        self._down: set[str] = set()

    def update(self, members: Mapping[str, views.Member | None]) -> None:
        """Take over a reading of the group.

        :param members: the services by name, with their members
        """
        now = time.monotonic()
        kept = {
            name: proof
            for name, proof in self._last.items()
            if name in members
            or name in self._down
            or now - proof < _FORGET_AFTER
        }
        self._down = set()
        self._last = kept | {
            name: now - each.proof_age
            for name, each in members.items()
            if each is not None and each.proof_age is not None
        }
        if self._reads_agents:
            self._read_agents()

    def _watch_claims(self, driver: base.Driver) -> None:
        conf = driver.conf
        try:
            within = fencing.reset_within(conf, driver)
        except exceptions.ConfigurationError as error:
            # Agents refuse to start with it.
            LOG.error('%s', error)
            return
        self._claimed = fencing.group(conf, driver)
        self._claims = claims.Claims(
            float(within),
            driver.found_within or 0.0,
            min(fencing.NOTICE, fencing.lease(conf, driver)),
        )

    def _read_agents(self) -> None:
        begun = time.monotonic()
        # The claims first: an agent that withdraws its claim is there longer.
        claimed = self._api.view(self._claimed) if self._claimed else None
        found = self._api.view(services.HOST_GROUP)
        now = time.monotonic()
        self._agents.update(found, now)
        if self._claims is not None and claimed is not None:
            self._claims.update(claimed, found, begun, now)

    def age(self, name: str) -> float | None:
        """Return the seconds since a service was proved alive; None: never."""
        proof = self._last.get(name)
        return None if proof is None else time.monotonic() - proof

    def evidence(self, name: str, host: str) -> str:
        """Return why a service is down that nobody has forced down.

        :param host: its host, without the cell
        :returns: one of deaths.EVIDENCE
        """
        self._down.add(name)
        if not self._reads_agents:
            return deaths.UNKNOWN
        agent_is_up = self._api.service_is_up(
            {'host': host, 'topic': services.HOST_GROUP}
        )
        found = self._agents.evidence(
            host, self._group, self._last.get(name), agent_is_up
        )
        if found != deaths.SILENT or self._claims is None:
            return found
        return deaths.FENCED if self._claims.is_fenced(host) else found
