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


"""State machine that chooses whether a collector or Nova writes a heartbeat.

Pure: no I/O, no clock and no random numbers of its own. Times are in seconds
of one monotonic clock and are passed in.

An answer costs as much as the heartbeat itself, and most answers say nothing
new. So after an answer that all is well, the next heartbeats ask for none, for
so long that all of them may be lost: see rules.

When collectors are late, writes by Nova would add more load than the late
heartbeats: if every service made one, nothing would get through. So Nova
writes only when another late heartbeat would be too late, or while it proves
to be quick; and less and less often while its writes fail.

When the message queue cannot be reached, Nova cannot reach it either. It would
wait longer and longer, and a write of every service would be due at the moment
the queue is back. So nothing is written until then, and collectors are given
time to answer; unless Nova wrote the last heartbeat in their place.
"""

from collections.abc import Callable, Mapping
import dataclasses
import enum
import math

from nova_servicegroup.drivers.db import rules
from nova_servicegroup import exceptions

#: The longest wait before collectors are asked or Nova writes again (seconds).
_LONGEST = 300.0
#: Nova is quick if it writes a heartbeat in this share of an interval.
_QUICK = 0.1
#: The most doublings of a wait: floats overflow.
_MOST_DOUBLED = 64


class Writer(enum.Enum):
    """Who writes the last heartbeat."""

    COLLECTOR = 'a collector, which answered or was not asked to'
    LATE_COLLECTOR = 'a collector, perhaps: it did not answer'
    NOVA = 'Nova'
    NONE = 'none: the message queue cannot be reached'


class Kind(enum.Enum):
    """How one attempt ended."""

    WRITTEN = 'a collector answered'
    BEHIND = 'a collector answered that is overloaded'
    GONE = 'a collector answered that there is no such record'
    SENT = 'the message queue has it, and no answer was asked for'
    LATE = 'no collector answered in time'
    UNREACHABLE = 'nothing can be sent'
    REFUSED = 'no collector listens, or its answer is not usable'
    UNWRITTEN = 'collectors answered, but the record shows no heartbeat'
    RESTING = 'no collector was asked, since none answered a moment ago'
    SAVED = 'Nova wrote it'
    UNSAVED = 'Nova did not write it, or did not confirm that it did'


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of one attempt.

    :ivar begun: when the heartbeat began
    :ivar ended: when the attempt ended
    :ivar chance: a random number from 0 to 1, which spreads services in time
    """

    kind: Kind
    begun: float
    ended: float
    chance: float = 0.0


@dataclasses.dataclass(frozen=True)
class State:
    """The writer of a service's last heartbeat, and when to do what next.

    :ivar reached_at: when the message queue was last not known to be away
    :ivar save_at: when Nova may write what a collector is late with
    :ivar ask_at: when to ask a collector for an answer again. Until then,
        heartbeats ask for no answer after one (is_silent), and are not sent to
        collectors after a refusal (is_resting)
    :ivar late: the number of unanswered heartbeats in a row
    :ivar refused: the number of refusals in a row
    :ivar unsaved: 0 after a heartbeat that Nova wrote, 1 after one that a
        collector wrote; one more for each failed write of Nova's since
    """

    timing: rules.Timing
    writer: Writer
    reached_at: float
    save_at: float
    ask_at: float = -math.inf
    late: int = 0
    refused: int = 0
    unsaved: int = 1

    def is_silent(self, now: float) -> bool:
        """Return whether a heartbeat is sent without asking for an answer."""
        return self.writer is Writer.COLLECTOR and now < self.ask_at

    def is_resting(self, now: float) -> bool:
        """Return whether no heartbeat is sent to collectors."""
        return self.writer is not Writer.COLLECTOR and now < self.ask_at

    def may_save(self, now: float) -> bool:
        """Return whether Nova writes the heartbeat if a collector is late."""
        return now >= self.save_at


def first(timing: rules.Timing, now: float) -> State:
    """Return the state of a service that has never had an answer.

    It may be one of many that have just started.
    """
    save_at = now + timing.save_after + timing.down_time
    return State(timing, Writer.COLLECTOR, now, save_at)


def kind_of(error: Exception) -> Kind:
    """Return the outcome that an error of a call to a collector stands for."""
    if isinstance(error, exceptions.BackendTimeout):
        return Kind.LATE
    if isinstance(error, exceptions.BackendUnreachable):
        return Kind.UNREACHABLE
    return Kind.REFUSED


def next(state: State, outcome: Outcome) -> State:
    """Return the state after an attempt.

    If its writer is NOVA, Nova is to write the heartbeat, unless it has just
    tried.
    """
    return _TRANSITIONS[outcome.kind](state, outcome)


def _answered(state: State, outcome: Outcome) -> State:
    timing = state.timing
    # An overloaded collector most likely also writes the heartbeats that it
    # has no time to answer; and readers hold members while most are late.
    more = timing.down_time if outcome.kind is Kind.BEHIND else 0.0
    save_at = outcome.ended + timing.save_after + more
    found = State(timing, Writer.COLLECTOR, outcome.ended, save_at)
    if outcome.kind is not Kind.WRITTEN:
        return found
    ask_at = outcome.begun + _silence(state, outcome.chance)
    return dataclasses.replace(found, ask_at=ask_at)


def _silence(state: State, chance: float) -> float:
    """Return how long to ask for no answer after one that all is well.

    The first time is random: services that start together ask at different
    times.
    """
    whole = state.timing.silence
    if state.writer is Writer.COLLECTOR and state.ask_at > -math.inf:
        return whole
    beats = math.ceil(whole / state.timing.interval)
    return min(whole, chance * beats * state.timing.interval)


def _sent(state: State, outcome: Outcome) -> State:
    return dataclasses.replace(state, reached_at=outcome.ended)


def _late(state: State, outcome: Outcome) -> State:
    reached = dataclasses.replace(
        state, reached_at=outcome.ended, ask_at=-math.inf, refused=0
    )
    if state.may_save(outcome.begun):
        return dataclasses.replace(reached, writer=Writer.NOVA)
    return dataclasses.replace(
        reached, writer=Writer.LATE_COLLECTOR, late=state.late + 1
    )


def _unreachable(state: State, outcome: Outcome) -> State:
    save_at = state.save_at
    if state.unsaved:
        # Answers take a while to come through after the queue is back.
        save_at = max(save_at, outcome.ended + state.timing.save_after)
    away = dataclasses.replace(
        state, save_at=save_at, ask_at=-math.inf, refused=0
    )
    if outcome.ended - state.reached_at >= _LONGEST:
        return dataclasses.replace(away, writer=Writer.NOVA)
    return dataclasses.replace(away, writer=Writer.NONE, late=state.late + 1)


def _refused(state: State, outcome: Outcome) -> State:
    wait = _doubled(0.5, state.refused) * (1 - outcome.chance / 2)
    return dataclasses.replace(
        state,
        writer=Writer.NOVA,
        reached_at=outcome.ended,
        ask_at=outcome.ended + wait,
        refused=state.refused + 1,
    )


def _unwritten(state: State, outcome: Outcome) -> State:
    wait = _LONGEST * (1 - outcome.chance / 2)
    return dataclasses.replace(
        state, writer=Writer.NOVA, ask_at=outcome.ended + wait
    )


def _resting(state: State, outcome: Outcome) -> State:
    return dataclasses.replace(
        state, writer=Writer.NOVA, reached_at=outcome.ended
    )


def _saved(state: State, outcome: Outcome) -> State:
    save_at = outcome.begun
    if outcome.ended - outcome.begun > _QUICK * state.timing.interval:
        # It was written, and so must the next one be before it is too late.
        save_at += max(0.0, state.timing.latest) * (1 - outcome.chance / 2)
    return dataclasses.replace(
        state, writer=Writer.NOVA, save_at=save_at, unsaved=0
    )


def _unsaved(state: State, outcome: Outcome) -> State:
    wait = 0.0
    if state.unsaved:
        wait = _doubled(state.timing.save_after, state.unsaved - 1)
    return dataclasses.replace(
        state,
        writer=Writer.NOVA,
        save_at=outcome.begun + wait * (1 + outcome.chance / 2),
        unsaved=state.unsaved + 1,
    )


def _doubled(wait: float, times: int) -> float:
    return min(wait * 2.0 ** min(times, _MOST_DOUBLED), _LONGEST)


_TRANSITIONS: Mapping[Kind, Callable[[State, Outcome], State]] = {
    Kind.WRITTEN: _answered,
    Kind.BEHIND: _answered,
    Kind.GONE: _answered,
    Kind.SENT: _sent,
    Kind.LATE: _late,
    Kind.UNREACHABLE: _unreachable,
    Kind.REFUSED: _refused,
    Kind.UNWRITTEN: _unwritten,
    Kind.RESTING: _resting,
    Kind.SAVED: _saved,
    Kind.UNSAVED: _unsaved,
}
