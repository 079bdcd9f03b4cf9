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

"""A history with memcached."""

from collections.abc import Collection
from typing import Any

from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup import opts
from nova_servicegroup.tests.simulation import eye as eyes
from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import mc_client
from nova_servicegroup.tests.simulation import mc_faults
from nova_servicegroup.tests.simulation import mc_members
from nova_servicegroup.tests.simulation import mc_oracle
from nova_servicegroup.tests.simulation import memcached
from nova_servicegroup.tests.simulation import plan as plans
from nova_servicegroup.tests.simulation import truth
from nova_servicegroup.tests.simulation import world

#: Seconds in which a client tries again.
_REST = 5.0


class McWorld(mc_faults.Faults, world.World):
    """A history with memcached."""

    oracle_class = mc_oracle.McOracle

    def __init__(self, plan: plans.Plan) -> None:
        super().__init__(plan)
        self.interval = float(self.options['report_interval'])
        self.servers = [
            memcached.Server(self._changed)
            for _ in range(self.settings['servers'])
        ]
        self.places = [memcached.Place(each) for each in self.servers]
        self._spares: list[memcached.Server] = []
        self._since = dict.fromkeys(self.servers, 0.0)
        self._keys = keyspace.Keys(self.conf.memcached.key_prefix)
        addresses = [f'mc{each}:11211' for each in range(len(self.places))]
        self.members = [
            mc_members.Member(
                self.kernel,
                host,
                self.conf,
                addresses,
                world.GROUP,
                self.chance('member', host.number),
            )
            for host in self.hosts
        ]
        self._by_key = {
            memcached.MEMBER + each.id.encode(): each for each in self.members
        }
        self._marker = self._keys.marker.encode()
        self._cut_eyes: dict[eyes.Eye, str] = {}
        self._lone_until: dict[eyes.Eye, float] = {}
        ttl = float(opts.memcached_ttl(self.conf))
        self.oracle.forgotten = ttl + self.options['hold_time']
        for host in self.hosts:
            host.sure = truth.Timeline()

    def rules(self) -> eyes.Rules:
        """See World."""
        timeout = self.options['read_timeout']
        return eyes.Rules(
            self.options['hold_time'],
            self.options['refresh_interval'],
            timeout,
            self.options['report_interval'] + 1.0,
            0.3 + 0.1 * timeout,
        )

    def prepare_servers(self) -> None:
        """See World."""
        if self.plan.dead:
            self._begin_with_dead()
        else:
            self._shake(0.0)

    def _begin_with_dead(self) -> None:
        """Have the servers know what they knew when all were alive."""
        for server in self.servers:
            server.set(self._marker, b'1' * 8, 0)
            for number in self.plan.dead:
                member = self.members[number]
                shard = self._keys.shard(world.GROUP, member.id)
                key = b'_TOOZ_GROUP_' + shard
                found = server.get(key)
                entry = {b'capabilities': {'host': member.host.name}}
                members = {} if found is None else found[0]
                server.set(key, {**members, member.id.encode(): entry}, 0)

    def prepare(self, driver: Any, asker: Any, eye: eyes.Eye) -> Any:
        """See World."""
        eye.ready.begin(0.0)
        return super().prepare(driver, asker, eye)

    def make_coordinator(
        self, scheme: str, place: str, member_id: bytes, options: Any
    ) -> Any:
        """See World."""
        number = int(place.partition(':')[0].removeprefix('mc'))
        eye, process = self.eye(), self.kernel.process
        member = next((m for m in self.members if m.process is process), None)

        def cut() -> str:
            if eye is not None:
                return self._cut_eyes.get(eye, '')
            return 'away' if member is not None and member.cut else ''

        def read(*what: Any) -> None:
            if eye is not None:
                self._read(eye, number, *what)

        client = mc_client.Client(
            self.places[number], float(options['timeout']), cut, read
        )
        return mc_client.Coordinator(
            client, member_id, int(options['membership_timeout'])
        )

    def _read(
        self,
        eye: eyes.Eye,
        number: int,
        issued: float,
        valid: float,
        keys: Collection[bytes],
        found: dict[bytes, Any],
    ) -> None:
        """Note what a process has read, if it has read members."""
        if self._marker not in keys:
            return
        server = self.places[number].server
        eye.no_group |= self._marker not in found
        numbers = frozenset(
            self._by_key[key].host.number
            for key in found
            if key in self._by_key
        )
        asked = frozenset(
            self._by_key[key].host.number
            for key in keys
            if key in self._by_key
        )
        if not self._is_sure(server):
            eye.take_late(str(number), issued, self.kernel.now)
            return
        for each in asked:
            eye.asked_at[each] = valid
        now, source = self.kernel.now, str(number)
        self.oracle.read(
            eye,
            issued,
            valid,
            now,
            numbers,
            source,
            asked,
            self._marker in found,
        )

    # What is true.

    def _is_sure(self, server: memcached.Server) -> bool:
        """Tell whether every reader has what is on a server."""
        return (
            server.state == 'ok'
            and server.latency <= 0.1 * self.options['read_timeout']
            and any(place.server is server for place in self.places)
        )

    def _is_settled(self, server: memcached.Server) -> bool:
        return self._is_sure(server) and self._since[server] <= self.kernel.now

    def _changed(self, key: bytes) -> None:
        member = self._by_key.get(key)
        if member is not None:
            self._update(member)

    def _update(self, member: mc_members.Member) -> None:
        host = member.host
        key = memcached.MEMBER + member.id.encode()
        servers = [*self.servers, *self._spares]
        _extend(host.seen, [each.end(key) for each in servers])
        _extend(
            host.sure,
            [each.end(key) for each in servers if self._is_settled(each)],
        )

    def _update_all(self) -> None:
        """Note what is true after a server has changed."""
        now = self.kernel.now
        for member in self.members:
            self._update(member)
        servers = [each.server for each in self.places]
        some = any(self._is_settled(each) for each in servers) and not any(
            each.state == 'ok' and not self._is_sure(each) for each in servers
        )
        for eye in self.eyes:
            lone = eye in self._cut_eyes or self._lone_until.get(eye, 0) > now
            if some and not lone:
                if not eye.ready.holds(now):
                    eye.ready.begin(now)
            else:
                eye.ready.end(now)

    def _shake(self, size: float) -> None:
        """Note that servers lose members, for so many seconds."""
        settled = 2 * self.interval + self._grace()
        until = self.kernel.now + size + settled
        calm = self.oracle.calm
        if calm.spans and calm.spans[-1][0] > until:
            return
        calm.end(self.kernel.now)
        calm.begin(until)

    def _grace(self) -> float:
        """Return the seconds until a process asks a server again."""
        timeout = float(self.conf.memcached.timeout)
        grace = _REST + 3 * timeout + self.options['refresh_interval']
        sparse = [
            each.interval
            for each in self.plan.askers
            if each.green or len(self.servers) > 1
        ]
        return grace + 2 * max(sparse, default=0.0)

    def _trouble(self, server: memcached.Server, size: float) -> None:
        """Note that a server cannot be relied upon, for so many seconds."""
        self._shake(size)
        self._since[server] = self.kernel.now + size + self._grace()
        self._update_all()
        self.later(size + self._grace() + 1e-6, self._update_all)


def _extend(timeline: truth.Timeline, ends: list[float]) -> None:
    """Note until when something is so, as it is known now."""
    now, end = kernel.now(), max(ends, default=0.0)
    if end > now:
        timeline.begin(now, end)
    else:
        timeline.end(now)
