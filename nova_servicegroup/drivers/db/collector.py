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


"""RPC server that writes heartbeats of services without a database.

It runs in nova-conductor, or in a process of its own, which is preferred: see
daemon. Its client is relay.
"""

from collections.abc import Sequence
import functools
import threading
import time
from typing import Any

from oslo_log import log as logging

from nova_servicegroup.drivers.common import backoff
from nova_servicegroup.drivers.db import calls
from nova_servicegroup.drivers.db import intake as intake_
from nova_servicegroup.drivers.db import listening
from nova_servicegroup.drivers.db import store as store_
from nova_servicegroup.drivers.db import writing
from nova_servicegroup import exceptions
from nova_servicegroup import process
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

_STOP_TIMEOUT = 2.0
#: Seconds between two checks of whether heartbeats are written, and the most
#: between two probes of a database that does not answer.
_TICK = 0.5
_LONGEST_REST = 5.0
#: The most probes under way besides those that hang.
_PROBES = 4


class _Probes:
    """Probes of a database that did not write, until it answers again.

    Each probe has a connection of its own, since that of the last one may be
    dead. So a limited number of probes may hang.
    """

    def __init__(self, store: store_.Store, writer: writing.Writer) -> None:
        self._store = store
        self._writer = writer
        self._calls = calls.Calls('servicegroup-collector-probe', _PROBES)
        self._answered = threading.Event()
        self._failures = 0
        self._due = 0.0

    def begin(self) -> None:
        """Note that the database does not write."""
        self._answered.clear()
        self._put_off()

    def forget(self) -> None:
        """Note that the database writes."""
        self._failures = 0

    def poll(self) -> bool:
        """Probe if that is due; return whether one succeeded since begin."""
        if not self._answered.is_set() and time.monotonic() >= self._due:
            self._put_off()
            self._calls.start(self._run)
        return self._answered.is_set()

    def _put_off(self) -> None:
        rest = backoff.backoff(self._failures, _LONGEST_REST)
        self._failures += 1
        self._due = time.monotonic() + rest

    def _run(self, call: object) -> None:
        try:
            self._store.now()
        except exceptions.BackendError as error:
            LOG.debug('The database does not answer: %s', error)
            if not self._answered.is_set():
                self._writer.log_contact(error)
        else:
            self._answered.set()
        finally:
            self._calls.end(call)


class Collector:
    """RPC server of heartbeats in one process.

    While heartbeats cannot be written it receives none, so that they go to
    another collector.

    :param transport: an RPC transport of oslo.messaging, for this alone
    :param host: the host that it runs on
    :param executor: ``threading`` or ``eventlet``, as the service runs
    :param intake: how it takes messages
    """

    def __init__(
        self,
        transport: Any,
        store: store_.Store,
        host: str,
        executor: str,
        intake: intake_.Intake = intake_.CONDUCTOR,
    ) -> None:
        self._transport = transport
        self._make_server = functools.partial(
            listening.make_server, transport, host, executor, self, intake
        )
        # A heartbeat that is received later than this was not received at
        # once.
        self._writer = writing.Writer(store, 2 * intake.gather + 0.5)
        self._probes = _Probes(store, self._writer)
        self._server: listening.Server | None = None
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._stopping = threading.Thread(
            target=self._stop, daemon=True, name='servicegroup-collector-stop'
        )

    def start(self) -> None:
        """Begin to receive heartbeats."""
        self._serve()
        self.start_paused()

    def start_paused(self) -> None:
        """Begin to receive heartbeats as soon as the database answers."""
        process.start_thread(self._watch, 'servicegroup-collector')

    def stop(self) -> None:
        """Write what was received, and end, once; bounded in time."""
        if self._stopping.ident is None:
            self._ended.set()
            self._stopping.start()
        self._stopping.join(_STOP_TIMEOUT)

    def _stop(self) -> None:
        self._changing.acquire(timeout=_STOP_TIMEOUT)
        if self._server is not None:
            self._server.stop()
            self._server.wait()
        self._writer.wait(_STOP_TIMEOUT)
        self._transport.cleanup()

    @property
    def receives(self) -> bool:
        """Whether heartbeats are received: the database answers."""
        return self._server is not None

    def receive(self, incoming: Sequence[Any], waited: float) -> None:
        """See listening.Receiver. Return when writing the batch has begun."""
        begun = time.monotonic()
        while not self._writer.write(incoming, waited):
            late = time.monotonic() - begun > calls.HANG
            if late or self._server is None:
                LOG.debug('%d heartbeats are dropped.', len(incoming))
                return
            self._writer.running.wait(writing.WRITERS - 1, _TICK)

    def _watch(self) -> None:
        while not self._ended.wait(_TICK):
            self.check()

    def check(self) -> None:
        """Stop receiving if nothing is written; resume when it can be."""
        with self._changing:
            if self._ended.is_set():
                return
            try:
                self._check()
            except Exception:
                LOG.exception('Unexpected error in the collector')

    def _check(self) -> None:
        running = self._writer.running
        if self._server is None:
            if self._probes.poll():
                self._resume()
        elif running.has_trouble():
            self._pause()
        elif running.failed is False:
            self._probes.forget()

    def _pause(self) -> None:
        LOG.info(
            'The collector reads no more heartbeats, since they cannot be '
            'written.'
        )
        server, self._server = self._server, None
        self._probes.begin()
        if server is not None:
            server.abandon()

    def _resume(self) -> None:
        """Receive again; if that fails, probe again."""
        self._probes.begin()
        self._writer.running.reset()
        try:
            self._serve()
        except Exception:
            self._server = None
            raise
        LOG.info('The collector reads heartbeats.')

    def _serve(self) -> None:
        made = self._make_server()
        # It may hand over batches while it starts.
        self._server = made
        made.start()


def make(service: services.Service, host: str) -> Collector | None:
    """Return a collector, or None unless the service is a conductor."""
    if not service.collects or service.engine() is None:
        return None
    intake = intake_.CONDUCTOR.paced(service.report_interval)
    transport = service.new_transport(intake.transport_options)
    if transport is None:
        return None
    return Collector(
        transport,
        store_.Store(service.engine),
        host,
        'eventlet' if process.handler() == 'eventlet' else 'threading',
        intake,
    )
