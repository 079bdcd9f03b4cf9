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
it says when it was sent, by the database's clock as of the last answer,
or at first by the sender's own. So one that was stuck on its way, in a frozen
message queue or process, cannot make a dead service look alive. And it says
how long its sender waits, since nobody need answer it later.

Or it does not come back, and says that nobody waits. Where nobody listens, it
is refused all the same; and it lives no longer than another one.
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

#: Seconds for which the difference between two clocks is believed.
_AGE = 5.0
_ERROR = 1.0
#: Clocks that drift apart by less were not set (seconds).
_STEP = 2.0


class Clock:
    """Somebody else's clock, between two looks at it.

    :param source: whose clock it is; None: it can only be set
    """

    def __init__(self, source: store.Store | None = None) -> None:
        self._source = source
        self._ahead: float | None = None
        self._set_at = 0.0
        # By how much it was ahead before somebody set it, and until when that
        # is of use.
        self._before = 0.0, 0.0

    def set(self, now: float | None) -> None:
        """Note what it shows."""
        before, self._set_at = self._ahead, time.monotonic()
        self._ahead = None if now is None else now - self._set_at
        if before is None or self._ahead is None:
            return
        if abs(self._ahead - before) > _STEP:
            until = self._set_at + messages.MOST_SILENT + _AGE
            self._before = before, until

    def read_unset(self) -> float | None:
        """Return what it would show if nobody had set it a while ago.

        :returns: None: nobody has
        """
        (ahead, until), now = self._before, time.monotonic()
        return now + ahead if now < until else None

    def read(self) -> float | None:
        """Return its time; None: it was never set."""
        begun = time.monotonic()
        if self._source is not None and (
            self._ahead is None or begun - self._set_at > _AGE
        ):
            now = self._source.now()
            # What has taken long is no longer true.
            if time.monotonic() - begun <= _ERROR:
                self.set(now)
        return None if self._ahead is None else time.monotonic() + self._ahead


#: An old connection that has ended is found out in this time (seconds).
_AT_ONCE = 1.0


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
            messaging.Target(topic=messages.TOPIC, version=messages.VERSION),
            retry=0,
        )
        self._options = messaging.TransportOptions(at_least_once=True)
        self._clock = Clock()
        self._wall = wall
        self._apart = 0.0
        self.behind = False

    @property
    def is_sure(self) -> bool:
        """Whether it knows the database's time.

        Not after its own clock was set, or the machine was suspended.
        """
        now = self._clock.read()
        if now is None:
            return False
        return abs(self._wall() - now - self._apart) <= _STEP

    def beat(self, record_id: int, timeout: float) -> bool:
        """Have a heartbeat written; tell whether the record is there.

        :param timeout: seconds to wait for an answer
        :raises BackendTimeout: no answer; it may have been written
        :raises BackendUnreachable: there is no connection
        :raises BackendError: no collector took it
        """
        for _ in range(2):
            answer = self._again(self._call, record_id, timeout)
            self._note(answer)
            if answer.taken:
                return not answer.gone
        raise exceptions.BackendError(messages.TOPIC, 'takes it for too old')

    def send(self, record_id: int, timeout: float) -> None:
        """Send a heartbeat, and ask for no answer: see is_sure.

        :param timeout: seconds in which it is sent, or expires
        :raises BackendUnreachable: there is no connection
        :raises BackendError: no collector listens
        """
        self._again(self._cast, record_id, timeout)

    def _note(self, answer: messages.Answer) -> None:
        self._clock.set(answer.now)
        self._apart = self._wall() - (answer.now or 0.0)
        self.behind = answer.behind

    def _again(
        self, send: Callable[[int, float], T], record_id: int, timeout: float
    ) -> T:
        """Send; send again where only the connection had ended."""
        begun = time.monotonic()
        try:
            return send(record_id, timeout)
        except exceptions.BackendUnreachable:
            if time.monotonic() - begun > _AT_ONCE:
                raise
        return send(record_id, timeout)

    def _call(self, record_id: int, timeout: float) -> messages.Answer:
        client = self._client.prepare(
            timeout=timeout, transport_options=self._options
        )
        arguments = self._arguments(record_id, timeout)
        with _translated():
            answer = client.call({}, 'beat', **arguments)
        return messages.read_answer(answer)

    def _cast(self, record_id: int, timeout: float) -> None:
        """Do what the RPC client does, whose casts never expire."""
        message = {
            'method': 'beat',
            'args': self._arguments(record_id, 0.0),
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

    def _arguments(self, record_id: int, wait: float) -> dict[str, Any]:
        sure = self.is_sure
        return {
            'record': record_id,
            'sent': self._clock.read() if sure else self._wall(),
            'sure': sure,
            'wait': wait,
        }


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
        raise _failure(error) from error


def as_backend_error(error: Exception) -> exceptions.BackendError:
    """Return what may leave this package."""
    if isinstance(error, exceptions.BackendError):
        return error
    LOG.debug('Unexpected error in a heartbeat', exc_info=error)
    made = exceptions.BackendError(messages.TOPIC, repr(error))
    made.__cause__ = error
    return made


def _failure(error: Exception) -> exceptions.BackendError:
    """Return why a call has failed."""
    made = exceptions.BackendError
    if _is_unreachable(error):
        made = exceptions.BackendUnreachable
    return made(messages.TOPIC, exceptions.first_line(error))


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
