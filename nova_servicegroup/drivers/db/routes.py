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

"""Routes by which a service writes that it is alive, or that it has left."""

import abc
import random
import time

from oslo_log import log as logging

from nova_servicegroup.drivers.db import audit
from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import rules
from nova_servicegroup.drivers.db import states
from nova_servicegroup.drivers.db import store
from nova_servicegroup import exceptions
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: An answer within this share of an interval leaves time to read the record.
_AUDIT_SHARE = 0.4


class Route(abc.ABC):
    """Writes the record of one service. Its calls are not bounded in time."""

    @abc.abstractmethod
    def beat(self) -> float | None:
        """Write a heartbeat.

        :returns: seconds to put off the next; see heartbeat.Renewable
        :raises ServiceGroupError: it is not written
        """

    @abc.abstractmethod
    def leave(self) -> None:
        """Write that the service has left, if that can be written.

        :raises ServiceGroupError: it is not written
        """


def choose(service: services.Service, name: str, down_time: float) -> Route:
    """Return the shortest route from a service to its record.

    :param name: what to call the service in the log
    :param down_time: seconds without a heartbeat after which it is down
    """
    if service.engine() is not None:
        return Database(service)
    transport = service.transport()
    if transport is None:
        return Nova(service)
    return Relay(service, name, transport, down_time)


class Database(Route):
    """Writes into the database."""

    def __init__(self, service: services.Service) -> None:
        self._service = service
        self._store = store.Store(service.engine)

    def beat(self) -> None:
        """See Route.

        :raises RecordDeleted: the record is gone
        """
        service = self._service
        if self._store.beat([service.record_id]):
            raise exceptions.RecordDeleted(service.binary, service.host)
        service.note_heartbeat()

    def leave(self) -> None:
        """See Route."""
        self._store.leave(self._service.record_id)


class Nova(Route):
    """Has Nova write, as its own driver does."""

    def __init__(self, service: services.Service) -> None:
        self._service = service

    def beat(self) -> float | None:
        """See Route."""
        self._service.save_heartbeat()
        return None

    def leave(self) -> None:
        """See Route. Does nothing for a service without save_departure."""
        save = getattr(self._service, 'save_departure', None)
        if save is not None:
            save()


class Relay(Nova):
    """Has a collector write heartbeats, or Nova if no collector answers.

    See states for the choice between them.

    :param down_time: seconds without a heartbeat after which it is down
    """

    def __init__(
        self,
        service: services.Service,
        name: str,
        transport: object,
        down_time: float,
    ) -> None:
        super().__init__(service)
        self._name = name
        self._client = relay.Client(transport)
        given = rules.Timing(service.report_interval, down_time)
        self._state = states.first(given, time.monotonic())
        self._collected: bool | None = None
        self._audit = audit.Audit(service, 3 * given.interval)

    def beat(self) -> float:
        """Write one heartbeat; return the seconds to put off the next.

        :raises RecordDeleted: the record is gone
        :raises BackendError: nothing has written it
        """
        error = self._ask_collector(time.monotonic())
        if self._state.writer is states.Writer.NOVA:
            self._log_writer(False, error)
            self._save()
        elif error is not None:
            raise error
        elif self._client.behind:
            return self._state.timing.put_off
        return 0.0

    def _ask_collector(self, begun: float) -> exceptions.BackendError | None:
        """Have a collector write a heartbeat; return why it did not.

        :raises RecordDeleted: the record is gone
        """
        if self._state.is_resting(begun):
            self._advance(states.Kind.RESTING, begun)
            return exceptions.BackendError(
                messages.TOPIC, 'failed a moment ago'
            )
        try:
            kind = self._send(begun)
        except Exception as error:
            # It may have been written: what Nova writes next must be newer.
            self._service.note_heartbeat()
            self._advance(states.kind_of(error), begun)
            return relay.as_backend_error(error)
        self._advance(kind, begun)
        self._log_writer(True)
        if kind is states.Kind.GONE:
            return self._check_gone(begun)
        self._service.note_heartbeat()
        return None if kind is states.Kind.SENT else self._check_written(begun)

    def _send(self, begun: float) -> states.Kind:
        """Send a heartbeat, and wait for the answer unless it is silent.

        :raises BackendError: it was not sent, or not answered
        """
        record, state = self._service.record_id, self._state
        if state.is_silent(begun) and self._client.knows_time:
            self._client.send(record, state.timing.longest)
            return states.Kind.SENT
        timeout = state.timing.save_timeout
        if not state.may_save(begun):
            timeout = state.timing.timeout(state.late, random.random())
        if not self._client.beat(record, timeout):
            return states.Kind.GONE
        behind = self._client.behind
        return states.Kind.BEHIND if behind else states.Kind.WRITTEN

    def _check_gone(self, begun: float) -> exceptions.BackendError:
        """Return why an answer that the record is gone is not believed.

        :raises RecordDeleted: it is gone, or cannot be read
        """
        if self._audit.is_gone():
            raise exceptions.RecordDeleted(
                self._service.binary, self._service.host
            )
        self._advance(states.Kind.UNWRITTEN, begun)
        return exceptions.BackendError(
            messages.TOPIC, 'it reports that an existing record is gone'
        )

    def _check_written(self, begun: float) -> exceptions.BackendError | None:
        """Return why an answer that it is written is not believed, if so.

        :raises RecordDeleted: the record is gone
        """
        took = time.monotonic() - begun
        late = took > _AUDIT_SHARE * self._state.timing.interval
        if late or self._audit.is_written():
            return None
        LOG.warning(
            '%s: collectors answer that its heartbeats are written, but its '
            'record shows none. Another client reads the queue %s, or a '
            'nova-conductor writes to another database.',
            self._name,
            messages.TOPIC,
        )
        self._advance(states.Kind.UNWRITTEN, begun)
        return exceptions.BackendError(messages.TOPIC, 'writes nothing')

    def _save(self) -> None:
        """Have Nova write a heartbeat.

        :raises ServiceGroupError: it did not
        """
        begun, kind = time.monotonic(), states.Kind.UNSAVED
        try:
            self._service.save_heartbeat()
            kind = states.Kind.SAVED
        finally:
            self._advance(kind, begun)
        self._audit.note_saved()

    def _advance(self, kind: states.Kind, begun: float) -> None:
        """Enter the state that follows from an outcome."""
        outcome = states.Outcome(
            kind, begun, time.monotonic(), random.random()
        )
        self._state = states.next(self._state, outcome)

    def _log_writer(self, collected: bool, error: object = None) -> None:
        """Log, once, whether a collector or Nova writes the heartbeats."""
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
