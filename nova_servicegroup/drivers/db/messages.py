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


"""What services and collectors send each other.

Each message is read by itself, since anybody may send it: whoever can publish
to the message queue can send a message of any kind. One that is not a
heartbeat is dropped and costs nothing but itself.
"""

from collections.abc import Mapping
import dataclasses
import math
import time
from typing import Any, NamedTuple

from oslo_log import log as logging

from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

TOPIC = 'nova_servicegroup_collector'
VERSION = '1.0'
#: A heartbeat that is on its way for longer than this is dropped (seconds).
MAX_AGE = 10.0
#: A sender asks for an answer at least once in such a time (seconds).
MOST_SILENT = 60.0
#: No time is further from the epoch (seconds).
_FOREVER = 1e11
#: The numbers of records, as in Nova's table.
_MOST_RECORD = 2**31 - 1
#: No sender waits for longer, and none for less than no time (seconds).
_LONGEST_WAIT = 60.0
#: Seconds between two lines of the log about messages that were dropped.
_CALM = 3600.0


class Malformed(Exception):
    """A message that is no heartbeat. Says why, in words of this package."""


@dataclasses.dataclass(frozen=True)
class Heartbeat:
    """What a sender says.

    :ivar record: the number of its record
    :ivar sent: when it was sent; None: it does not say so
    :ivar sure: whether that is by the database's clock
    :ivar wait: the seconds for which the sender waits; 0: for no answer
    """

    record: int
    sent: float | None
    sure: bool
    wait: float


def read(message: object) -> Heartbeat:
    """Return what a message says.

    :raises Malformed: it is no heartbeat
    """
    args = message.get('args') if isinstance(message, Mapping) else None
    if not isinstance(args, Mapping):
        raise Malformed('no arguments')
    sent = args.get('sent')
    if sent is not None:
        sent = _number('sent', sent)
    sure = args.get('sure', False)
    if not isinstance(sure, bool):
        raise Malformed('sure is not a boolean')
    wait = _number('wait', args.get('wait', 0.0))
    return Heartbeat(
        _record(args.get('record')),
        sent,
        sure,
        min(max(wait, 0.0), _LONGEST_WAIT),
    )


def _record(value: object) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not 0 < value <= _MOST_RECORD:  # type: ignore[operator]
        raise Malformed('record is not the number of a record')
    return int(value)  # type: ignore[call-overload, no-any-return]


def _number(name: str, value: Any) -> float:
    if not is_time(value):
        raise Malformed(f'{name} is not a number of seconds')
    return float(value)


def is_young(sent: float | None, now: float | None) -> bool:
    """Tell whether a heartbeat was not stuck anywhere.

    One whose sender has a wrong clock, and has not yet heard of the database's
    time, seems to have been: it is answered with that time, and sent again.

    :param sent: when it was sent; None: it does not say so
    :param now: the database's time; None: it is not known
    """
    if sent is None:
        return False
    return now is None or abs(now - sent) <= MAX_AGE


class Answer(NamedTuple):
    """What a collector has answered.

    :ivar now: the database's time; None: it is not known
    :ivar taken: whether the heartbeat was not too old, and was written
    :ivar gone: whether there is no such record
    :ivar behind: whether the collector has more to do than it can
    """

    now: float | None
    taken: bool
    gone: bool
    behind: bool


def is_time(value: object) -> bool:
    """Tell whether a value is a number that can be a time, or a wait."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -_FOREVER <= value <= _FOREVER


def read_answer(answer: object) -> Answer:
    """Return what an answer says; whoever reads the queue may have sent it.

    :raises BackendError: it cannot be understood
    """
    if isinstance(answer, dict):
        now, taken, gone = (
            answer.get(key) for key in ('now', 'taken', 'gone')
        )
        if (
            (now is None or is_time(now))
            and isinstance(taken, bool)
            and isinstance(gone, bool)
        ):
            return Answer(now, taken, gone, answer.get('behind') is True)
    raise exceptions.BackendError(TOPIC, 'its answer is not understood')


class Dropped:
    """Counts the messages that were dropped, and logs them now and then.

    :ivar count: since the start
    """

    def __init__(self) -> None:
        self.count = 0
        self._logged = 0
        self._logged_at = -math.inf

    def note(self, reason: Malformed) -> None:
        """Count one."""
        self.count += 1
        now = time.monotonic()
        if now - self._logged_at < _CALM:
            return
        LOG.warning(
            '%d messages in the queue %s were dropped, which are no '
            'heartbeats (%s). Somebody else writes to it.',
            self.count - self._logged,
            TOPIC,
            reason,
        )
        self._logged, self._logged_at = self.count, now
