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


"""How a service has its heartbeats written: by the shortest way that works."""

from collections.abc import Callable
import functools

from oslo_log import log as logging

from nova_servicegroup.drivers import _backoff
from nova_servicegroup.drivers import _fanout
from nova_servicegroup.drivers import _tooz
from nova_servicegroup.drivers.db import collector
from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import store
from nova_servicegroup import exceptions
from nova_servicegroup import reporter
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: Seconds for which a collector that did not answer is left alone, at most.
_LONGEST_REST = 300.0


class Attendance:
    """One member of one group, for as long as its service runs."""

    def __init__(
        self, host: str, group: str, service: services.Service
    ) -> None:
        self.name = f'Member {host} of group {group}'
        self._service = service
        self._way = _way(service, self.name)
        # A beat that hangs is not repeated, only awaited.
        self._beats = _fanout.Fanout([self])
        self._reporter = reporter.Reporter(self.name, self._beat)
        self._collector = _collector(service, host)

    def start(self) -> None:
        """Beat on the service's timer; in a conductor, also collect."""
        self._reporter.start(self._service, self._service.report_interval)
        if self._collector is not None:
            self._service.on_stop(self._collector.stop)
            self._collect(self._collector)

    def _collect(self, made: collector.Collector) -> None:
        """Start a collector; the service is more important than that."""
        try:
            made.start()
        except Exception:
            LOG.exception(
                '%s: its collector does not start. Services without access '
                'to the database have nova-conductor write their heartbeats.',
                self.name,
            )

    def stop(self) -> None:
        """Beat no more."""
        self._reporter.stop()
        if self._collector is not None:
            self._collector.stop()

    def _beat(self) -> None:
        self._beats.ask(
            'beat', lambda _: self._way(), 0.8 * self._service.report_interval
        )


def _way(service: services.Service, name: str) -> Callable[[], None]:
    """Return what writes a heartbeat of a service, bounded or not."""
    engine = service.engine()
    if engine is not None:
        return functools.partial(_write, store.Store(service.engine), service)
    transport = service.transport()
    if transport is None:
        return service.save_heartbeat
    return _Relay(service, name, transport).beat


def _write(store: store.Store, service: services.Service) -> None:
    """Write a heartbeat into the database.

    :raises RecordDeleted: the record is gone
    """
    if store.beat([service.record_id]):
        raise exceptions.RecordDeleted(service.binary, service.host)
    service.note_heartbeat()


class _Relay:
    """Has a collector write heartbeats, or Nova, where none answers."""

    def __init__(
        self, service: services.Service, name: str, transport: object
    ) -> None:
        self._service = service
        self._name = name
        self._client = relay.Client(
            transport, max(1.0, 0.4 * service.report_interval)
        )
        self._rest = _backoff.Rest(_LONGEST_REST)
        self._collected: bool | None = None

    def beat(self) -> None:
        """Write one heartbeat.

        :raises RecordDeleted: the record is gone
        :raises BackendError: nobody wrote it
        """
        try:
            with self._rest.guard(relay.TOPIC):
                there = self._client.beat(self._service.record_id)
        except exceptions.BackendError as error:
            self._tell(False, error)
            # It may have been written all the same.
            self._service.note_heartbeat()
            self._service.save_heartbeat()
            return
        self._tell(True)
        if not there:
            raise exceptions.RecordDeleted(
                self._service.binary, self._service.host
            )
        self._service.note_heartbeat()

    def _tell(self, collected: bool, error: object = None) -> None:
        if collected == self._collected:
            return
        self._collected = collected
        if collected:
            LOG.info('%s: a collector writes the heartbeats.', self._name)
        else:
            LOG.info(
                '%s: no collector answers (%s); nova-conductor writes the '
                'heartbeats.',
                self._name,
                error,
            )


def _collector(
    service: services.Service, host: str
) -> collector.Collector | None:
    """Return a collector where it belongs: in a conductor."""
    transport = service.transport()
    if not service.collects or service.engine() is None or transport is None:
        return None
    return collector.Collector(
        transport,
        store.Store(service.engine),
        host,
        'eventlet' if _tooz.handler() == 'eventlet' else 'threading',
        min(collector.GATHER, service.report_interval / 10),
    )
