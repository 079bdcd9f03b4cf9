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


"""What a collector reads: each message by itself, since anybody may send it.

Whoever can publish to the message queue can send a message of any kind. One
that is not a heartbeat is dropped and costs nothing but itself.
"""

from collections.abc import Callable, Mapping
import dataclasses
import math
import time
from typing import Any

from oslo_log import log as logging

from nova_servicegroup.drivers.db import relay

LOG = logging.getLogger(__name__)

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
    :ivar wait: the seconds for which the sender waits
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
    if not relay.is_time(value):
        raise Malformed(f'{name} is not a number of seconds')
    return float(value)


class Dropped:
    """Counts the messages that were dropped, and tells of them now and then.

    :ivar count: since the start
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = 0
        self._clock = clock
        self._told = 0
        self._told_at = -math.inf

    def note(self, reason: Malformed) -> None:
        """Count one."""
        self.count += 1
        now = self._clock()
        if now - self._told_at < _CALM:
            return
        LOG.warning(
            '%d messages in the queue %s were dropped, which are no '
            'heartbeats (%s). Somebody else writes to it.',
            self.count - self._told,
            relay.TOPIC,
            reason,
        )
        self._told, self._told_at = self.count, now
