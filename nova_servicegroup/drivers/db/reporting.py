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
import random
import time
from typing import cast

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
#: Nova is quick if it writes a heartbeat in this share of an interval.
_QUICK = 0.1


class Attendance:
    """One member of one group, for as long as its service runs.

    :param down_time: seconds without a heartbeat after which it is down
    """

    def __init__(
        self,
        host: str,
        group: str,
        service: services.Service,
        down_time: float,
    ) -> None:
        self.name = f'Member {host} of group {group} (db)'
        self._service = service
        self._way = way(service, self.name, down_time)
        # A beat that hangs is not repeated, only awaited.
        self._beats = _fanout.Fanout([self])
        self.reporter = reporter.Reporter(self.name, self._beat)
        self._collector = _collector(service, host)

    def start(self) -> None:
        """Beat on the service's timer; in a conductor, also collect."""
        self.reporter.start(self._service, self._service.report_interval)
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
        self.reporter.stop()
        if self._collector is not None:
            self._collector.stop()

    def _beat(self) -> float | None:
        ((_, put_off),) = self._beats.ask(
            'beat', lambda _: self._way(), 0.8 * self._service.report_interval
        )
        return cast('float | None', put_off)


def way(
    service: services.Service, name: str, down_time: float
) -> Callable[[], float | None]:
    """Return what writes a heartbeat of a service, bounded or not.

    See reporter.Reporter for what that returns.

    :param name: what to call the service in the log
    :param down_time: seconds without a heartbeat after which it is down
    """
    engine = service.engine()
    if engine is not None:
        return functools.partial(_write, store.Store(service.engine), service)
    transport = service.transport()
    if transport is None:
        return service.save_heartbeat
    return _Relay(service, name, transport, down_time).beat


def _write(store: store.Store, service: services.Service) -> None:
    """Write a heartbeat into the database.

    :raises RecordDeleted: the record is gone
    """
    if store.beat([service.record_id]):
        raise exceptions.RecordDeleted(service.binary, service.host)
    service.note_heartbeat()


class _Relay:
    """Has a collector write heartbeats, or Nova, where none answers.

    Where a collector is there but late, what Nova does would cost more than
    what is late already: if every service of a fleet did it, nothing would get
    through any more. So then Nova writes one only when none was answered for
    so long that another one would be too late, and less and less often unless
    it proves to be quick. And who was answered by a collector that is behind
    leaves the next heartbeat out, for the sake of those who were not.

    Where the message queue cannot be reached, Nova cannot reach it either, and
    would wait for it longer and longer, with a write of every service due at
    the moment that it is back. So then nothing is written until it is.

    :param down_time: seconds without a heartbeat after which it is down
    """

    def __init__(
        self,
        service: services.Service,
        name: str,
        transport: object,
        down_time: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._name = name
        self._interval = service.report_interval
        self._down_time = down_time
        # There may be one heartbeat more, and time for Nova to write it.
        self._patience = max(down_time / 2, down_time - 2 * self._interval)
        # Who leaves one out has half of down_time left to be heard.
        spared = 4 * self._interval <= down_time
        self._put_off = self._interval if spared else 0.0
        self._clock = clock
        self._client = relay.Client(transport)
        self._rest = _backoff.Rest(_LONGEST_REST)
        self._collected: bool | None = None
        self._slow_saves = self._late = 0
        # When the message queue was not known to be away.
        self._reached_at = clock()
        # Who was never answered may be one of many that have just started.
        self._may_save_at = self._overdue_at(down_time)

    def beat(self) -> float:
        """Write one heartbeat; return for how long to put off the next.

        :raises RecordDeleted: the record is gone
        :raises BackendError: nobody wrote it
        """
        may_save = self._clock() >= self._may_save_at
        try:
            there = self._ask_collector(self._wait(may_save))
        except exceptions.BackendError as error:
            # It may have been written all the same.
            self._service.note_heartbeat()
            if not self._is_for_nova(error, may_save):
                self._late += 1
                raise
            self._save(error)
            return 0.0
        self._note_collected(there)
        return self._put_off if self._client.behind else 0.0

    def _wait(self, may_save: bool) -> float:
        """Return the seconds to wait for an answer, which are also its TTL.

        Both ways are over before the next heartbeat. They differ by chance: if
        a collector that is overloaded had all wait for the same time, it would
        read each of them when that is nearly over, and answer none in time.
        And those go first whose last ones were late.
        """
        least = min(0.2 + 0.1 * self._late, 0.6)
        share = 0.4 if may_save else random.uniform(least, 0.7)
        return max(1.0, share * self._interval)

    def _ask_collector(self, wait: float) -> bool:
        """Tell whether the record is there, which has then been written.

        :raises BackendTimeout: it is there but late
        :raises BackendUnreachable: nobody can tell
        :raises BackendError: there is none
        """
        unsure: exceptions.BackendError
        with self._rest.guard(relay.TOPIC):
            try:
                return self._client.beat(self._service.record_id, wait)
            except (
                exceptions.BackendTimeout,
                exceptions.BackendUnreachable,
            ) as error:
                unsure = error
        raise unsure

    def _is_for_nova(
        self, error: exceptions.BackendError, may_save: bool
    ) -> bool:
        """Tell whether Nova is to write what no collector has answered."""
        now = self._clock()
        if isinstance(error, exceptions.BackendUnreachable):
            # When it is back, answers still take a while to come through.
            self._may_save_at = max(self._may_save_at, self._overdue_at())
            return now - self._reached_at >= _LONGEST_REST
        self._reached_at = now
        return may_save or not isinstance(error, exceptions.BackendTimeout)

    def _save(self, error: exceptions.BackendError) -> None:
        self._tell(False, error)
        begun = self._clock()
        self._wait_longer()
        self._service.save_heartbeat()
        if self._clock() - begun <= _QUICK * self._interval:
            self._slow_saves, self._may_save_at = 0, begun

    def _wait_longer(self) -> None:
        """Take it that Nova will be slow."""
        wait = min(self._patience * 2.0**self._slow_saves, _LONGEST_REST)
        self._slow_saves += 1
        self._may_save_at = self._clock() + wait * random.uniform(1, 1.5)

    def _note_collected(self, there: bool) -> None:
        self._tell(True)
        self._reached_at = self._clock()
        self._slow_saves = self._late = 0
        # One that is behind most likely writes, too, what it has no time to
        # answer; and where all are late, readers are patient for longer.
        more = self._down_time if self._client.behind else 0.0
        self._may_save_at = self._overdue_at(more)
        if not there:
            raise exceptions.RecordDeleted(
                self._service.binary, self._service.host
            )
        self._service.note_heartbeat()

    def _overdue_at(self, more: float = 0.0) -> float:
        """Return when another late heartbeat would be too late.

        :param more: seconds in which readers are patient, too
        """
        return self._clock() + self._patience + more

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
    if not service.collects or service.engine() is None:
        return None
    transport = service.new_transport(collector.TRANSPORT)
    if transport is None:
        return None
    return collector.Collector(
        transport,
        store.Store(service.engine),
        host,
        'eventlet' if _tooz.handler() == 'eventlet' else 'threading',
        min(collector.GATHER, service.report_interval / 10),
    )
