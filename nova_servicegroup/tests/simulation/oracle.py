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

"""Checks each verdict against the promises of the design, and the truth.

It imports nothing of the core: a promise is written down here again. Where a
promise is for nobody to keep, since nobody could know, the reading that was
agreed on is a method whose name begins with ``_may``.
"""

from nova_servicegroup.tests.simulation import asker_oracle
from nova_servicegroup.tests.simulation import eye as eyes
from nova_servicegroup.tests.simulation import truth

EPSILON = asker_oracle.EPSILON
Violation = asker_oracle.Violation


class Oracle(asker_oracle.AskerOracle):
    """Checks what the processes of one history say."""

    def verdict(
        self, eye: eyes.Eye, number: int, t0: float, t1: float, up: bool
    ) -> None:
        """Check a verdict on a host, asked for at t0 and given at t1."""
        self.verdicts += 1
        if self.trace:
            self._show(eye, number, t1, up)
        if t1 > t0:
            self.waited(eye, 'is_up', t0, t1)
        self._same(eye, number, t1, up)
        self._fresh(eye, number, t0)
        host = self.hosts[number]
        if up:
            if not host.seen.within(t0 - 1e-6, t1 + 1e-6):
                self._check_up(eye, host, t0, t1)
        else:
            if host.living.holds(t0) and host.living.holds(t1):
                self._check_down(eye, host, t0, t1)
            self._check_mass(eye, host, t1)
            eye.down_at.setdefault(number, t1)

    # Promises 1 and 4: the living.

    def _check_down(
        self, eye: eyes.Eye, host: truth.Host, t0: float, t1: float
    ) -> None:
        """One that lives is up until hold_time after its last proof."""
        if self._may_still_be_down(eye, host):
            return
        proof = self._proof(eye, host, t0)
        if t1 < proof + self.rules.hold - EPSILON:
            self.blame(
                'living',
                eye,
                f'{host.name} is called down at {t1:.3f}; it lives since '
                f'{host.living.since(t0):.1f}, and could be read until '
                f'{proof:.1f}; the last read is of {eye.read_at}',
            )

    def _proof(self, eye: eyes.Eye, host: truth.Host, t0: float) -> float:
        """Return the last proof of life that anyone could have had."""
        if eye.read_at is None:
            # Promise 4: who starts blind presumes up.
            return max(eye.first_ask, self._read_proof(eye, host, t0))
        if self._may_not_know(eye, host) or self._may_have_slept(eye, host):
            return -truth.INFINITE
        return self._read_proof(eye, host, t0)

    def _read_proof(self, eye: eyes.Eye, host: truth.Host, t0: float) -> float:
        """Return the last time at which it was registered and to be read.

        One that was lost and is back is so at the next read.
        """
        since, known = host.sure.since(t0), self.known_at(eye, host)
        if since is not None and known is not None and known < since:
            t0 = since - 1e-6
        return truth.last_both(host.sure, self.ready(eye, host), t0)

    def known_at(self, eye: eyes.Eye, host: truth.Host) -> float | None:
        """Return for when the last read holds that tells of a host."""
        return eye.read_at

    def _may_still_be_down(self, eye: eyes.Eye, host: truth.Host) -> bool:
        """One that was called down may stay so until a read shows it.

        That there is a read in time is checked for itself.
        """
        return host.number in eye.down_at

    def _may_not_know(self, eye: eyes.Eye, host: truth.Host) -> bool:
        """A join is visible at the next successful read."""
        return eye.seen_at[host.number] < host.joined

    def _may_have_slept(self, eye: eyes.Eye, host: truth.Host) -> bool:
        """One that was lost meanwhile, by a process that was asked nothing."""
        return eye.gap > eyes.IDLE and not host.sure.holds(eye.last_ask)

    # Promise 5: mass loss.

    def _protect(
        self, eye: eyes.Eye, hosts: frozenset[int], valid: float
    ) -> None:
        lost = eye.present - hosts
        if len(lost) < 3 or 2 * len(lost) <= len(eye.present):
            return
        if eye.gap > eyes.IDLE or not eye.ready.holds(valid):
            return
        for number in lost:
            vanished = self.hosts[number].seen.last(valid)
            eye.protected[number] = vanished + self.rules.hold

    def _check_mass(self, eye: eyes.Eye, host: truth.Host, t1: float) -> None:
        """Those that are lost together are held like in an outage."""
        until = eye.protected.get(host.number)
        if until is not None and t1 < until - EPSILON:
            self.blame(
                'mass',
                eye,
                f'{host.name} is called down at {t1:.3f}; it was lost with '
                f'most others, and is to be held until {until:.1f}',
            )

    # Promise 2: the dead.

    def _check_up(
        self, eye: eyes.Eye, host: truth.Host, t0: float, t1: float
    ) -> None:
        """One that is dead is down, and stays down until it renews again."""
        if host.living.within(t0 - 1e-6, t1 + 1e-6):
            return
        down = eye.down_at.get(host.number)
        if down is not None and not host.seen.within(down, t1):
            self.blame(
                'again',
                eye,
                f'{host.name} is up again at {t1:.3f}: it is dead since '
                f'{host.living.last(t0):.1f} and was called down at '
                f'{down:.1f}',
            )
        bound, why = max(
            self._bounds(eye, host, host.seen.last(t0), t0),
        )
        if t0 > bound:
            self.blame(
                'dead',
                eye,
                f'{host.name} is up at {t0:.3f}: it lived until '
                f'{host.living.last(t0):.1f}, was to be seen until '
                f'{host.seen.last(t0):.1f}, and down by {bound:.1f} ({why})',
            )

    def _bounds(
        self, eye: eyes.Eye, host: truth.Host, gone: float, t0: float
    ) -> list[tuple[float, str]]:
        """Return until when a host may be up that vanished, and why."""
        first = max(gone, eye.first_ask)
        read = self.rules.refresh + self.rules.slack
        hold = self.rules.hold + read
        found = [(first + read, 'the next read')]
        outage = self._may_be_blind(eye, host, t0)
        if outage is not None:
            found.append((outage + hold, 'an outage'))
        trouble = self._may_be_lost(first, t0)
        if trouble is not None:
            found.append((trouble + hold, 'the backend loses members'))
        if self.evicting.within(gone - self.rules.hold, t0):
            found.append((first + hold, 'evictions'))
        width = self._width(eye)
        if truth.is_mass(self.group(host), gone, width):
            found.append((gone + width + hold, 'mass loss'))
        if eye.read_at is None or eye.no_group:
            found.append((eye.unknown_since() + hold, 'no group'))
        return found

    def _may_be_blind(
        self, eye: eyes.Eye, host: truth.Host, t0: float
    ) -> float | None:
        """Return from when on hosts are held for an outage, if so."""
        ready = self.ready(eye, host)
        since = ready.since(t0)
        if since is None:
            again = ready.spans[-1][0] if ready.spans else 0.0
            return max(eye.blind_since(t0) + self.rules.timeout, again)
        return since if since > 0 else None

    def _may_be_lost(self, first: float, t0: float) -> float | None:
        """Return from when on hosts are held as the backend may lose them."""
        since = self.calm.since(t0)
        if since is None:
            return max(first, self.calm.last(t0))
        return since if since > 0 else None

    def _width(self, eye: eyes.Eye) -> float:
        """Return in which time those vanish that seem lost together."""
        rules = self.rules
        return rules.spread + rules.refresh + rules.slack + eye.longest_gap
