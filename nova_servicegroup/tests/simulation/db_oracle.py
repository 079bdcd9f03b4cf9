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

"""The oracle, where a host is known by the time of its heartbeat."""

from typing import Any

from nova_servicegroup import services
from nova_servicegroup.tests.simulation import eye as eyes
from nova_servicegroup.tests.simulation import oracle
from nova_servicegroup.tests.simulation import truth

#: What whole seconds cost.
_ROUNDING = 1.0
#: A process that has no reason to read does so now and then all the same.
_LOOKS = 20.0


class DbOracle(oracle.Oracle):
    """See Oracle.

    A host is seen for service_down_time after each heartbeat of its.

    :ivar world: the history
    """

    world: Any = None

    def ready(self, eye: eyes.Eye, host: truth.Host) -> truth.Timeline:
        """See Oracle. A plain record does not tell its cell."""
        if self.world.is_plain(eye):
            return eye.ready
        cell: Any = self.world.rows[host.number].cell
        ready: truth.Timeline = cell.ready
        return ready

    def group(self, host: truth.Host) -> list[truth.Host]:
        """See Oracle: those in the same cell."""
        cell = self.world.rows[host.number].cell
        return [row.host for row in cell.rows]

    def _fresh(self, eye: eyes.Eye, number: int, t0: float) -> None:
        """A young record needs no read; of others the verdict tells."""

    def known_at(self, eye: eyes.Eye, host: truth.Host) -> float | None:
        """See Oracle. A record tells also without any read."""
        return None

    # Promise 1.

    def renewed(self, host: truth.Host, last: float, now: float) -> None:
        """One that lives has its heartbeats written in time.

        :param last: when the one before was
        """
        if now - last >= self.world.down_time - _ROUNDING:
            self.blame(
                'living',
                None,
                f'{host.name} has no heartbeat from {last:.1f} to {now:.1f}',
            )

    def _check_down(
        self, eye: eyes.Eye, host: truth.Host, t0: float, t1: float
    ) -> None:
        if not self.world.has_access(eye):
            self._check_by_own_clock(eye, host, t1)
            return
        known = not self._may_not_know_the_time(eye)
        if known and self._is_young(host, t0, t1):
            self.blame(
                'living',
                eye,
                f'{host.name} is called down at {t1:.3f}; its last heartbeat '
                f'is of {self._beat(host, t0):.1f}',
            )
        super()._check_down(eye, host, t0, t1)

    def _check_by_own_clock(
        self, eye: eyes.Eye, host: truth.Host, t1: float
    ) -> None:
        """Without access, it is held by the reader's clock alone."""
        age = self.world.own_age(eye, host, t1)
        if abs(age) < self._longest() - _ROUNDING - oracle.EPSILON:
            self.blame(
                'living',
                eye,
                f'{host.name} is called down at {t1:.3f}; it is {age:.1f} s '
                'late by the clock of a process without access',
            )

    def _longest(self) -> float:
        longest: float = self.world.down_time + self.rules.hold
        return longest

    def _beat(self, host: truth.Host, when: float) -> float:
        for written, stamp in reversed(self.world.rows[host.number].beats):
            if written <= when:
                left = services.has_left(stamp)
                return -truth.INFINITE if left else float(written)
        return -truth.INFINITE

    def _may_not_know_the_time(self, eye: eyes.Eye) -> bool:
        """The database's clock is not known to who has never read it."""
        return eye.read_at is None

    def _is_young(self, host: truth.Host, t0: float, t1: float) -> bool:
        """Tell whether its record is young by the database's own clock."""
        beat = self._beat(host, t0 - self.world.lag)
        age = t1 - beat
        return (
            self.world.ahead is None
            and self.world.clock_is_well(host, beat)
            and age < self.world.down_time - _ROUNDING - self.world.lag
        )

    def _proof(self, eye: eyes.Eye, host: truth.Host, t0: float) -> float:
        if (
            self._may_not_know(eye, host)
            or self._may_have_slept(eye, host)
            or self._may_be_few(host, t0)
            or self._may_have_missed(eye, host, t0)
            or self._may_not_know_the_clock(eye, host, t0)
        ):
            return -truth.INFINITE
        proof = self._read_proof(eye, host, t0)
        ready = self.ready(eye, host)
        if not ready.within(eye.first_ask, t0):
            return max(proof, eye.first_ask)
        return proof

    def _may_not_know(self, eye: eyes.Eye, host: truth.Host) -> bool:
        """One that has just come is known when its record is read again."""
        wait = self.rules.refresh + self.rules.slack + self.world.lag
        return eye.last_ask - host.joined < wait

    def _may_be_few(self, host: truth.Host, t0: float) -> bool:
        """Where less than three beat, nothing tells a stall from a death."""
        end = host.sure.last(t0)
        if end >= t0:
            return False
        group = self.group(host)
        alive = sum(each.living.holds(end) for each in group)
        recent = sum(
            each.seen.last(t0) > end - self._longest() for each in group
        )
        return alive < 3 or 2 * alive <= recent

    def _may_have_missed(
        self, eye: eyes.Eye, host: truth.Host, t0: float
    ) -> bool:
        """A stall that a process could not see, it need not know of.

        Its threads look also when nobody asks, where they can and as long as
        it was asked five minutes ago.
        """
        if host.sure.holds(t0):
            return False
        start, end = self.world.last_stall(host, t0)
        if any(start <= each <= end for each in eye.times):
            return False
        idle = eye.process.green or eye.gap > eyes.IDLE
        return idle or eye.first_ask > start or end - start < _LOOKS

    def _may_not_know_the_clock(
        self, eye: eyes.Eye, host: truth.Host, t0: float
    ) -> bool:
        """When a heartbeat came is known to who has read before and after.

        Of others is known what was written by a clock that is wrong.
        """
        if not self.world.ahead:
            return False
        oldest = t0 - self.world.down_time + _ROUNDING + 1
        reads = [each for each in eye.reads if oldest <= each <= t0]
        return not reads or not any(
            reads[0] < written <= reads[-1]
            for written, _ in self.world.rows[host.number].beats
        )

    # Promise 2.

    def _bounds(
        self, eye: eyes.Eye, host: truth.Host, gone: float, t0: float
    ) -> list[tuple[float, str]]:
        gone += _ROUNDING + self.world.lag
        read = self.rules.refresh + self.rules.slack
        hold = self.rules.hold + read
        found = [(gone + read, 'the next read')]
        if not self.world.has_access(eye):
            slow = -self.world.own_age(eye, host, t0) + t0
            return [(self._longest() + slow + _ROUNDING, 'its own clock')]
        outage = self._may_be_blind(eye, host, t0)
        if outage is not None:
            found.append((max(gone, outage) + hold, 'an outage'))
        if self.world.is_late(gone - self._longest(), t0):
            found.append((gone + hold, 'a stall'))
        if truth.is_mass(self.group(host), gone - 1, self._width(eye)):
            found.append((gone + hold, 'mass loss'))
        first = max(gone - self.world.down_time, eye.first_ask)
        late = self.world.shown_late(host, eye, t0)
        if late is not None:
            found += [
                (gone + late + read, 'a clock'),
                (first + self.world.down_time + read, 'the future'),
            ]
        return found

    def _width(self, eye: eyes.Eye) -> float:
        return self._longest() + super()._width(eye)

    def _check_mass(self, eye: eyes.Eye, host: truth.Host, t1: float) -> None:
        """See promise 1: whoever is late is judged together."""
