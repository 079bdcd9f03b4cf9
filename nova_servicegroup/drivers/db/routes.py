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

"""By which route a service has its record say that it lives, or has left."""

import abc
import random
import time
from typing import Any

from oslo_log import log as logging

from nova_servicegroup.drivers.db import audit
from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import rules
from nova_servicegroup.drivers.db import store
from nova_servicegroup.drivers.db import ways
from nova_servicegroup import exceptions
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: An answer that came in this share of an interval leaves time for a look.
_LOOK = 0.4
#: The longest share for which anything waits, or is on its way.
_LONGEST = 0.7


class Route(abc.ABC):
    """Writes the record of one service. No call is bounded."""

    @abc.abstractmethod
    def beat(self) -> float | None:
        """Write a heartbeat.

        :returns: for how long to put off the next; see reporter.Reporter
        :raises ServiceGroupError: it is not written
        """

    @abc.abstractmethod
    def leave(self) -> None:
        """Write that the service has left, if that can be written.

        :raises ServiceGroupError: it is not written
        """


def choose(service: services.Service, name: str, down_time: float) -> Route:
    """Return the shortest way that a service has to its record.

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
    """Has Nova write, in its own way."""

    def __init__(self, service: services.Service) -> None:
        self._service = service

    def beat(self) -> float | None:
        """See Route."""
        self._service.save_heartbeat()
        return None

    def leave(self) -> None:
        """See Route. A service of another program need not know how."""
        save = getattr(self._service, 'save_departure', None)
        if save is not None:
            save()


class Relay(Nova):
    """Has a collector write heartbeats, or Nova, where none answers.

    See ways for which of them, and when.

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
        given = rules.Rules(service.report_interval, down_time)
        self._state = ways.first(given, time.monotonic())
        self._collected: bool | None = None
        self._audit: audit.Audit | None = None
        if hasattr(service, 'read_heartbeat'):
            recorded: Any = service
            gap = 3 * given.interval
            self._audit = audit.Audit(recorded, gap)

    def beat(self) -> float:
        """Write one heartbeat; return for how long to put off the next.

        :raises RecordDeleted: the record is gone
        :raises BackendError: nobody wrote it
        """
        error = self._ask_collector()
        if self._state.way is ways.Way.NOVA:
            self._log_writer(False, error)
            self._save()
        elif error is not None:
            raise error
        elif self._client.behind:
            return self._state.rules.put_off
        return 0.0

    def _ask_collector(self) -> exceptions.BackendError | None:
        """Have a collector write a heartbeat; return why it did not.

        :raises RecordDeleted: the record is gone
        """
        begun = time.monotonic()
        if self._state.is_silent(begun) and self._client.is_sure:
            return self._send(begun)
        if self._state.is_resting(begun):
            self._go_on(ways.Kind.RESTING, begun)
            return exceptions.BackendError(
                messages.TOPIC, 'was of no use a moment ago'
            )
        try:
            there = self._client.beat(self._service.record_id, self._wait())
        except Exception as error:
            # It may have been written all the same.
            self._service.note_heartbeat()
            self._go_on(ways.kind_of(error), begun)
            return relay.as_backend_error(error)
        self._go_on(self._kind(there), begun)
        self._log_writer(True)
        if not there:
            return self._check_gone(begun)
        self._service.note_heartbeat()
        return self._look(begun)

    def _kind(self, there: bool) -> ways.Kind:
        """Return what an answer means."""
        if not there:
            return ways.Kind.GONE
        behind = self._client.behind
        return ways.Kind.BEHIND if behind else ways.Kind.WRITTEN

    def _send(self, begun: float) -> exceptions.BackendError | None:
        """Have a heartbeat written, most likely; return why it is not sent."""
        longest = self._share(_LONGEST)
        kind, failed = ways.Kind.SENT, None
        try:
            self._client.send(self._service.record_id, longest)
        except Exception as error:
            kind, failed = ways.kind_of(error), relay.as_backend_error(error)
        # Written or not, what Nova may have to write next is a new one.
        self._service.note_heartbeat()
        self._go_on(kind, begun)
        return failed

    def _share(self, share: float) -> float:
        """Return so many seconds of an interval, one at least."""
        return max(1.0, share * self._state.rules.interval)

    def _wait(self) -> float:
        """Return the seconds to wait for an answer, which are also its TTL.

        Both ways are over before the next heartbeat. They differ by chance: if
        a collector that is overloaded had all wait for the same time, it would
        read each of them when that is nearly over, and answer none in time.
        And those go first whose last ones were late.
        """
        least = min(0.2 + 0.1 * self._state.late, 0.6)
        if time.monotonic() >= self._state.save_at:
            return self._state.rules.wait
        return self._share(random.uniform(least, _LONGEST))

    def _check_gone(self, begun: float) -> exceptions.BackendError:
        """Return why an answer that the record is gone is not believed.

        :raises RecordDeleted: it is gone, as far as anybody knows
        """
        if self._audit is None or self._audit.is_gone():
            raise exceptions.RecordDeleted(
                self._service.binary, self._service.host
            )
        self._go_on(ways.Kind.UNWRITTEN, begun)
        return exceptions.BackendError(
            messages.TOPIC, 'it says that a record is gone which is there'
        )

    def _look(self, begun: float) -> exceptions.BackendError | None:
        """Return why an answer is not to be believed, if that is so.

        :raises RecordDeleted: the record is gone
        """
        late = time.monotonic() - begun > _LOOK * self._state.rules.interval
        if self._audit is None or late or self._audit.is_written():
            return None
        LOG.warning(
            '%s: collectors answer that its heartbeats are written, but its '
            'record shows none. Somebody else reads the queue %s, or a '
            'nova-conductor writes to another database.',
            self._name,
            messages.TOPIC,
        )
        self._go_on(ways.Kind.UNWRITTEN, begun)
        return exceptions.BackendError(messages.TOPIC, 'writes nothing')

    def _save(self) -> None:
        """Have Nova write it.

        :raises ServiceGroupError: it did not
        """
        begun, kind = time.monotonic(), ways.Kind.UNSAVED
        try:
            self._service.save_heartbeat()
            kind = ways.Kind.SAVED
        finally:
            self._go_on(kind, begun)
        if self._audit is not None:
            self._audit.note_saved()

    def _go_on(self, kind: ways.Kind, begun: float) -> None:
        outcome = ways.Outcome(kind, begun, time.monotonic(), random.random())
        self._state = ways.next(self._state, outcome)

    def _log_writer(self, collected: bool, error: object = None) -> None:
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
