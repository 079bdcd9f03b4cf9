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

"""What happens to ZooKeeper and its members."""

from typing import Any

from nova_servicegroup.tests.simulation import eye as eyes
from nova_servicegroup.tests.simulation import host_faults
from nova_servicegroup.tests.simulation import plan as plans
from nova_servicegroup.tests.simulation import zk_members


class Faults(host_faults.HostFaults):
    """What may happen in a history; see ZkWorld."""

    ensemble: Any
    oracle: Any
    plan: plans.Plan
    settings: Any
    options: Any
    eyes: list[eyes.Eye]
    _clients: Any
    _cut_eyes: set[eyes.Eye]

    # What happens to hosts.

    def _host_stall(self, event: plans.Event) -> None:
        member = self._member(event)
        if member.works:
            member.works = False
            member.lose()
            member.host.living.end(self.kernel.now)
            self.later(event.size, self._wake, member, event.size)

    def _wake(self, member: zk_members.Member, slept: float) -> None:
        if not member.works:
            member.works = True
            member.host.living.end(self.kernel.now)
            member.find(slept)

    def _host_cut(self, event: plans.Event) -> None:
        member = self._member(event)
        if member.works and not member.cut:
            member.cut = True
            member.lose()
            self.later(event.size, self._uncut, member, event.size)

    def _uncut(self, member: zk_members.Member, failed: float) -> None:
        member.cut = False
        member.find(failed)

    # What happens to the servers.

    def _fault_away(self, event: plans.Event) -> None:
        if self.ensemble.away:
            return
        how = 'loss' if event.much < 0.5 else 'mute'
        self.ensemble.stop(how)
        self._lose_all(how)
        self.later(event.size, self._return, event.size)

    def _fault_cut(self, event: plans.Event) -> None:
        """The servers live; nobody reaches them."""
        if self.ensemble.away:
            return
        how = 'loss' if event.much < 0.5 else 'mute'
        self.ensemble.away = how
        for member in self.members:
            if member.works:
                member.lose()
        self._lose_all(how)
        self.later(event.size, self._return, event.size)

    def _fault_wipe(self, event: plans.Event) -> None:
        """The servers come back without any data."""
        if self.ensemble.away:
            return
        self.ensemble.stop('loss' if event.much < 0.5 else 'mute')
        self._lose_all(self.ensemble.away)
        self.later(event.size, self.ensemble.wipe)
        self.later(event.size, self._return, event.size + 3)

    def _lose_all(self, how: str) -> None:
        for client, eye in self._clients:
            client.disconnect(how)
            eye.ready.end(self.kernel.now)
        for eye in self.eyes:
            eye.ready.end(self.kernel.now)
        self.oracle.calm.end(self.kernel.now)

    def _return(self, failed: float) -> None:
        self.ensemble.start()
        for member in self.members:
            member.find(failed)
        for client, eye in self._clients:
            if eye not in self._cut_eyes:
                client.reconnect()
        self._settle()

    def _settle(self) -> None:
        """Note from when on all is well."""
        now, session = self.kernel.now, self.settings['session']
        self.oracle.calm.begin(now + 1.5 * session)
        for eye, asker in zip(self.eyes, self.plan.askers, strict=True):
            if self._is_readable(eye):
                eye.ready.begin(now + self._grace(asker))

    def _grace(self, asker: plans.Asker) -> float:
        """Return the seconds until a process has contact again."""
        session = self.settings['session']
        grace = session / 2 + 4.0 + 4 * self.ensemble.latency
        if any(each.what == 'wipe' for each in self.plan.faults):
            grace += 3 * session + 10.0 + 2 * asker.interval
        if asker.green:
            grace += 3 * asker.interval
        return grace

    def _is_readable(self, eye: eyes.Eye) -> bool:
        latency, timeout = self.ensemble.latency, self.options['read_timeout']
        return (
            not self.ensemble.away
            and eye not in self._cut_eyes
            and latency <= 0.3 * timeout
        )

    def _fault_delete(self, event: plans.Event) -> None:
        """Somebody removes the group."""
        if not self.ensemble.away:
            self.ensemble.delete()
            for member in self.members:
                member.check()
            now = self.kernel.now
            self.oracle.calm.end(now)
            self.oracle.calm.begin(now + 1.5 * self.settings['session'])

    def _fault_slow(self, event: plans.Event) -> None:
        self.ensemble.latency = 0.1 + 1.4 * event.much**2
        for eye in self.eyes:
            if not self._is_readable(eye):
                eye.ready.end(self.kernel.now)
        self.later(event.size, self._fast)

    def _fast(self) -> None:
        self.ensemble.latency = 0.002
        if not self.ensemble.away:
            self._settle()

    def _fault_lone(self, event: plans.Event) -> None:
        """One process that asks is cut off."""
        if not self.eyes:
            return
        eye = self.eyes[event.where % len(self.eyes)]
        self._cut_eyes.add(eye)
        eye.ready.end(self.kernel.now)
        how = 'loss' if event.much < 0.5 else 'mute'
        for client, its in self._clients:
            if its is eye:
                client.disconnect(how)
        self.later(event.size, self._join_again, eye)

    def _join_again(self, eye: eyes.Eye) -> None:
        self._cut_eyes.discard(eye)
        if not self.ensemble.away:
            for client, its in self._clients:
                if its is eye:
                    client.reconnect()
            self._settle()

    def _fault_split(self, event: plans.Event) -> None:
        """Many members are cut off, and nobody who asks."""
        if self.ensemble.away:
            return
        for member in self.members:
            if member.host.number % 10 < 10 * event.much and not member.cut:
                self._host_cut(
                    plans.Event(
                        event.at, 'cut', member.host.number, event.size
                    )
                )
