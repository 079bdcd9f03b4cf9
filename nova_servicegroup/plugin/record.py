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


"""The record of a running service, as Nova itself saves it."""

from collections.abc import Iterator
import contextlib
import copy
import datetime
import logging
from typing import Any

from nova_servicegroup import exceptions
from nova_servicegroup.plugin import records
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

_TABLE = 'services table'

#: The shares of an interval between two heartbeats that are for one call.
_SHARE = 0.4
_SHARE_OF_TWO = 0.2
#: Seconds for each call of a service that stops.
_LEAVE = 1.0


class Record:
    """Saves heartbeats of a service, or that it has left.

    Nova takes a save for a heartbeat if its report_count is above that of the
    row. The row's is not known where somebody else may have written to it;
    then it is asked for first. A save that changes nothing does that, and no
    other part of Nova is used.

    :param service: Nova's running service
    """

    def __init__(self, service: Any) -> None:
        self._service = service
        self._unsure = False
        self._left = False

    def note_heartbeat(self) -> None:
        """Take note that somebody else may have written a heartbeat."""
        record = self._service.service_ref
        record.report_count += 1
        record.obj_reset_changes(['report_count'])
        self._unsure = True

    def save_heartbeat(self, interval: float) -> None:
        """See services.Service.

        :param interval: seconds between two heartbeats
        """
        if self._left:
            raise exceptions.BackendError(_keeper(), 'the service has left')
        record, unsure = self._service.service_ref, self._unsure
        share = _SHARE_OF_TWO if unsure else _SHARE
        self._unsure = True
        with self._saving(record, share * interval):
            if unsure:
                record.obj_reset_changes(['report_count'])
                record.save()
            record.report_count += 1
            record.save()
        self._unsure = False

    def read_heartbeat(self, interval: float) -> object:
        """See services.Recorded.

        :param interval: seconds between two heartbeats
        """
        record = self._copy()
        with self._saving(record, _SHARE_OF_TWO * interval):
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
                    self._service.binary,
                    self._service.host,
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
            raise exceptions.RecordDeleted(
                self._service.binary, self._service.host
            ) from None
        except oslo_messaging.MessagingTimeout as error:
            raise exceptions.BackendTimeout(
                _keeper(), exceptions.first_line(error)
            ) from error
        except Exception as error:
            raise exceptions.BackendError(
                _keeper(), exceptions.first_line(error)
            ) from error


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
    return 'nova-conductor' if records.is_indirect() else _TABLE
