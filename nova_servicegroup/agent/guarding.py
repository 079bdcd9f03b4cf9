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
from typing import NamedTuple, Protocol

from oslo_log import log as logging

from nova_servicegroup.agent import watchdog
from nova_servicegroup import exceptions
from nova_servicegroup import fencing

LOG = logging.getLogger(__name__)

#: Seconds by which a watchdog may reset the host late.
_LATE = 1.0
#: Seconds between two looks whether there is something to feed, at most.
_SOON = 0.5


class Seen(NamedTuple):
    """What a confirmed reading says of this host.

    :ivar present: whether it is in the group, and not only held
    :ivar stops: whether it shows that it stops
    :ivar asked: when the reading was asked for, by the monotonic clock
    """

    present: bool
    stops: bool
    asked: float


class Times(NamedTuple):
    """Times of a host, in seconds.

    :ivar timeout: of its watchdog
    :ivar stop: in which a clean stop has to be confirmed
    """

    timeout: float
    stop: float


class Device(Protocol):
    """See watchdog.Device."""

    timeout: int

    def open(self, claimed: bool) -> bool: ...

    def feed(self) -> None: ...

    def disarm(self) -> bool: ...


class Memberships(Protocol):
    """The memberships of this host: as an agent, and its claim.

    Each method returns in bounded time. Only join and leave raise, what a
    driver does. Proofs are those of base.Driver.proof.
    """

    def agent_proof(self) -> float | None: ...

    def claim_proof(self) -> float | None: ...

    def see_agent(self) -> Seen | None:
        """Return what the group of hosts says; None: it cannot be read."""

    def see_claim(self) -> Seen | None:
        """Return what the group of claims says; None: it cannot be read."""

    def join(self) -> None:
        """Join the group of claims."""

    def leave(self) -> None:
        """Leave it."""


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
        device: Device,
        lease: watchdog.Lease,
        members: Memberships,
        times: Times,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device
        self._lease = lease
        self._members = members
        self._times = times
        self._clock = clock
        self._alone_at = self._reset_by()
        self._stop: _Stop | None = None
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
        self._stop = self._stop or _Stop(self._clock())

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

    def _withdraw(self, stop: '_Stop') -> None:
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


class _Stop:
    """A clean stop: the steps that every observer can see.

    Nobody but an observer that reads less often than in fencing.NOTICE may
    miss that the agent shows that it stops, and has no claim.

    :ivar begun: when it began
    :ivar failed: whether an observer may have missed it
    """

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.failed = False
        self._warned = False
        self._leaving: float | None = None
        self._left: float | None = None
        self._gone: float | None = None
        # Until when the agent is a member for sure.
        self._lasts = -math.inf

    def warn(self) -> None:
        """Tell, once, what is going to happen."""
        if not self._warned:
            LOG.error(
                'The backend does not confirm that this host has withdrawn '
                'its claim. The watchdog stays armed: IT WILL RESET THIS '
                'HOST, unless %s at once.',
                'that is confirmed'
                if self.has_left
                else 'the agent is started again, and confirmed,',
            )
        self._warned = True

    @property
    def has_left(self) -> bool:
        """Whether the claim was left."""
        return self._left is not None

    def is_done(
        self,
        members: Memberships,
        clock: Callable[[], float],
        lease: watchdog.Lease,
    ) -> bool:
        """Go on; return whether the watchdog may be disarmed now."""
        if self._left is None:
            self._leave(members, clock, lease)
        elif not _is_shown(members):
            # The notice begins anew: others may not see either.
            self._gone = None
        elif self._gone is None:
            seen = members.see_claim()
            if seen and not seen.present and seen.asked >= self._left:
                self._gone = clock()
        if self._left is not None:
            self._keep(members.agent_proof(), clock(), lease)
        return (
            not self.failed
            and self._gone is not None
            and clock() - self._gone > fencing.NOTICE
        )

    def permits(self, members: Memberships, lease: watchdog.Lease) -> bool:
        """Return whether to feed without a claim.

        The agent shows that it stops, and all who could miss that have to
        wait for longer than twice the lease: see Claims.
        """
        return (
            self._leaving is not None
            and not self.failed
            and lease.covers(members.agent_proof())
            and lease.covers_twice(self._leaving)
        )

    def _leave(
        self,
        members: Memberships,
        clock: Callable[[], float],
        lease: watchdog.Lease,
    ) -> None:
        proof, seen = members.agent_proof(), members.see_agent()
        if seen is None or not seen.present or seen.asked < self.begun:
            return
        if seen.stops and lease.covers(proof):
            self._lasts = lease.until(proof)
            self._leaving = clock()
            members.leave()
            self._left = clock()

    def _keep(
        self, proof: float | None, now: float, lease: watchdog.Lease
    ) -> None:
        """Check that the agent has been a member all the time."""
        if now > self._lasts or not lease.covers(proof):
            # It may have been lost, and made anew.
            self.failed = True
        self._lasts = lease.until(proof)


def _is_shown(members: Memberships) -> bool:
    """Return whether others see that the agent stops."""
    seen = members.see_agent()
    return seen is not None and seen.present and seen.stops
