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

"""What guards a host: its watchdog, and its memberships."""

from typing import NamedTuple, Protocol


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
