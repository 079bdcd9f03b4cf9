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


"""Gathers the heartbeats of those who have no access to the database.

The conductor's end of the call in relay.py.
"""

from collections.abc import Callable, Sequence
import functools
import threading
import time
from typing import Any

from oslo_log import log as logging
import oslo_messaging as messaging
from oslo_messaging.rpc import server as rpc_server

from nova_servicegroup.drivers.db import answering
from nova_servicegroup.drivers.db import clock
from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import store as store_
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

#: One UPDATE takes so many heartbeats, and waits so long for them (seconds).
BATCH = 1000
GATHER = 1.0
#: Options of the transport. What a process takes ahead no longer expires; so
#: if it took all that there is, it might read nothing but what is too old. And
#: all services are late while it waits to connect again (seconds).
AHEAD = 200
_RECONNECT = 5
TRANSPORT = {
    'rabbit_qos_prefetch_count': str(AHEAD),
    'rabbit_interval_max': str(_RECONNECT),
}
#: When nothing has come for so long, all that had piled up is there.
_EMPTY = 0.002
#: So many batches may wait, or be written, at once; more are dropped.
_PENDING = 8
_WRITERS = 4
_STOP_TIMEOUT = 2.0


class _Drain:
    """Lets messages pile up, and then takes all that are there.

    oslo.messaging's own way wakes up a few times for each message.

    :param listener: oslo.messaging's poll-style listener
    """

    def __init__(self, listener: Any, gather: float) -> None:
        self._listener = listener
        self._gather = gather
        self._pause = gather
        self._stopping = threading.Event()
        self._drained = threading.Event()
        self._stopped = threading.Event()

    def poll(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Return a batch, which may be empty."""
        stopping = self._stopping.wait(self._pause)
        batch = self._take()
        # Where there are as many as that, there are more.
        self._pause = self._gather if len(batch) < AHEAD else 0.0
        if stopping:
            self._drained.set()
            # It only stops while it is polled.
            while not batch and not self._stopped.is_set():
                batch = self._take()
        return batch

    def _take(self) -> list[Any]:
        batch: list[Any] = []
        # Where reading is slow, the first must not wait long for the last.
        end = time.monotonic() + self._gather / 2
        while len(batch) < BATCH and (not batch or time.monotonic() < end):
            some = self._listener.poll(batch_size=1, batch_timeout=_EMPTY)
            if not some:
                break
            batch += some
        return batch

    def stop(self) -> None:
        """Take what is there, and no more."""
        self._stopping.set()
        self._drained.wait(_STOP_TIMEOUT / 2)
        self._listener.stop()
        self._stopped.set()

    def cleanup(self) -> None:
        """End the connection."""
        self._listener.cleanup()


class _Server(rpc_server.RPCServer):  # type: ignore[misc]
    """An RPC server that hands over what it receives in batches."""

    def __init__(
        self,
        *args: Any,
        take: Callable[[Sequence[Any]], None],
        gather: float,
    ) -> None:
        super().__init__(*args)
        self._take = take
        self._gather = gather

    def _create_listener(self) -> Any:
        made = self.transport._listen(self._target, BATCH, self._gather)
        # Not every messaging driver has one; the others gather by themselves.
        if hasattr(made, '_poll_style_listener'):
            made._poll_style_listener = _Drain(
                made._poll_style_listener, self._gather
            )
        return made

    def _on_incoming(self, incoming: Sequence[Any]) -> None:
        self._take(incoming)


class Collector:
    """The conductor's end.

    :param transport: an RPC transport of oslo.messaging of its own
    :param host: the host that it runs on
    :param executor: ``threading`` or ``eventlet``, as the service runs
    :param gather: seconds for which heartbeats are gathered, at most
    """

    def __init__(
        self,
        transport: Any,
        store: store_.Store,
        host: str,
        executor: str,
        gather: float = GATHER,
    ) -> None:
        self._store = store
        self._clock = clock.Clock(store.now)
        # A heartbeat that is read later than this was not read at once.
        self._prompt = 2 * gather + 0.5
        self._pending = threading.BoundedSemaphore(_PENDING)
        self._writing = threading.BoundedSemaphore(_WRITERS)
        self._answers = answering.Answers()
        self._transport = transport
        self._lost = False
        self._stopping = threading.Thread(
            target=self._stop, daemon=True, name='servicegroup-collector-stop'
        )
        self._server = messaging.get_rpc_server(
            transport,
            messaging.Target(
                topic=relay.TOPIC, server=host, version=relay.VERSION
            ),
            [],
            executor=executor,
            server_cls=functools.partial(
                _Server, take=self._take, gather=gather
            ),
        )

    def start(self) -> None:
        """Begin to listen."""
        self._server.start()

    def stop(self) -> None:
        """Write what has come, and end, once; bounded in time."""
        if self._stopping.ident is None:
            self._stopping.start()
        self._stopping.join(_STOP_TIMEOUT)

    def _stop(self) -> None:
        self._server.stop()
        self._server.wait()
        for _ in range(_PENDING):
            self._pending.acquire(timeout=_STOP_TIMEOUT)
        self._answers.wait(_STOP_TIMEOUT)
        self._transport.cleanup()

    def _take(self, incoming: Sequence[Any]) -> None:
        """Write a batch in the background, unless too many wait."""
        if not self._pending.acquire(blocking=False):
            LOG.debug('%d heartbeats are dropped.', len(incoming))
            return
        threading.Thread(
            target=self._write,
            args=(incoming, time.monotonic()),
            daemon=True,
            name='servicegroup-collector',
        ).start()

    def _write(self, incoming: Sequence[Any], came_at: float) -> None:
        try:
            with self._writing:
                if time.monotonic() - came_at >= relay.MAX_AGE:
                    return
                answers = self._write_batch(incoming, came_at)
        except exceptions.BackendError as error:
            self._log_lost(error)
        except Exception:
            LOG.exception('Unexpected error while writing heartbeats')
        else:
            self._log_recovered()
            self._answers.put(answers)
        finally:
            self._pending.release()

    def _write_batch(
        self, incoming: Sequence[Any], came_at: float
    ) -> list[answering.Answer]:
        """Write; return the answer to each call."""
        now = self._clock.read()
        requests = [_Request(each, now, came_at) for each in incoming]
        young = {each.record for each in requests if each.young}
        gone = self._store.beat(young, now) if young else set()
        now = self._clock.read()
        behind = any(each.way > self._prompt for each in requests)
        return [
            answering.Answer(
                functools.partial(
                    each.answer, now, each.record in gone, behind
                ),
                each.until,
            )
            for each in requests
        ]

    def _log_lost(self, error: exceptions.BackendError) -> None:
        if not self._lost:
            self._lost = True
            LOG.warning('Heartbeats cannot be written: %s', error)

    def _log_recovered(self) -> None:
        if self._lost:
            self._lost = False
            LOG.info('Heartbeats can be written again.')


class _Request:
    """One call that has come in.

    :param now: the database's time
    :param came_at: when it came, by the monotonic clock
    :ivar record: the number of a record; 0: it is no such call
    :ivar young: it was not stuck anywhere
    :ivar way: the seconds that it was on its way, as far as that is known
    :ivar until: when the caller waits no more, by the monotonic clock
    """

    def __init__(
        self, message: Any, now: float | None, came_at: float
    ) -> None:
        self._message = message
        args = message.message.get('args') or {}
        sent: float | None = args.get('sent')
        self.record: int = args.get('record', 0)
        self.young = bool(self.record) and relay.is_young(sent, now)
        self.way = 0.0
        if args.get('sure') and sent is not None and now is not None:
            self.way = max(0.0, now - sent)
        self.until: float = came_at + args.get('wait', 0.0) - self.way

    def answer(self, now: float | None, gone: bool, behind: bool) -> None:
        """Answer, if anybody waits.

        :param behind: the collector has more to do than it can
        """
        answer = {
            'now': now,
            'taken': self.young,
            'gone': gone,
            'behind': behind,
        }
        try:
            self._message.reply(answer)
        except Exception as error:
            LOG.debug('A heartbeat of %d: %s', self.record, error)
