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


"""The part of a collector that reads the message queue."""

from collections.abc import Sequence
import contextlib
import functools
import threading
import time
from typing import Any, Protocol

from oslo_log import log as logging
import oslo_messaging as messaging
from oslo_messaging.rpc import server as rpc_server

from nova_servicegroup.drivers.db import intake as intake_
from nova_servicegroup.drivers.db import messages

LOG = logging.getLogger(__name__)

#: The most heartbeats of one UPDATE.
BATCH = 1000
#: The queue is empty when no message comes for this time (seconds).
_EMPTY = 0.002
#: Seconds between two checks of whether it is stopped.
_YIELD = 0.01
#: The longest time in which a stopped listener ends (seconds).
_STOP_TIMEOUT = 1.0


class Receiver(Protocol):
    """Callback of a server."""

    def receive(self, incoming: Sequence[Any], waited: float) -> None:
        """Process a batch.

        :param waited: the seconds for which it may have been in the queue
        """


class Drain:
    """Listener that lets messages accumulate, and then reads all of them.

    oslo.messaging's own batches wake up a few times for each message.

    :param listener: oslo.messaging's poll-style listener
    :ivar waited: the seconds for which the last batch may have been in the
        queue: since the queue was last empty
    """

    def __init__(self, listener: Any, intake: intake_.Intake) -> None:
        self.waited = 0.0
        self._listener = listener
        self._intake = intake
        self._pause = intake.gather
        self._emptied_at = time.monotonic()
        self._stopping = threading.Event()
        self._drained = threading.Event()
        self._stopped = threading.Event()

    def poll(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Return a batch, which may be empty."""
        stopping = self._stopping.wait(self._pause)
        batch = [] if self._drained.is_set() else self._take()
        # After a batch of this size there are more messages.
        more = len(batch) >= self._intake.ahead
        self._pause = 0.0 if more else self._intake.gather
        if stopping:
            self._drained.set()
            # The listener only stops while it is polled.
            while not batch and not self._stopped.is_set():
                batch = self._listener.poll(batch_size=1, batch_timeout=_EMPTY)
                # Lets a green thread run that is to stop it.
                time.sleep(_YIELD)
        return batch

    def _take(self) -> list[Any]:
        batch, emptied = self._read()
        now = time.monotonic()
        self.waited = now - self._emptied_at
        if emptied and len(batch) < self._intake.ahead:
            self._emptied_at = now
        return batch

    def _read(self) -> tuple[list[Any], bool]:
        """Return the messages in the queue, and whether it is empty now."""
        batch: list[Any] = []
        # The first message must not wait long for the last if reading is slow.
        end = time.monotonic() + self._intake.gather / 2
        while len(batch) < BATCH and (not batch or time.monotonic() < end):
            some = self._listener.poll(batch_size=1, batch_timeout=_EMPTY)
            if not some:
                return batch, True
            batch += some
        return batch, False

    def stop(self) -> None:
        """Read what is in the queue, and end."""
        self._stopping.set()
        self._drained.wait(_STOP_TIMEOUT)
        self._listener.stop()
        self._stopped.set()

    def abandon(self) -> None:
        """Leave the queue to other collectors; stop then ends at once."""
        self._drained.set()
        self._stopping.set()

    def cleanup(self) -> None:
        """End the connection."""
        with contextlib.suppress(AttributeError):
            intake_.leave(self._listener)
        self._listener.cleanup()


class Server(rpc_server.RPCServer):  # type: ignore[misc]
    """RPC server that passes on what it receives in batches."""

    def __init__(
        self, *args: Any, receiver: Receiver, intake: intake_.Intake
    ) -> None:
        super().__init__(*args)
        self._receiver = receiver
        self._intake = intake
        # None for messaging drivers that collect batches by themselves.
        self._drain: Drain | None = None

    def _create_listener(self) -> Any:
        made = self.transport._listen(self._target, BATCH, self._intake.gather)
        listener = getattr(made, '_poll_style_listener', None)
        if self._intake.priority:
            self._prefer(listener)
        if listener is not None:
            self._drain = Drain(listener, self._intake)
            made._poll_style_listener = self._drain
        return made

    def _prefer(self, listener: Any) -> None:
        try:
            intake_.prefer(listener, self._intake.priority)
        except Exception as error:
            LOG.warning(
                'RabbitMQ cannot be told to prefer this collector (%r): '
                'nova-conductors collect heartbeats, too.',
                error,
            )

    def _on_incoming(self, incoming: Sequence[Any]) -> None:
        waited = self._drain.waited if self._drain else 0.0
        self._receiver.receive(incoming, waited)

    def abandon(self) -> None:
        """End at once, and leave the queue to other collectors."""
        if self._drain is not None:
            self._drain.abandon()
        self.stop()
        self.wait()


def make_server(
    transport: Any,
    host: str,
    executor: str,
    receiver: Receiver,
    intake: intake_.Intake,
) -> Server:
    """Return a server, not started.

    :param transport: an RPC transport of oslo.messaging
    :param host: the host that it runs on
    :param executor: ``threading`` or ``eventlet``
    """
    made: Server = messaging.get_rpc_server(
        transport,
        messaging.Target(
            topic=messages.TOPIC, server=host, version=messages.VERSION
        ),
        [],
        executor=executor,
        server_cls=functools.partial(Server, receiver=receiver, intake=intake),
    )
    return made
