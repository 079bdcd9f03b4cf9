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

"""The services of a history with Nova's own database."""

from typing import Any

from nova_servicegroup.drivers.db import rules
from nova_servicegroup.drivers.db import states
from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import table

#: Seconds in which Nova writes a heartbeat.
_SAVE = 0.3


class Member:
    """One service that writes heartbeats.

    :ivar works: whether its process runs
    """

    def __init__(self, history: Any, row: table.Row) -> None:
        self.row = row
        self.host = row.host
        self.works = False
        self.blocked_until = 0.0
        self._world = history
        self._chance = history.chance('member', row.host.number)
        self._turn = 0
        self._state = self._first()

    def _first(self) -> states.State:
        timing = rules.Timing(self._world.interval, self._world.down_time)
        return states.first(timing, kernel.now())

    def start(self) -> None:
        """Start a process, which beats after a few seconds."""
        self.works = True
        self._state = self._first()
        self._turn += 1
        delay = self._chance.uniform(0.1, 5)
        self._world.later(delay, self._beat, self._turn)

    def die(self) -> None:
        """End at once."""
        self.works = False
        self._turn += 1
        self.host.living.end(kernel.now())

    def leave(self) -> None:
        """End, and have the record say so."""
        if self.works and not self.row.cell.away:
            self.row.cell.leave(self.row)
            for each in (self.host.seen, self.host.sure):
                each.end(kernel.now())
        self.die()

    def _beat(self, turn: int) -> None:
        if self._turn != turn:
            return
        now = kernel.now()
        if now < self.blocked_until:
            self._world.later(self.blocked_until - now, self._beat, turn)
            return
        self._send(turn, now)
        jitter = self._chance.uniform(-0.05, 0.05)
        self._world.later(self._world.interval + jitter, self._beat, turn)

    def _send(self, turn: int, now: float) -> None:
        """Have a heartbeat written, as drivers.db.routes does."""
        away = self.row.cell.away or now < self._world.unread_until
        if not away:
            self._write()
        if self._state.is_silent(now):
            self._go_on(states.Kind.SENT, now)
        elif not away:
            self._go_on(states.Kind.WRITTEN, now)
        else:
            wait = self._state.timing.save_timeout
            self._world.later(wait, self._give_up, turn, now)

    def _give_up(self, turn: int, begun: float) -> None:
        """Find that no collector has answered."""
        if self._turn != turn or kernel.now() < self.blocked_until:
            return
        self._go_on(states.Kind.LATE, begun)
        if self._state.writer is states.Writer.NOVA:
            self._world.later(_SAVE, self._save, turn, kernel.now())

    def _save(self, turn: int, begun: float) -> None:
        """Have Nova write it."""
        if self._turn != turn or kernel.now() < self.blocked_until:
            return
        if self.row.cell.away:
            self._go_on(states.Kind.UNSAVED, begun)
        else:
            self._write()
            self._go_on(states.Kind.SAVED, begun)

    def _write(self) -> None:
        now = kernel.now()
        since = self.host.living.since(now)
        since = now if since is None else max(since, self.blocked_until)
        self._world.write(self.row, since)
        self.host.begin(now)

    def _go_on(self, kind: states.Kind, begun: float) -> None:
        chance = self._chance.random()
        outcome = states.Outcome(kind, begun, kernel.now(), chance)
        self._state = states.next(self._state, outcome)
