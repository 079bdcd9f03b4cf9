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

"""What happens to memcached and its members."""

from typing import Any

from nova_servicegroup.tests.simulation import eye as eyes
from nova_servicegroup.tests.simulation import host_faults
from nova_servicegroup.tests.simulation import memcached
from nova_servicegroup.tests.simulation import plan as plans


class Faults(host_faults.HostFaults):
    """What may happen in a history; see McWorld."""

    servers: list[memcached.Server]
    places: list[memcached.Place]
    oracle: Any
    eyes: list[eyes.Eye]
    interval: float
    chance: Any
    _changed: Any
    _grace: Any
    _shake: Any
    _trouble: Any
    _update_all: Any
    _since: dict[memcached.Server, float]
    _spares: list[memcached.Server]
    _cut_eyes: dict[eyes.Eye, str]
    _lone_until: dict[eyes.Eye, float]

    # What happens to hosts.

    def _host_stall(self, event: plans.Event) -> None:
        self._member(event).sleep(event.size)

    def _host_cut(self, event: plans.Event) -> None:
        member = self._member(event)
        if member.works and not member.cut:
            member.be_cut(event.size)
            # Whoever has lost his key says so, and all are held for a while.
            self._shake(event.size)

    # What happens to the servers.

    def _server(self, event: plans.Event) -> memcached.Server:
        return self.places[event.where % len(self.places)].server

    def _fault_away(self, event: plans.Event, state: str = 'away') -> None:
        server = self._server(event)
        if server.state == 'ok':
            server.state = state
            self._trouble(server, event.size)
            self.later(event.size, self._return, server)

    def _fault_mute(self, event: plans.Event) -> None:
        self._fault_away(event, 'mute')

    def _return(self, server: memcached.Server) -> None:
        server.state = 'ok'

    def _fault_restart(self, event: plans.Event) -> None:
        server = self._server(event)
        if server.state == 'ok':
            self._fault_away(event)
            server.clear()
            server.run += 1
            server.evictions = 0

    def _fault_flush(self, event: plans.Event) -> None:
        self._server(event).clear()
        self._shake(0.0)

    def _fault_evict(self, event: plans.Event) -> None:
        server, now = self._server(event), self.kernel.now
        self.oracle.evicting.begin(
            now, now + event.size + 2 * self.interval + self._grace()
        )
        chance = self.chance('evict', event)
        end = now + event.size

        def evict() -> None:
            if self.kernel.now < end:
                if server.state == 'ok':
                    server.evict(chance)
                self.later(chance.uniform(0.3, 0.5 + 9 * event.much), evict)

        evict()

    def _fault_slow(self, event: plans.Event) -> None:
        server = self._server(event)
        server.latency = (0.1, 0.3, 0.45)[int(2.99 * event.much)]
        self._trouble(server, event.size)
        self.later(event.size, self._fast, server)

    def _fast(self, server: memcached.Server) -> None:
        server.latency = 0.001

    def _fault_replace(self, event: plans.Event) -> None:
        """The address fails over to an empty server, and back."""
        place = self.places[event.where % len(self.places)]
        if place.server not in self.servers:
            return
        server, spare = place.server, memcached.Server(self._changed)
        self._spares.append(spare)
        self._since[spare] = self.kernel.now + self._grace()
        place.server = spare
        self._trouble(server, event.size)
        self.later(self._grace() + 1e-6, self._update_all)
        self.later(event.size, self._put_back, place, server)

    def _put_back(self, place: Any, server: memcached.Server) -> None:
        place.server = server
        self._trouble(server, 0.0)

    def _fault_lone(self, event: plans.Event) -> None:
        """One process that asks is cut off."""
        if self.eyes:
            eye = self.eyes[event.where % len(self.eyes)]
            self._cut_eyes[eye] = 'away' if event.much < 0.5 else 'mute'
            until = self.kernel.now + event.size + self._grace()
            self._lone_until[eye] = until
            self._update_all()
            self.later(event.size, self._cut_eyes.pop, eye, None)
            self.later(event.size + self._grace() + 1e-6, self._update_all)
