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

"""Feeds a watchdog for as long as the claim of this host is proven.

The order of its steps is what observers rely on; see watch.claims.
"""

from collections.abc import Callable
import enum
import math
import time

from oslo_log import log as logging

from nova_servicegroup.agent import ports
from nova_servicegroup.agent import watchdog
from nova_servicegroup.agent import withdrawal
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

#: Seconds by which a watchdog may reset the host late.
_LATE = 1.0
#: Seconds between two looks whether there is something to feed, at most.
_SOON = 0.5


class State(enum.Enum):
    """What a guard has done.

    ARMED: the watchdog is armed, and nobody counts on it. CLAIMED: observers
    may count on it. LOST: it has stopped, and they still may. ENDED: nothing
    is left to do.
    """

    IDLE = enum.auto()
    ARMED = enum.auto()
    CLAIMED = enum.auto()
    LOST = enum.auto()
    ENDED = enum.auto()


class Guard:
    """The watchdog of this host: armed, fed, and disarmed.

    One thread calls poll, another one feed, which waits for nothing.

    :ivar state: see State
    """

    def __init__(
        self,
        device: ports.Device,
        lease: watchdog.Lease,
        members: ports.Memberships,
        times: ports.Times,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device
        self._lease = lease
        self._members = members
        self._times = times
        self._clock = clock
        self._alone_at = self._reset_by()
        self._stop: withdrawal.Withdrawal | None = None
        self.state = State.IDLE

    def _reset_by(self) -> float:
        """Return when a watchdog has reset the host that nobody feeds now."""
        return self._clock() + self._times.timeout + _LATE

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do, or can be done."""
        return self.state in (State.LOST, State.ENDED)

    @property
    def is_claimed(self) -> bool:
        """Whether observers count on it, as long as there is a proof."""
        return (
            self.state is State.CLAIMED
            and self._members.claim_proof() is not None
        )

    def feed(self) -> None:
        """Feed the watchdog, if that is permitted."""
        if self.state not in (State.ARMED, State.CLAIMED):
            return
        self._lease.note(self._members.claim_proof())
        if self._permits():
            self._device.feed()

    def _permits(self) -> bool:
        return self._lease.permits() or (
            self._stop is not None
            and self._stop.permits(self._members, self._lease)
        )

    def interval(self) -> float:
        """Return the seconds between two feeds."""
        # Its driver may set a shorter timeout when it is armed.
        soon = _SOON if self.state is State.IDLE else math.inf
        return min(self._device.timeout / 4, soon)

    def stop(self) -> None:
        """Begin to withdraw the claim; the agent shows that it stops."""
        self._stop = self._stop or withdrawal.Withdrawal(self._clock())

    def poll(self) -> None:
        """Do what is due now: arm the watchdog, claim it, or go on to stop."""
        if self.ended:
            return
        if self._stop is not None:
            self._withdraw(self._stop)
        elif self.state is State.IDLE:
            self._arm()
        elif self.state is State.ARMED:
            self._claim()

    def _arm(self) -> None:
        """Arm it, once no observer can count on the reset of this host.

        A predecessor that was killed may have armed it and claimed that. Its
        claim is a proof while it is there. Otherwise the watchdog, were it
        armed, must be given the time to keep the promise.
        """
        seen = self._members.see_claim()
        if seen is None:
            return
        if seen.present:
            proof: float | None = seen.asked
        elif self._clock() >= self._alone_at:
            proof = self._members.agent_proof()
        else:
            return
        if self._lease.covers(proof) and self._open(seen.present):
            self._lease.note(proof)
            self.state = State.ARMED
            LOG.info('The watchdog is armed: it resets this host unless fed.')
            self._claim()

    def _open(self, claimed: bool) -> bool:
        try:
            done = self._device.open(claimed)
        except exceptions.ConfigurationError as error:
            LOG.error('%s', error)
            self.state = State.ENDED
            return False
        if not done:
            # What a predecessor has armed may have been fed once more.
            self._alone_at = self._reset_by()
        return done

    def _claim(self) -> None:
        self._members.join()
        self.state = State.CLAIMED

    def _withdraw(self, stop: withdrawal.Withdrawal) -> None:
        if self.state is State.IDLE:
            self.state = State.ENDED
            if self._clock() < self._alone_at:
                LOG.warning(
                    'If the agent before this one had armed the watchdog, it '
                    'resets this host within %g s.',
                    self._times.timeout,
                )
        elif stop.is_done(self._members, self._clock, self._lease):
            self.state = State.ENDED
            if self._device.disarm():
                LOG.info('The watchdog is disarmed.')
        elif stop.failed or self._clock() - stop.begun > self._times.stop:
            self.state = State.ENDED if stop.has_left else State.LOST
            stop.warn()
        elif not self._permits():
            stop.warn()
