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


"""Nova's running service and its record, as drivers use them."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import copy
import datetime
import logging
import threading
from typing import Any

from nova_servicegroup import exceptions
from nova_servicegroup.plugin import records
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: The timeout of a call, as a part of report_interval: for a heartbeat of one
#: call, and of two.
_SHARE = 0.4
_SHARE_OF_TWO = 0.2
#: The timeout, in seconds, of each call of a service that stops.
_LEAVE_TIMEOUT = 1.0


class NovaService:
    """Nova's running service; see services.Service.

    Its record is saved in the same way as Nova saves it. Nova takes a save for
    a heartbeat if its report_count is above that of the row. If another
    process may have written to the row, its count is unknown; then it is read
    first, by a save that changes nothing, which needs no other part of Nova.

    :param service: Nova's, which is about to run
    """

    def __init__(self, service: Any) -> None:
        self._service = service
        self.report_interval: float = service.report_interval or 0
        self.tg: services.Timers = service.tg
        self.host: str = service.host
        self.binary: str = service.binary
        self.collects: bool = service.binary == 'nova-conductor'
        # Whether another process may have written to the record's row.
        self._is_stale = False
        self._left = False

    @property
    def record_id(self) -> int:
        """See services.Service."""
        return int(self._service.service_ref.id)

    @property
    def topic(self) -> str:
        """The topic of the service's queues."""
        return str(self._service.topic)

    @property
    def manager(self) -> Any:
        """Nova's manager, which does the service's work."""
        return self._service.manager

    def before_stop(self, callback: Callable[[], None]) -> None:
        """Call callback once, when the service begins to stop.

        The service then closes its main queue first, and may work on for
        minutes. Errors of callback are logged.
        """
        stop, call = self._service.stop, _once(callback)

        def call_and_stop(*args: Any, **kwargs: Any) -> Any:
            call()
            return stop(*args, **kwargs)

        self._service.stop = call_and_stop

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call callback once, after the service has stopped its work.

        Also if its stop() raises. Errors of callback are logged.
        """
        stop, call = self._service.stop, _once(callback)

        def stop_and_call(*args: Any, **kwargs: Any) -> Any:
            try:
                return stop(*args, **kwargs)
            finally:
                call()

        self._service.stop = stop_and_call

    def engine(self) -> Any:
        """See services.Service. Nova saves the record with this engine."""
        if records.is_indirect():
            return None
        from nova.db.main import api as main_db

        context = getattr(self._service.service_ref, '_context', None)
        return main_db.get_engine(context=context)

    def transport(self) -> Any:
        """See services.Service. Returns Nova's own."""
        from nova import rpc

        return rpc.TRANSPORT

    def new_transport(self, options: Mapping[str, str]) -> Any:
        """See services.Service. Made in the same way as Nova's own."""
        from nova import rpc

        url = rpc.get_transport_url()
        url.query = {**options, **url.query}
        return rpc.create_transport(url)

    def note_heartbeat(self) -> None:
        """See services.Service."""
        record = self._service.service_ref
        record.report_count += 1
        record.obj_reset_changes(['report_count'])
        self._is_stale = True

    def save_heartbeat(self) -> None:
        """See services.Service."""
        if self._left:
            raise exceptions.BackendError(_keeper(), 'the service has left')
        record, is_stale = self._service.service_ref, self._is_stale
        share = _SHARE_OF_TWO if is_stale else _SHARE
        self._is_stale = True
        with self._saving(record, share * self.report_interval):
            if is_stale:
                record.obj_reset_changes(['report_count'])
                record.save()
            record.report_count += 1
            record.save()
        self._is_stale = False

    def read_heartbeat(self) -> object:
        """See services.Recorded."""
        record = self._copy()
        with self._saving(record, _SHARE_OF_TWO * self.report_interval):
            record.save()
        return record.last_seen_up

    def save_departure(self) -> None:
        """See services.Recorded.

        A heartbeat under way that is saved later has no higher report_count,
        so Nova ignores it.
        """
        self._left = True
        record = self._copy()
        count = record.report_count
        with self._saving(record, _LEAVE_TIMEOUT):
            record.save()
            if record.report_count > count:
                LOG.info(
                    'Another process reports for the record of %s on host '
                    '%s, so it stays as it is.',
                    self.binary,
                    self.host,
                )
                return
            record.report_count = count + 1
            record.last_seen_up = datetime.datetime.fromtimestamp(
                services.LEFT, datetime.timezone.utc
            )
            record.save()

    def _copy(self) -> Any:
        """Return a copy of the record without changes to save.

        The record itself may be in use by a heartbeat in another thread.
        """
        record = self._service.service_ref.obj_clone()
        record.obj_reset_changes()
        return record

    @contextlib.contextmanager
    def _saving(self, record: Any, timeout: float) -> Iterator[None]:
        """Translate Nova's errors into those of this package.

        :param timeout: seconds for each save
        :raises RecordDeleted: the record is gone
        :raises BackendTimeout: there was no answer in time
        :raises BackendError: the record could not be saved
        """
        from nova import exception
        import oslo_messaging

        try:
            with _bounded(record, timeout):
                yield
        except exception.ServiceNotFound:
            raise exceptions.RecordDeleted(self.binary, self.host) from None
        except oslo_messaging.MessagingTimeout as error:
            raise exceptions.BackendTimeout(
                _keeper(), exceptions.first_line(error)
            ) from error
        except Exception as error:
            raise exceptions.BackendError(
                _keeper(), exceptions.first_line(error)
            ) from error


def _once(callback: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls callback once, and logs its errors."""
    called = threading.Lock()

    def call() -> None:
        if not called.acquire(blocking=False):
            return
        try:
            callback()
        except Exception:
            LOG.exception('Leaving the servicegroup failed')

    return call


@contextlib.contextmanager
def _bounded(record: Any, timeout: float) -> Iterator[None]:
    """Bound the wait for nova-conductor, if it saves the record.

    The timeout is also the time to live of the message: a message that was
    stuck for Nova's own timeout of a minute would make a dead service look
    alive.
    """
    if not records.is_indirect():
        yield
        return
    conductor = copy.copy(record.indirection_api)
    conductor.client = conductor.client.prepare(timeout=max(1.0, timeout))
    record.indirection_api = conductor
    try:
        yield
    finally:
        del record.indirection_api


def _keeper() -> str:
    return 'nova-conductor' if records.is_indirect() else services.TABLE
