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

"""How a host withdraws the claim that its watchdog resets it.

The order of its steps is what observers rely on; see watch.claims.
"""

from collections.abc import Callable
import math

from oslo_log import log as logging

from nova_servicegroup.agent import ports
from nova_servicegroup.agent import watchdog
from nova_servicegroup import fencing

LOG = logging.getLogger(__name__)


class Withdrawal:
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
        members: ports.Memberships,
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

    def permits(
        self, members: ports.Memberships, lease: watchdog.Lease
    ) -> bool:
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
        members: ports.Memberships,
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


def _is_shown(members: ports.Memberships) -> bool:
    """Return whether others see that the agent stops."""
    seen = members.see_agent()
    return seen is not None and seen.present and seen.stops
