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
from nova_servicegroup.opts import agent as options

LOG = logging.getLogger(__name__)

#: Seconds by which a watchdog may reset the host late.
_LATE = 1.0
#: Seconds in which a clean stop has to be confirmed.
STOP_WITHIN = 15.0


class Seen(NamedTuple):
    """What a confirmed reading says of this host.

    :ivar present: whether it is in the group, and not only held
    :ivar stops: whether it shows that it stops
    :ivar asked: when the reading was asked for, by the monotonic clock
    """

    present: bool
    stops: bool
    asked: float


class Device(Protocol):
    """See watchdog.Device."""

    timeout: int

    def open(self) -> None: ...

    def feed(self) -> None: ...

    def disarm(self) -> None: ...


class Memberships(Protocol):
    """The memberships of this host: as an agent, and its claim.

    Each method returns in bounded time and raises nothing. Proofs are those of
    base.Driver.proof.
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


class _State(enum.Enum):
    IDLE = enum.auto()
    ARMED = enum.auto()
    ENDED = enum.auto()


class Guard:
    """The watchdog of this host: armed, fed, and disarmed.

    One thread calls poll, another one feed, which waits for nothing.

    :param timeout: of the watchdog, in seconds
    """

    def __init__(
        self,
        device: Device,
        lease: watchdog.Lease,
        members: Memberships,
        timeout: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device
        self._lease = lease
        self._members = members
        # Until then, one that a predecessor has armed has reset the host.
        self._alone_at = clock() + timeout + _LATE
        self._clock = clock
        self._refused = False
        self._stop: _Stop | None = None
        self._state = _State.IDLE

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self._state is _State.ENDED

    def feed(self) -> None:
        """Feed the watchdog, if that is permitted."""
        if self._state is not _State.ARMED:
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
        return self._device.timeout / 4

    def stop(self) -> None:
        """Begin to withdraw the claim; the agent shows that it stops."""
        self._stop = self._stop or _Stop(self._clock())

    def poll(self) -> None:
        """Do what is due now: arm the watchdog, or go on to stop."""
        if self.ended:
            return
        if self._stop is not None:
            self._withdraw(self._stop)
        elif self._state is _State.IDLE:
            self._arm()

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
        if self._lease.covers(proof) and self._open():
            self._lease.note(proof)
            self._state = _State.ARMED
            LOG.info('The watchdog is armed: it resets this host unless fed.')
            self._members.join()

    def _open(self) -> bool:
        try:
            self._device.open()
        except exceptions.ConfigurationError as error:
            LOG.error('%s', error)
            self._state = _State.ENDED
            return False
        except OSError as error:
            if not self._refused:
                LOG.error(
                    '%s cannot be opened: %s. It will be tried again.',
                    options.WATCHDOG,
                    error.strerror,
                )
            self._refused = True
            return False
        return True

    def _withdraw(self, stop: '_Stop') -> None:
        if self._state is _State.IDLE:
            self._state = _State.ENDED
        elif stop.is_done(self._members, self._clock, self._lease):
            self._device.disarm()
            self._state = _State.ENDED
            LOG.info('The watchdog is disarmed.')
        elif stop.failed or self._clock() - stop.begun > STOP_WITHIN:
            self._state = _State.ENDED
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
                'HOST, unless that is confirmed, or the agent is restarted, '
                'at once.'
            )
        self._warned = True

    def is_done(
        self,
        members: Memberships,
        clock: Callable[[], float],
        lease: watchdog.Lease,
    ) -> bool:
        """Go on; return whether the watchdog may be disarmed now."""
        if self._left is None:
            self._leave(members, clock, lease)
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
