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


"""Messages between services and collectors.

Any client of the message queue can send any message. So each one is parsed by
itself, with limits, and dropped if it is not a heartbeat.
"""

from collections.abc import Mapping
import math
import time
from typing import Any, NamedTuple

from oslo_log import log as logging

from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

TOPIC = 'nova_servicegroup_collector'
VERSION = '1.0'
#: The methods: a service lives; or its process has ended without a word.
BEAT, LEAVE = 'beat', 'leave'
#: A heartbeat that takes longer to arrive is dropped (seconds).
MAX_AGE = 10.0
#: The longest time for which a sender asks for no answer (seconds).
MOST_SILENT = 60.0
#: The largest time, in seconds before or after the epoch, that is accepted.
_MAX_TIME = 1e11
#: The largest number of a record, as in Nova's table.
_MAX_RECORD = 2**31 - 1
#: The longest time that a sender waits for an answer (seconds).
_MAX_WAIT = 60.0
#: Seconds between two warnings about dropped messages.
_LOG_INTERVAL = 3600.0


class Malformed(Exception):
    """A message is not a heartbeat. The reason quotes nothing of it."""


class Heartbeat(NamedTuple):
    """A heartbeat of one service, as the arguments of its call.

    Or the news that it has ended, see LEAVE: then sent is when that was.

    :ivar record: the number of the service's record
    :ivar sent: when it was sent, or None if it does not say
    :ivar sure: whether that is by the database's clock
    :ivar wait: seconds for which the sender waits for an answer; 0: not at all
    :ivar left: whether the service has ended
    """

    record: int
    sent: float | None
    sure: bool
    wait: float
    left: bool = False


def read(message: object) -> Heartbeat:
    """Return the heartbeat in a message.

    :raises Malformed: it is not a heartbeat
    """
    if not isinstance(message, Mapping):
        raise Malformed('no arguments')
    args = message.get('args')
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
        min(max(wait, 0.0), _MAX_WAIT),
        message.get('method') == LEAVE,
    )


def _record(value: object) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not 0 < value <= _MAX_RECORD:  # type: ignore[operator]
        raise Malformed('record is not the number of a record')
    return int(value)  # type: ignore[call-overload, no-any-return]


def _number(name: str, value: Any) -> float:
    if not _is_time(value):
        raise Malformed(f'{name} is not a number of seconds')
    return float(value)


def _is_time(value: object) -> bool:
    """Return whether a value is a number of seconds that is accepted."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -_MAX_TIME <= value <= _MAX_TIME


def is_young(sent: float | None, now: float | None) -> bool:
    """Return whether a heartbeat was not delayed on its way.

    It seems delayed if its sender's clock is wrong and the sender does not yet
    know the database's time: then it is answered with that time and sent
    again.

    :param sent: when it was sent, or None if it does not say
    :param now: the database's time, or None if unknown
    """
    if sent is None:
        return False
    return now is None or abs(now - sent) <= MAX_AGE


class Answer(NamedTuple):
    """A collector's answer to one heartbeat, as its call returns it.

    :ivar now: the database's time, or None if unknown
    :ivar taken: whether the heartbeat was written, since it was not too old
    :ivar gone: whether there is no such record
    :ivar behind: whether the collector is overloaded
    """

    now: float | None
    taken: bool
    gone: bool
    behind: bool


def read_answer(answer: object) -> Answer:
    """Return the answer in a message. Any reader of the queue may send one.

    :raises BackendError: it cannot be understood
    """
    if isinstance(answer, dict):
        now, taken, gone = map(answer.get, ('now', 'taken', 'gone'))
        timed = now is None or _is_time(now)
        if timed and isinstance(taken, bool) and isinstance(gone, bool):
            return Answer(now, taken, gone, answer.get('behind') is True)
    raise exceptions.BackendError(TOPIC, 'its answer is invalid')


class Dropped:
    """Counts the messages that were dropped, and logs them once an hour.

    :ivar count: the number of them since the start
    """

    def __init__(self) -> None:
        self.count = 0
        self._logged = 0
        self._logged_at = -math.inf

    def note(self, reason: Malformed) -> None:
        """Count one message."""
        self.count += 1
        now = time.monotonic()
        if now - self._logged_at < _LOG_INTERVAL:
            return
        LOG.warning(
            '%d messages in the queue %s were dropped, which are no '
            'heartbeats (%s). Another client writes to it.',
            self.count - self._logged,
            TOPIC,
            reason,
        )
        self._logged, self._logged_at = self.count, now
