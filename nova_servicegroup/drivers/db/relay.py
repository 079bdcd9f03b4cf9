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

"""The call by which a service without a database has a heartbeat written.

It carries the number of a record and nothing of Nova's, and comes back when
the heartbeat is written. Its timeout is also the message's time to live; and
it says when it was sent, by the database's clock as the last answer told it,
or at first by the sender's own. So one that was stuck on its way, in a frozen
message queue or process, cannot make a dead service look alive. And it says
how long its sender waits, since nobody need answer it later.
"""

from collections.abc import Callable
import time
from typing import Any, NamedTuple

from oslo_log import log as logging
import oslo_messaging as messaging
from oslo_utils import importutils

from nova_servicegroup.drivers.db import clock
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

TOPIC = 'nova_servicegroup_collector'
VERSION = '1.0'
#: A heartbeat that is on its way for longer than this is dropped (seconds).
MAX_AGE = 10.0
#: An old connection that has ended is found out in this time (seconds).
_AT_ONCE = 1.0
#: No time is further from the epoch (seconds).
_FOREVER = 1e11


def is_young(sent: float | None, now: float | None) -> bool:
    """Tell whether a heartbeat was not stuck anywhere.

    One whose sender has a wrong clock, and has not yet heard of the database's
    time, seems to have been: it is answered with that time, and sent again.

    :param sent: when it was sent; None: it does not say so
    :param now: the database's time; None: it cannot be told
    """
    if sent is None:
        return False
    return now is None or abs(now - sent) <= MAX_AGE


class Answer(NamedTuple):
    """What a collector has answered.

    :ivar now: the database's time; None: it cannot tell
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


class Client:
    """A service's end.

    :param transport: oslo.messaging's RPC transport
    :param wall: the sender's own clock
    :ivar behind: the collector had more to do than it can, by its last answer
    """

    def __init__(
        self, transport: Any, wall: Callable[[], float] = time.time
    ) -> None:
        # Refused at once where nobody listens, and while nothing connects.
        self._client = messaging.get_rpc_client(
            transport,
            messaging.Target(topic=TOPIC, version=VERSION),
            retry=0,
        )
        self._options = messaging.TransportOptions(at_least_once=True)
        self._clock = clock.Clock(lambda: None)
        self._wall = wall
        self.behind = False

    def beat(self, record_id: int, timeout: float) -> bool:
        """Have a heartbeat written; tell whether the record is there.

        :param timeout: seconds to wait for an answer
        :raises BackendTimeout: no answer; it may have been written
        :raises BackendUnreachable: there is no connection
        :raises BackendError: no collector took it
        """
        for _ in range(2):
            answer = self._call(record_id, timeout)
            self._clock.set(answer.now)
            self.behind = answer.behind
            if answer.taken:
                return not answer.gone
        raise exceptions.BackendError(TOPIC, 'takes it for too old')

    def _call(self, record_id: int, timeout: float) -> Answer:
        """Call once; again where only the connection had ended."""
        begun = time.monotonic()
        try:
            return self._call_once(record_id, timeout)
        except exceptions.BackendUnreachable:
            if time.monotonic() - begun > _AT_ONCE:
                raise
        return self._call_once(record_id, timeout)

    def _call_once(self, record_id: int, timeout: float) -> Answer:
        client = self._client.prepare(
            timeout=timeout, transport_options=self._options
        )
        sent = self._clock.read()
        try:
            answer = client.call(
                {},
                'beat',
                record=record_id,
                sent=self._wall() if sent is None else sent,
                sure=sent is not None,
                wait=timeout,
            )
        except messaging.MessagingTimeout as error:
            raise exceptions.BackendTimeout(
                TOPIC, 'no answer in time'
            ) from error
        except Exception as error:
            failed = (
                exceptions.BackendUnreachable
                if _is_unreachable(error)
                else exceptions.BackendError
            )
            raise failed(TOPIC, exceptions.first_line(error)) from error
        return read_answer(answer)


def as_backend_error(error: Exception) -> exceptions.BackendError:
    """Return what may leave this package."""
    if isinstance(error, exceptions.BackendError):
        return error
    LOG.debug('Unexpected error in a heartbeat', exc_info=error)
    made = exceptions.BackendError(TOPIC, repr(error))
    made.__cause__ = error
    return made


def _is_unreachable(error: Exception) -> bool:
    """Tell whether there is no connection to the message queue.

    oslo.messaging says the same of whatever goes wrong with RabbitMQ, also
    where this user may not write into this queue.
    """
    kombu = importutils.try_import('kombu.exceptions')
    return (
        kombu is not None
        and isinstance(error, messaging.MessageDeliveryFailure)
        and isinstance(error.__context__, kombu.OperationalError)
    )
