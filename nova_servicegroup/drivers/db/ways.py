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


"""The ways of a heartbeat, as a state and what each outcome makes of it.

Pure: no I/O, no clock and no chance of its own. Times are in seconds of one
monotonic clock and are handed in.

An answer costs as much as the heartbeat itself, and most say what is known. So
after one that says that all is well, the next heartbeats are sent without
asking for one, for so long that all of them may be lost: see rules.

Where a collector is there but late, what Nova does would cost more than what
is late already: if every service of a fleet did it, nothing would get through
any more. So then Nova writes a heartbeat only when none was answered for so
long that another one would be too late, unless it proves to be quick; and less
and less often while it does not write.

Where the message queue cannot be reached, Nova cannot reach it either, and
would wait for it longer and longer, with a write of every service due at the
moment that it is back. So then nothing is written until it is.
"""

from collections.abc import Callable, Mapping
import dataclasses
import enum
import math

from nova_servicegroup.drivers.db import rules as rules_
from nova_servicegroup import exceptions

#: Seconds for which a collector that did not answer is left alone, at most.
LONGEST = 300.0
#: Nova is quick if it writes a heartbeat in this share of an interval.
_QUICK = 0.1
#: A wait is doubled so often at most: a float has an end.
_MOST_DOUBLED = 64


class Way(enum.Enum):
    """Where the last heartbeat went."""

    COLLECTOR = 'a collector has answered it, or has been left unasked'
    LATE = 'left out: a collector may have written it, but has not said so'
    NOVA = 'Nova writes it'
    UNREACHABLE = 'left out: the message queue cannot be reached'


class Kind(enum.Enum):
    """What has become of one attempt."""

    WRITTEN = 'a collector has answered'
    BEHIND = 'a collector has answered, which has more to do than it can'
    GONE = 'a collector has answered that there is no such record'
    SENT = 'the message queue has it, and no answer was asked for'
    LATE = 'a collector has not answered in time'
    UNREACHABLE = 'nothing can be sent'
    REFUSED = 'no collector, or one whose answer is of no use'
    UNWRITTEN = 'collectors have answered, but the record shows no heartbeat'
    RESTING = 'no collector was asked, since none answered a moment ago'
    SAVED = 'Nova has written it'
    UNSAVED = 'Nova has not written it, or has not said so'


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of one attempt.

    :ivar begun: when the heartbeat began
    :ivar ended: when the attempt did
    :ivar chance: from 0 to 1, so that not all services do the same
    """

    kind: Kind
    begun: float
    ended: float
    chance: float = 0.0


@dataclasses.dataclass(frozen=True)
class State:
    """Where the last heartbeat of a service went, and what follows.

    :ivar late: so many in a row were left out
    :ivar refused: so many times in a row a collector was of no use
    :ivar unsaved: so many times in a row Nova did not write
    :ivar ask_at: when a collector is asked again: until then one that has
        answered is sent heartbeats all the same, and one that was of no use
        is left alone
    :ivar save_at: when Nova may write what a collector is late with
    :ivar reached_at: when the message queue was not known to be away
    """

    rules: rules_.Rules
    way: Way
    reached_at: float
    save_at: float
    ask_at: float = -math.inf
    late: int = 0
    refused: int = 0
    unsaved: int = 0

    def is_silent(self, now: float) -> bool:
        """Tell whether a heartbeat is sent without asking for an answer."""
        return self.way is Way.COLLECTOR and now < self.ask_at

    def is_resting(self, now: float) -> bool:
        """Tell whether no collector is sent anything."""
        return self.way is not Way.COLLECTOR and now < self.ask_at


def first(rules: rules_.Rules, now: float) -> State:
    """Return the state of a service that was never answered.

    It may be one of many that have just started.
    """
    save_at = now + rules.patience + rules.down_time
    return State(rules, Way.COLLECTOR, now, save_at)


def kind_of(error: Exception) -> Kind:
    """Return what it means that a collector was asked, and this was raised.

    Whatever it is, something follows from it.
    """
    if isinstance(error, exceptions.BackendTimeout):
        return Kind.LATE
    if isinstance(error, exceptions.BackendUnreachable):
        return Kind.UNREACHABLE
    return Kind.REFUSED


def next(state: State, outcome: Outcome) -> State:
    """Return the state after an attempt.

    Its way is where the heartbeat goes from there: with NOVA, Nova is to
    write it, unless it has just tried.
    """
    return _NEXT[outcome.kind](state, outcome)


def _answered(state: State, outcome: Outcome) -> State:
    rules = state.rules
    # One that is behind most likely writes, too, what it has no time to
    # answer; and where all are late, readers are patient for longer.
    more = rules.down_time if outcome.kind is Kind.BEHIND else 0.0
    save_at = outcome.ended + rules.patience + more
    found = State(rules, Way.COLLECTOR, outcome.ended, save_at)
    if outcome.kind is not Kind.WRITTEN:
        return found
    ask_at = outcome.begun + _silence(state, outcome.chance)
    return dataclasses.replace(found, ask_at=ask_at)


def _silence(state: State, chance: float) -> float:
    """Return for how long none asks after an answer that all is well.

    Those that have begun together do not go on asking together.
    """
    whole = state.rules.silence
    if state.way is Way.COLLECTOR and state.ask_at > -math.inf:
        return whole
    beats = math.ceil(whole / state.rules.interval)
    return min(whole, chance * beats * state.rules.interval)


def _sent(state: State, outcome: Outcome) -> State:
    return dataclasses.replace(state, reached_at=outcome.ended)


def _late(state: State, outcome: Outcome) -> State:
    reached = dataclasses.replace(
        state, reached_at=outcome.ended, ask_at=-math.inf, refused=0
    )
    if outcome.begun >= state.save_at:
        return dataclasses.replace(reached, way=Way.NOVA)
    return dataclasses.replace(reached, way=Way.LATE, late=state.late + 1)


def _unreachable(state: State, outcome: Outcome) -> State:
    # When it is back, answers still take a while to come through.
    save_at = max(state.save_at, outcome.ended + state.rules.patience)
    away = dataclasses.replace(
        state, save_at=save_at, ask_at=-math.inf, refused=0
    )
    if outcome.ended - state.reached_at >= LONGEST:
        return dataclasses.replace(away, way=Way.NOVA)
    return dataclasses.replace(away, way=Way.UNREACHABLE, late=state.late + 1)


def _refused(state: State, outcome: Outcome) -> State:
    wait = _doubled(0.5, state.refused) * (1 - outcome.chance / 2)
    return dataclasses.replace(
        state,
        way=Way.NOVA,
        reached_at=outcome.ended,
        ask_at=outcome.ended + wait,
        refused=state.refused + 1,
    )


def _unwritten(state: State, outcome: Outcome) -> State:
    wait = LONGEST * (1 - outcome.chance / 2)
    return dataclasses.replace(
        state, way=Way.NOVA, ask_at=outcome.ended + wait
    )


def _resting(state: State, outcome: Outcome) -> State:
    return dataclasses.replace(state, way=Way.NOVA, reached_at=outcome.ended)


def _saved(state: State, outcome: Outcome) -> State:
    save_at = outcome.begun
    if outcome.ended - outcome.begun > _QUICK * state.rules.interval:
        # Written all the same, and so is the next one before it is too late.
        save_at += max(0.0, state.rules.latest) * (1 - outcome.chance / 2)
    return dataclasses.replace(state, way=Way.NOVA, save_at=save_at, unsaved=0)


def _unsaved(state: State, outcome: Outcome) -> State:
    wait = _doubled(state.rules.patience, state.unsaved)
    return dataclasses.replace(
        state,
        way=Way.NOVA,
        save_at=outcome.begun + wait * (1 + outcome.chance / 2),
        unsaved=state.unsaved + 1,
    )


def _doubled(wait: float, times: int) -> float:
    return min(wait * 2.0 ** min(times, _MOST_DOUBLED), LONGEST)


_NEXT: Mapping[Kind, Callable[[State, Outcome], State]] = {
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
