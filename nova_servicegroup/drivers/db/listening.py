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


"""How a collector reads the message queue."""

from collections.abc import Sequence
import functools
import threading
import time
from typing import Any, Protocol

import oslo_messaging as messaging
from oslo_messaging.rpc import server as rpc_server

from nova_servicegroup.drivers.db import messages

#: One UPDATE takes so many heartbeats.
BATCH = 1000
#: Options of the transport. What a process takes ahead no longer expires; so
#: if it took all that there is, it might read nothing but what is too old. All
#: services are late while it waits to connect again (seconds). And a sender
#: that has vanished, or never was, must not keep the answers to others waiting
#: (seconds).
AHEAD = 200
_RECONNECT = 5
_REPLY = 1
TRANSPORT = {
    'rabbit_qos_prefetch_count': str(AHEAD),
    'rabbit_interval_max': str(_RECONNECT),
    'kombu_missing_consumer_retry_timeout': str(_REPLY),
}
#: When nothing has come for so long, all that had piled up is there.
_EMPTY = 0.002
#: Seconds between two looks whether it is stopped.
_YIELD = 0.01
#: Seconds in which a listener ends that is stopped.
_STOP_TIMEOUT = 1.0


class Receiver(Protocol):
    """What batches are handed over to."""

    def take(self, incoming: Sequence[Any], waited: float) -> None:
        """Take a batch.

        :param waited: the seconds for which it may have waited
        """


class Drain:
    """Lets messages pile up, and then takes all that are there.

    oslo.messaging's own way wakes up a few times for each message.

    :param listener: oslo.messaging's poll-style listener
    :ivar waited: the seconds for which the last batch may have waited: since
        there was nothing more to be read
    """

    def __init__(self, listener: Any, gather: float) -> None:
        self.waited = 0.0
        self._listener = listener
        self._gather = gather
        self._pause = gather
        self._emptied_at = time.monotonic()
        self._stopping = threading.Event()
        self._drained = threading.Event()
        self._stopped = threading.Event()

    def poll(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Return a batch, which may be empty."""
        stopping = self._stopping.wait(self._pause)
        batch: list[Any] = []
        if not self._drained.is_set():
            batch = self._take()
        # Where there are as many as that, there are more.
        self._pause = self._gather if len(batch) < AHEAD else 0.0
        if stopping:
            self._drained.set()
            # It only stops while it is polled.
            while not batch and not self._stopped.is_set():
                batch = self._listener.poll(batch_size=1, batch_timeout=_EMPTY)
                # Who stops it may be a green thread, and run only then.
                time.sleep(_YIELD)
        return batch

    def _take(self) -> list[Any]:
        batch, emptied = self._read()
        now = time.monotonic()
        self.waited = now - self._emptied_at
        if emptied and len(batch) < AHEAD:
            self._emptied_at = now
        return batch

    def _read(self) -> tuple[list[Any], bool]:
        """Return what is there, and whether there is nothing more."""
        batch: list[Any] = []
        # Where reading is slow, the first must not wait long for the last.
        end = time.monotonic() + self._gather / 2
        while len(batch) < BATCH and (not batch or time.monotonic() < end):
            some = self._listener.poll(batch_size=1, batch_timeout=_EMPTY)
            if not some:
                return batch, True
            batch += some
        return batch, False

    def stop(self) -> None:
        """Take what is there, and no more."""
        self._stopping.set()
        self._drained.wait(_STOP_TIMEOUT)
        self._end()

    def abandon(self) -> None:
        """Leave what is there to others, as soon as the connection ends."""
        self._drained.set()
        self._stopping.set()

    def _end(self) -> None:
        self._listener.stop()
        self._stopped.set()

    def cleanup(self) -> None:
        """End the connection."""
        self._listener.cleanup()


class Server(rpc_server.RPCServer):  # type: ignore[misc]
    """An RPC server that hands over what it receives in batches."""

    def __init__(self, *args: Any, receiver: Receiver, gather: float) -> None:
        super().__init__(*args)
        self._receiver = receiver
        self._gather = gather
        # Not every messaging driver can be read so; the others gather by
        # themselves.
        self._drain: Drain | None = None

    def _create_listener(self) -> Any:
        made = self.transport._listen(self._target, BATCH, self._gather)
        if hasattr(made, '_poll_style_listener'):
            self._drain = Drain(made._poll_style_listener, self._gather)
            made._poll_style_listener = self._drain
        return made

    def _on_incoming(self, incoming: Sequence[Any]) -> None:
        self._receiver.take(
            incoming, self._drain.waited if self._drain else 0.0
        )

    def abandon(self) -> None:
        """End at once, and leave to others what was not read."""
        if self._drain is not None:
            self._drain.abandon()
        self.stop()
        self.wait()


def make_server(
    transport: Any, host: str, executor: str, receiver: Receiver, gather: float
) -> Server:
    """Return a server that has not been started.

    :param transport: an RPC transport of oslo.messaging
    :param host: the host that it runs on
    :param executor: ``threading`` or ``eventlet``
    :param gather: seconds for which messages are gathered, at most
    """
    made: Server = messaging.get_rpc_server(
        transport,
        messaging.Target(
            topic=messages.TOPIC, server=host, version=messages.VERSION
        ),
        [],
        executor=executor,
        server_cls=functools.partial(Server, receiver=receiver, gather=gather),
    )
    return made
