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

"""RPC client by which a service without a database has heartbeats written.

A call carries the number of a record and nothing of Nova's, and returns when
the heartbeat is written. Its timeout is also the message's time to live. It
says when it was sent, by the database's clock as of the last answer, or at
first by the sender's own clock: so a message that was stuck in a frozen
message queue or process cannot make a dead service look alive. It also says
how long its sender waits, since nobody needs an answer later.

A cast is the same without an answer. It is refused where no collector listens,
and expires like a call.
"""

from collections.abc import Callable, Iterator
import contextlib
import time
from typing import Any, TypeVar

from oslo_log import log as logging
import oslo_messaging as messaging
from oslo_utils import importutils

from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import store
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

T = TypeVar('T')

#: Seconds for which the difference between two clocks is trusted, and that a
#: read of a clock may take.
_AGE = 5.0
_ERROR = 1.0
#: Clocks that differ by less were not set (seconds).
_STEP = 2.0
#: A connection that ended while it was idle fails within this time (seconds).
_AT_ONCE = 1.0


class Clock:
    """The database's clock, estimated between two reads of it.

    :param source: the database to read it from; None: it can only be set
    """

    def __init__(self, source: store.Store | None = None) -> None:
        self._source = source
        # Its difference to the monotonic clock, if known, and when it was set.
        self._ahead: float | None = None
        self._set_at = 0.0
        # The difference before the last step, and until when it counts.
        self._before_step = 0.0, 0.0

    def set(self, now: float | None) -> None:
        """Note the time that it shows; None: it is not known."""
        before, self._set_at = self._ahead, time.monotonic()
        self._ahead = None if now is None else now - self._set_at
        if before is None or self._ahead is None:
            return
        if abs(self._ahead - before) > _STEP:
            until = self._set_at + messages.MOST_SILENT + _AGE
            self._before_step = before, until

    @property
    def is_recent(self) -> bool:
        """Whether the time is known, and was set a moment ago."""
        age = time.monotonic() - self._set_at
        return self._ahead is not None and age <= _AGE

    def read_before_step(self) -> float | None:
        """Return the time that it would show without a recent step.

        :returns: None if there was no recent step
        """
        (ahead, until), now = self._before_step, time.monotonic()
        return now + ahead if now < until else None

    def read(self) -> float | None:
        """Return its time, or None if it was never set."""
        begun = time.monotonic()
        if self._source is not None and not self.is_recent:
            now = self._source.now()
            # The time of a read that took long is no longer right.
            if time.monotonic() - begun <= _ERROR:
                self.set(now)
        return None if self._ahead is None else time.monotonic() + self._ahead


class Client:
    """RPC client of the collectors, for one service.

    :param transport: oslo.messaging's RPC transport
    :param wall: the sender's own clock
    :ivar behind: whether the collector was overloaded, by its last answer
    """

    def __init__(
        self, transport: Any, wall: Callable[[], float] = time.time
    ) -> None:
        # Refused at once if no collector listens or nothing connects.
        self._client = messaging.get_rpc_client(
            transport,
            messaging.Target(topic=messages.TOPIC, version=messages.VERSION),
            retry=0,
        )
        self._options = messaging.TransportOptions(at_least_once=True)
        self._clock = Clock()
        self._wall = wall
        # The difference between both clocks at the last answer.
        self._difference = 0.0
        self.behind = False

    @property
    def knows_time(self) -> bool:
        """Whether the database's time is known.

        It is not after the service's own clock was set, or its machine was
        suspended.
        """
        now = self._clock.read()
        if now is None:
            return False
        return abs(self._wall() - now - self._difference) <= _STEP

    def beat(self, record_id: int, timeout: float) -> bool:
        """Have a heartbeat written; return whether the record exists.

        :param timeout: seconds to wait for an answer
        :raises BackendTimeout: no answer; it may have been written
        :raises BackendUnreachable: there is no connection
        :raises BackendError: no collector wrote it
        """
        # After the first answer, the database's time is known.
        for _ in range(2):
            answer = self._retry(self._call, record_id, timeout)
            self._clock.set(answer.now)
            self._difference = self._wall() - (answer.now or 0.0)
            self.behind = answer.behind
            if answer.taken:
                return not answer.gone
        raise exceptions.BackendError(messages.TOPIC, 'rejected it as too old')

    def send(self, record_id: int, timeout: float) -> None:
        """Send a heartbeat without asking for an answer: see knows_time.

        :param timeout: seconds in which it is sent, or expires
        :raises BackendUnreachable: there is no connection
        :raises BackendError: no collector listens
        """
        self._retry(self._cast, record_id, timeout)

    def leave(self, record_id: int, ended_at: float, timeout: float) -> None:
        """Have it written that a process has ended which did not say so.

        A process of the same record that is alive later is not affected.

        :param ended_at: by the monotonic clock
        :param timeout: seconds to wait for each of two answers
        :raises BackendTimeout: no answer
        :raises BackendError: as beat; or there was a heartbeat later, perhaps
            one of its own that was on its way
        """
        # A message from long ago is not written, but answered with the time.
        asks = messages.Heartbeat(record_id, 0.0, False, timeout)
        if not self._clock.is_recent:
            self._clock.set(self._ask(messages.LEAVE, asks).now)
        now = self._clock.read()
        if now is None:
            raise exceptions.BackendError(messages.TOPIC, 'knows no time')
        sent = now - (time.monotonic() - ended_at)
        tells = asks._replace(sent=sent, sure=True)
        answer = self._ask(messages.LEAVE, tells)
        self._clock.set(answer.now)
        if not answer.taken:
            raise exceptions.BackendError(
                messages.TOPIC, 'rejected it as too old, or not the last'
            )

    def _retry(
        self, send: Callable[[int, float], T], record_id: int, timeout: float
    ) -> T:
        """Send; send again if an idle connection had ended."""
        begun = time.monotonic()
        try:
            return send(record_id, timeout)
        except exceptions.BackendUnreachable:
            if time.monotonic() - begun > _AT_ONCE:
                raise
        return send(record_id, timeout)

    def _call(self, record_id: int, timeout: float) -> messages.Answer:
        return self._ask(messages.BEAT, self._heartbeat(record_id, timeout))

    def _ask(
        self, method: str, content: messages.Heartbeat
    ) -> messages.Answer:
        client = self._client.prepare(
            timeout=content.wait, transport_options=self._options
        )
        with _translated():
            answer = client.call({}, method, **_arguments(content))
        return messages.read_answer(answer)

    def _cast(self, record_id: int, timeout: float) -> None:
        """Do what the RPC client does, whose casts never expire."""
        message = {
            'method': messages.BEAT,
            'args': _arguments(self._heartbeat(record_id, 0.0)),
            'version': messages.VERSION,
        }
        with _translated():
            self._client.transport._send(
                self._client.target,
                {},
                message,
                timeout=timeout,
                retry=0,
                transport_options=self._options,
            )

    def _heartbeat(self, record_id: int, wait: float) -> messages.Heartbeat:
        sure = self.knows_time
        sent = self._clock.read() if sure else self._wall()
        return messages.Heartbeat(record_id, sent, sure, wait)


def _arguments(content: messages.Heartbeat) -> dict[str, Any]:
    """Return the arguments of a call. Its method says whether it has left."""
    arguments = content._asdict()
    del arguments['left']
    return arguments


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn the errors of oslo.messaging into those of this package."""
    try:
        yield
    except messaging.MessagingTimeout as error:
        raise exceptions.BackendTimeout(
            messages.TOPIC, 'no answer in time'
        ) from error
    except Exception as error:
        kind = exceptions.BackendError
        if _is_unreachable(error):
            kind = exceptions.BackendUnreachable
        raise kind(messages.TOPIC, exceptions.first_line(error)) from error


def _is_unreachable(error: Exception) -> bool:
    """Return whether an error means no connection to the message queue.

    oslo.messaging raises the same for any failure of RabbitMQ, also if this
    user may not write into this queue.
    """
    kombu = importutils.try_import('kombu.exceptions')
    return (
        kombu is not None
        and isinstance(error, messaging.MessageDeliveryFailure)
        and isinstance(error.__context__, kombu.OperationalError)
    )


def as_backend_error(error: Exception) -> exceptions.BackendError:
    """Return an error as one that may leave this package."""
    if isinstance(error, exceptions.BackendError):
        return error
    LOG.debug('Unexpected error in a heartbeat', exc_info=error)
    made = exceptions.BackendError(messages.TOPIC, repr(error))
    made.__cause__ = error
    return made
