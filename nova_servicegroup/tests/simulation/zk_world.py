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

"""A history with ZooKeeper."""

import functools
from typing import Any

from nova_servicegroup.tests.simulation import eye as eyes
from nova_servicegroup.tests.simulation import plan as plans
from nova_servicegroup.tests.simulation import world
from nova_servicegroup.tests.simulation import zk_client
from nova_servicegroup.tests.simulation import zk_faults
from nova_servicegroup.tests.simulation import zk_members
from nova_servicegroup.tests.simulation import zookeeper


class ZkWorld(zk_faults.Faults, world.World):
    """A history with ZooKeeper."""

    def __init__(self, plan: plans.Plan) -> None:
        super().__init__(plan)
        self.ensemble = zookeeper.Ensemble(
            self.kernel,
            self.settings['session'],
            self.settings['tick'],
            self.chance('sessions'),
        )
        self.members = [
            zk_members.Member(self, host, self.chance('member', host.number))
            for host in self.hosts
        ]
        self._numbers = {host.name: host.number for host in self.hosts}
        self._clients: list[tuple[zk_client.Client, eyes.Eye]] = []
        self._cut_eyes: set[eyes.Eye] = set()
        self._joins: list[float] = []

    def note_join(self) -> None:
        """Note that a member has joined.

        Where most have joined anew between two reads, they were lost, and so
        may be the others, for all that anybody knows.
        """
        now = self.kernel.now
        between = self.options['refresh_interval'] + max(
            each.interval for each in self.plan.askers
        )
        self._joins = [each for each in self._joins if each > now - between]
        self._joins.append(now)
        if 2 * len(self._joins) > len(self.ensemble.members()):
            self.oracle.calm.end(now)
            self.oracle.calm.begin(
                now + between + 1.5 * self.settings['session']
            )

    def rules(self) -> eyes.Rules:
        """See World."""
        timeout = self.options['read_timeout']
        session, tick = self.settings['session'], self.settings['tick']
        return eyes.Rules(
            self.options['hold_time'],
            self.options['refresh_interval'],
            timeout,
            session / 3 + tick,
            0.25 + (0.8 * timeout if self._is_slow() else 0.0),
        )

    def _is_slow(self) -> bool:
        return any(each.what == 'slow' for each in self.plan.faults)

    def prepare_servers(self) -> None:
        """See World."""
        self.ensemble.group_exists = bool(self.plan.dead)

    def prepare(self, driver: Any, asker: Any, eye: eyes.Eye) -> Any:
        """See World."""
        eye.ready.begin(0.0)
        for start, length in asker.pauses:
            self.kernel.at(
                start + length - 1e-6,
                functools.partial(self._wake_up, eye, start - asker.interval),
            )
        return super().prepare(driver, asker, eye)

    def _wake_up(self, eye: eyes.Eye, asked: float) -> None:
        """Who has slept finds out only now that all data was lost."""
        now = self.kernel.now
        lost = any(
            each.what == 'wipe' and each.at + each.size > asked
            for each in self.plan.faults
            if each.at < now
        )
        if lost and self._is_readable(eye):
            eye.ready.end(now)
            eye.ready.begin(now + 3 * self.settings['session'] + 10)

    def make_coordinator(
        self, scheme: str, place: str, member_id: bytes, options: Any
    ) -> Any:
        """See World."""
        eye = self.eye()
        assert eye is not None
        made = zk_client.Client(
            self.ensemble,
            eye.process,
            lambda: eye in self._cut_eyes,
            functools.partial(self._read, eye),
            self.chance('client', eye.process.pid, len(self._clients)),
        )
        self._clients.append((made, eye))
        return made

    def _read(
        self, eye: eyes.Eye, issued: float, valid: float, found: Any
    ) -> None:
        eye.no_group |= 'GroupNotCreated' in repr(type(found))
        if isinstance(found, Exception) and 'GroupNotCreated' not in repr(
            type(found)
        ):
            eye.fail()
            return
        confirmed = isinstance(found, set)
        nodes = found if confirmed else ()
        hosts = {zookeeper.number_of(each, self._numbers) for each in nodes}
        now = self.kernel.now
        self.oracle.read(
            eye, issued, valid, now, frozenset(hosts), confirmed=confirmed
        )
