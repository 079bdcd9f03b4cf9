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


"""Nova's running service, as a driver sees it."""

from collections.abc import Callable, Mapping
import logging
import threading
from typing import Any, TYPE_CHECKING

from nova_servicegroup.plugin import record
from nova_servicegroup.plugin import records

if TYPE_CHECKING:
    from nova_servicegroup import services

LOG = logging.getLogger(__name__)


class NovaService:
    """Nova's running service, as a driver sees it."""

    def __init__(self, service: Any) -> None:
        """Take a service that is about to run."""
        self._service = service
        self.report_interval: float = service.report_interval or 0
        self.tg: services.Timers = service.tg
        self.host: str = service.host
        self.binary: str = service.binary
        self.collects: bool = service.binary == 'nova-conductor'
        self._record = record.Record(service)

    @property
    def record_id(self) -> int:
        """See services.Service."""
        return int(self._service.service_ref.id)

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Have callback run once, after the service has stopped its work.

        Also when its stop() raises. What callback raises is logged.
        """
        stop = self._service.stop
        called = threading.Lock()

        def stop_and_call(*args: Any, **kwargs: Any) -> Any:
            try:
                return stop(*args, **kwargs)
            finally:
                if called.acquire(blocking=False):
                    _log_errors(callback)

        self._service.stop = stop_and_call

    def save_heartbeat(self) -> None:
        """Write one heartbeat to the service's record.

        :raises RecordDeleted: the record is gone
        :raises BackendTimeout: nobody has answered in time
        :raises BackendError: it could not be written
        """
        self._record.save_heartbeat(self.report_interval)

    def note_heartbeat(self) -> None:
        """See services.Service."""
        self._record.note_heartbeat()

    def read_heartbeat(self) -> object:
        """See services.Recorded."""
        return self._record.read_heartbeat(self.report_interval)

    def save_departure(self) -> None:
        """See services.Recorded."""
        self._record.save_departure()

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


def _log_errors(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:
        LOG.exception('Leaving the servicegroup failed')
