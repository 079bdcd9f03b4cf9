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

"""The condition that a member reports: why it, or its host, takes no work.

Its text form, the *mark*, is stored where others read it:
``degraded:rpc:1760000000``.
"""

import datetime
import math
import re
from typing import NamedTuple

#: A check of the member fails; or its service has begun to stop.
DEGRADED, DRAINING = 'degraded', 'draining'
#: The reason of every draining member.
STOPPING = 'stopping'
#: What the agent of a host reports of a group, which is the reason: the
#: process of its member has died, or was stopped.
DIED, STOPPED = 'process-died', 'process-stopped'
#: What the agent leaves in the place of a member whose process has died, and
#: that it has ended.
ENDED = 'ended'

_WORDS = {
    DEGRADED: 'its check fails',
    DRAINING: 'its service takes no more work',
    DIED: 'a process of its host has died',
    STOPPED: 'a process of its host was stopped',
    ENDED: 'its agent has ended it',
}
#: The last second that has a date.
_LATEST = 253402300799.0

_REASON = '[a-z0-9_-]{1,32}'
_MARK = re.compile(
    f'({DEGRADED}|{DRAINING}|{DIED}|{STOPPED}|{ENDED})'
    f':({_REASON}):(0|[1-9][0-9]{{0,11}})'
)


class Condition(NamedTuple):
    """Why a member is unfit.

    :ivar state: DEGRADED, DRAINING, DIED, STOPPED or ENDED
    :ivar reason: the name of the first check that fails, or STOPPING, or a
        group; see is_reason
    :ivar since: in seconds since the epoch, by the member's own clock
    """

    state: str
    reason: str
    since: float


def is_reason(name: str) -> bool:
    """Return whether name can be a reason: 1 to 32 of a-z, 0-9, _ and -."""
    return re.fullmatch(_REASON, name) is not None


def encode(condition: Condition) -> str:
    """Return the mark of a condition, with whole seconds.

    :raises ValueError: the state or the reason is invalid
    """
    state, reason, since = condition
    # The member's clock may show any time.
    seconds = min(max(since, 0.0), _LATEST) if math.isfinite(since) else 0.0
    mark = f'{state}:{reason}:{int(seconds)}'
    if parse(mark) is None:
        raise ValueError(f'{condition!r} is not a condition')
    return mark


def parse(mark: str) -> Condition | None:
    """Return the condition of a mark, or None if encode did not write it.

    Each condition has exactly one mark: other spellings are not accepted.
    """
    found = _MARK.fullmatch(mark)
    if found is None:
        return None
    state, reason, since = found[1], found[2], float(found[3])
    return Condition(state, reason, since) if since <= _LATEST else None


def date(condition: Condition) -> str:
    """Return the time since when it holds, in ISO 8601 and UTC."""
    since = datetime.datetime.fromtimestamp(
        condition.since, datetime.timezone.utc
    )
    return since.isoformat(timespec='seconds')


def words(condition: Condition) -> str:
    """Return the condition in words."""
    why = _WORDS[condition.state]
    return f'{why}: {condition.reason}, since {date(condition)}'


#: The mark of every member that an agent has ended.
ENDED_MARK = encode(Condition(ENDED, DIED, 0.0))
