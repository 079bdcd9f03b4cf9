# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""What an observer sees of a group, for all who look on."""

from collections.abc import Callable, Collection
import dataclasses

from nova_servicegroup import condition
from nova_servicegroup import exceptions
from nova_servicegroup import membership
from nova_servicegroup import observer

#: The states of a member. DEGRADED and DRAINING are up, and of no use.
UP, HELD, DOWN = 'up', 'held', 'down'
DEGRADED, DRAINING = condition.DEGRADED, condition.DRAINING


@dataclasses.dataclass(frozen=True)
class Incarnation:
    """One process behind a member. None: it is not known, or was not asked.

    :ivar name: what the backend calls it
    :ivar since: when it joined, in seconds since the epoch by its own clock
    :ivar machine: the name of the machine that it runs on
    :ivar pid: of the process
    :ivar reads: the driver by which its process asks who is up
    """

    name: str
    since: float | None = None
    machine: str | None = None
    pid: int | None = None
    reads: str | None = None


@dataclasses.dataclass(frozen=True)
class Member:
    """One member of a group, as an observer sees it.

    :ivar host: the host that joined
    :ivar group: the group that it joined
    :ivar up: the verdict
    :ivar held: up only because absence is not yet evidence
    :ivar proof_age: seconds since the last proof of life; None: never seen
    :ivar incarnations: the processes behind it
    :ivar reason: why it is in its state; None: it is up, or that is not known
    :ivar cell: whose database tells; None: no database does
    :ivar condition: why it is of no use; None: it is of use, or that is not
        believed or known
    """

    host: str
    group: str
    up: bool
    held: bool = False
    proof_age: float | None = None
    incarnations: tuple[Incarnation, ...] = ()
    reason: str | None = None
    cell: str | None = None
    condition: 'condition.Condition | None' = None

    @property
    def state(self) -> str:
        """UP, HELD, DEGRADED, DRAINING or DOWN."""
        if not self.up:
            return DOWN
        if self.held:
            return HELD
        return UP if self.condition is None else self.condition.state


@dataclasses.dataclass(frozen=True)
class View:
    """A group as an observer sees it.

    :ivar members: sorted by host. Drivers other than db leave out who is down
    :ivar age: seconds since the backend has confirmed it; None: it never has
    :ivar error: why it could not be read just now; None: it could
    :ivar ignored: the checks that so many members fail, or have begun to fail
        together, that these are not degraded for them
    """

    members: tuple[Member, ...]
    age: float | None
    error: exceptions.BackendError | None = None
    ignored: tuple[str, ...] = ()


#: Whether to also ask where the processes behind members run: of all, or only
#: of some hosts.
Detailed = bool | Collection[str]


def is_wanted(detailed: Detailed, host: str) -> bool:
    """Tell whether to ask where the processes of a host run."""
    if isinstance(detailed, bool):
        return detailed
    name = membership.canonical(host)
    return any(membership.canonical(each) == name for each in detailed)


def view_of(
    seen: observer.Observer,
    group: str,
    incarnations: Callable[[str], tuple[Incarnation, ...]],
) -> View:
    """Return what an observer sees of a group.

    :param incarnations: tells them of a host
    """
    seen.refresh()
    return View(
        tuple(
            _member(seen, group, host, incarnations(host))
            for host in sorted(seen.members)
        ),
        seen.age(),
        seen.error,
        tuple(sorted(seen.fitness.ignored)),
    )


def _member(
    seen: observer.Observer,
    group: str,
    host: str,
    incarnations: tuple[Incarnation, ...],
) -> Member:
    held = seen.members.is_held(host)
    said = seen.fitness.unfit.get(host)
    return Member(
        seen.name(host),
        group,
        seen.is_up(host),
        held,
        seen.proof_age(host),
        incarnations,
        seen.members.reason(host) if held else said and condition.words(said),
        condition=said,
    )
