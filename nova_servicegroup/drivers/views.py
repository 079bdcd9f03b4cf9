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

"""A group and its members as an observer sees them, for all programs."""

from collections.abc import Callable, Collection
import dataclasses

from nova_servicegroup import condition
from nova_servicegroup import exceptions
from nova_servicegroup import membership
from nova_servicegroup import observer

#: The states of a member. DEGRADED and DRAINING: it is up, and unfit.
UP, HELD, DOWN = 'up', 'held', 'down'
DEGRADED, DRAINING = condition.DEGRADED, condition.DRAINING


@dataclasses.dataclass(frozen=True)
class Incarnation:
    """One process behind a member. None if unknown, or not asked for.

    :ivar name: its name in the backend
    :ivar since: when it joined, in seconds since the epoch by its own clock
    :ivar machine: the name of the machine that it runs on
    :ivar pid: the process's id
    :ivar reads: the driver by which the process asks which services are up
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
    :ivar proof_age: seconds since the last proof of life, or None if none
    :ivar incarnations: the processes behind it
    :ivar reason: why it is in its state, or None if it is up or unknown
    :ivar cell: the cell with its record, or None if no database was read
    :ivar condition: why it is unfit, or None if it is fit, or that is unknown
        or not believed
    :ivar domain: its failure domain, or None
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
    domain: str | None = None

    @property
    def state(self) -> str:
        """UP, HELD, DEGRADED, DRAINING or DOWN."""
        if not self.up:
            return DOWN
        if self.held:
            return HELD
        state = UP if self.condition is None else self.condition.state
        return state if state in (DEGRADED, DRAINING) else UP


@dataclasses.dataclass(frozen=True)
class View:
    """A group as an observer sees it.

    :ivar members: sorted by host. Only db includes members that are down
    :ivar age: seconds since the backend confirmed it, or None if it never did
    :ivar error: why it could not be read just now, or None
    :ivar asked: seconds since the reading was asked for that has confirmed it,
        or None if that is unknown
    :ivar ignored: the checks that many members fail, or began to fail at the
        same time, so that none of them is degraded for it
    """

    members: tuple[Member, ...]
    age: float | None
    error: exceptions.BackendError | None = None
    ignored: tuple[str, ...] = ()
    asked: float | None = None


#: Whether to also ask where the processes behind members run: for all hosts,
#: or the hosts for which to ask.
Detailed = bool | Collection[str]


def is_wanted(detailed: Detailed, host: str) -> bool:
    """Return whether to ask where the processes of a host run."""
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

    :param incarnations: returns those of a host
    """
    seen.refresh()
    # Before the members, which may have been read once more meanwhile.
    asked = seen.asked_age()
    return View(
        tuple(
            _member(seen, group, host, incarnations(host))
            for host in sorted(seen.members)
        ),
        seen.age(),
        seen.error,
        tuple(sorted(seen.fitness.ignored)),
        asked,
    )


def _member(
    seen: observer.Observer,
    group: str,
    host: str,
    incarnations: tuple[Incarnation, ...],
) -> Member:
    held = seen.members.is_held(host)
    unfit = seen.fitness.unfit.get(host)
    return Member(
        seen.name(host),
        group,
        seen.is_up(host),
        held,
        seen.proof_age(host),
        incarnations,
        seen.members.reason(host)
        if held
        else unfit and condition.words(unfit),
        condition=unfit,
        domain=seen.members.domains.of(host),
    )
