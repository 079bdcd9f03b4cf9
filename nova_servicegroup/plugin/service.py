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


"""Nova's running service, as a driver sees it, and its record."""

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

#: The shares of an interval between two heartbeats that are for one call.
_SHARE = 0.4
_SHARE_OF_TWO = 0.2
#: Seconds for each call of a service that stops.
_LEAVE = 1.0


class NovaService:
    """Nova's running service, as a driver sees it; see services.Service.

    Its record is saved as Nova itself does it. Nova takes a save for a
    heartbeat if its report_count is above that of the row. The row's is not
    known where somebody else may have written to it; then it is asked for
    first. A save that changes nothing does that, and no other part of Nova is
    used.
    """

    def __init__(self, service: Any) -> None:
        """Take a service that is about to run."""
        self._service = service
        self.report_interval: float = service.report_interval or 0
        self.tg: services.Timers = service.tg
        self.host: str = service.host
        self.binary: str = service.binary
        self.collects: bool = service.binary == 'nova-conductor'
        self._unsure = False
        self._left = False

    @property
    def record_id(self) -> int:
        """See services.Service."""
        return int(self._service.service_ref.id)

    @property
    def topic(self) -> str:
        """The topic of its queues."""
        return str(self._service.topic)

    @property
    def manager(self) -> Any:
        """Nova's manager, which does its work."""
        return self._service.manager

    def before_stop(self, callback: Callable[[], None]) -> None:
        """Have callback run once, when the service begins to stop.

        It then closes its main queue first, and may work on for minutes.
        What callback raises is logged.
        """
        stop, call = self._service.stop, _once(callback)

        def call_and_stop(*args: Any, **kwargs: Any) -> Any:
            call()
            return stop(*args, **kwargs)

        self._service.stop = call_and_stop

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Have callback run once, after the service has stopped its work.

        Also when its stop() raises. What callback raises is logged.
        """
        stop, call = self._service.stop, _once(callback)

        def stop_and_call(*args: Any, **kwargs: Any) -> Any:
            try:
                return stop(*args, **kwargs)
            finally:
                call()

        self._service.stop = stop_and_call

    def engine(self) -> Any:
        """See services.Service. It is that to which Nova saves the record."""
        if records.is_indirect():
            return None
        from nova.db.main import api as main_db

        context = getattr(self._service.service_ref, '_context', None)
        return main_db.get_engine(context=context)

    def transport(self) -> Any:
        """See services.Service. It is Nova's own."""
        from nova import rpc

        return rpc.TRANSPORT

    def new_transport(self, options: Mapping[str, str]) -> Any:
        """See services.Service. It is as Nova makes its own."""
        from nova import rpc

        url = rpc.get_transport_url()
        url.query = {**options, **url.query}
        return rpc.create_transport(url)

    def note_heartbeat(self) -> None:
        """See services.Service."""
        record = self._service.service_ref
        record.report_count += 1
        record.obj_reset_changes(['report_count'])
        self._unsure = True

    def save_heartbeat(self) -> None:
        """See services.Service."""
        if self._left:
            raise exceptions.BackendError(_keeper(), 'the service has left')
        record, unsure = self._service.service_ref, self._unsure
        share = _SHARE_OF_TWO if unsure else _SHARE
        self._unsure = True
        with self._saving(record, share * self.report_interval):
            if unsure:
                record.obj_reset_changes(['report_count'])
                record.save()
            record.report_count += 1
            record.save()
        self._unsure = False

    def read_heartbeat(self) -> object:
        """See services.Recorded."""
        record = self._copy()
        with self._saving(record, _SHARE_OF_TWO * self.report_interval):
            record.save()
        return record.last_seen_up

    def save_departure(self) -> None:
        """See services.Recorded.

        A heartbeat that is under way, and saved later, is not above it.
        """
        self._left = True
        record = self._copy()
        count = record.report_count
        with self._saving(record, _LEAVE):
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
        """Return a copy of the record, with nothing to be saved.

        A heartbeat may be under way in another thread.
        """
        record = self._service.service_ref.obj_clone()
        record.obj_reset_changes()
        return record

    @contextlib.contextmanager
    def _saving(self, record: Any, timeout: float) -> Iterator[None]:
        """Turn Nova's errors into those of this package.

        :param timeout: seconds for each save
        :raises RecordDeleted: the record is gone
        :raises BackendTimeout: nobody has answered in time
        :raises BackendError: it could not be written
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
    """Return what calls callback the first time, and logs its errors."""
    called = threading.Lock()

    def call() -> None:
        if called.acquire(blocking=False):
            _log_errors(callback)

    return call


def _log_errors(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:
        LOG.exception('Leaving the servicegroup failed')


@contextlib.contextmanager
def _bounded(record: Any, timeout: float) -> Iterator[None]:
    """Have nova-conductor answer soon, where it saves the record.

    The timeout is also the message's time to live: one that was stuck for
    Nova's own timeout of a minute would make a dead service look alive.
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
