# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Keeps one group's membership young, on demand and in bounded time."""

from collections.abc import Callable, Iterable
import dataclasses
import datetime
import math
import threading
import time

from oslo_log import log as logging

from nova_servicegroup import exceptions
from nova_servicegroup import membership

LOG = logging.getLogger(__name__)

#: So many hosts are named in one line of the log.
_NAMED = 50
#: Seconds.
_ANSWER_AGE = 5.0


#: Reads the group, waiting at most so many seconds for the answer.
#: :raises BackendError: nothing was confirmed, this time
Read = Callable[[float], membership.Reading]


def time_ago(seconds: float) -> datetime.datetime:
    """Return the time of so many seconds ago, aware."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return now - datetime.timedelta(seconds=seconds)


class Contact:
    """Whether a backend is known to be away, for all that read it.

    :ivar lost_at: when the last read by anyone has failed; None: it has not
    """

    def __init__(self) -> None:
        self.lost_at: float | None = None


class Observer:
    """Answers who is up in one group, for every thread of a process.

    The group is read at most once in each ``refresh_interval``, by whoever
    asks first. A question waits for the backend only when there is no
    membership young enough: at most ``read_timeout``. Once an answer has
    failed to come, those that ask soon after one another do not wait until
    contact is back, for whichever group: what one has asked for, the next one
    fetches. Who asks later than that looks anew, since contact may be back for
    long.

    :param name: what to call the group in the log
    :param read: see Read
    :param members: makes the membership, given the time of its start
    :param contact: what the observers of one backend share
    :param blind_wait: seconds that a refresh waits while contact is lost;
        where threads are green, it is only then that others run
    """

    def __init__(
        self,
        name: str,
        read: Read,
        members: Callable[[float], membership.Membership],
        *,
        refresh_interval: float,
        read_timeout: float,
        contact: Contact | None = None,
        blind_wait: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._read = read
        self._members = members(clock())
        self._refresh_interval = refresh_interval
        # What was asked for so many seconds ago still tells who is up.
        self._answer_age = max(_ANSWER_AGE, 2 * refresh_interval)
        self._read_timeout = read_timeout
        self._contact = contact or Contact()
        self._blind_wait = blind_wait
        self._clock = clock
        self._lock = threading.Lock()
        self._due = -math.inf
        self._emptied = False
        self._counted = False
        # A proof of life, and the time of that moment.
        self._dated = -math.inf, time_ago(0.0)
        #: Why the last read failed; None: it did not.
        self.error: exceptions.BackendError | None = None

    def recall(self, host: str) -> bool | None:
        """Tell whether host is up if that is known without reading.

        Looks into memory and touches nothing else, so a forked child may ask
        its parent's observer: what was read before is as young for both.
        """
        now, members = self._clock(), self._members
        if now >= self._due:
            return None
        # Nova asks about every host. What is true of most takes one call less.
        if host in members.present and now <= members.present_until:
            return True
        return self._recall_missing(host, now)

    def _recall_missing(self, host: str, now: float) -> bool | None:
        """Recall a host that is not present."""
        return self._members.is_up(host, now)

    def is_up(self, host: str) -> bool:
        """Tell whether host is up. Never raises."""
        now = self._clock()
        if now >= self._due:
            self._refresh()
        return self._members.is_up(host, now)

    def members(self) -> membership.Membership:
        """Return the membership, refreshed if it was due."""
        if self._clock() >= self._due:
            self._refresh()
        return self._members

    def is_due(self) -> bool:
        """Tell whether the membership is so old that it must be refreshed."""
        return self._clock() >= self._due

    def proof_time(self, host: str) -> datetime.datetime | None:
        """Return when host was last proven alive, aware; None: never.

        Looks into memory only. All who are present were proven alive at the
        same moment, so that moment's time is found out once.
        """
        proof = self._members.proof(host)
        if proof is None:
            return None
        known, moment = self._dated
        if proof != known:
            moment = time_ago(max(0.0, self._clock() - proof))
            self._dated = proof, moment
        return moment

    def proof_age(self, host: str) -> float | None:
        """Return the seconds since host was last proven alive."""
        proof = self.members().proof(host)
        return None if proof is None else max(0.0, self._clock() - proof)

    def age(self) -> float | None:
        """Return the seconds since the group was confirmed; None: never."""
        confirmed = self._members.confirmed
        return None if confirmed is None else self._clock() - confirmed

    def _refresh(self) -> None:
        """Read the group, unless another thread just did."""
        wait = self._wait()
        if not self._lock.acquire(timeout=wait):
            return
        try:
            if self._clock() >= self._due:
                self._read_once(wait)
        finally:
            self._lock.release()

    def _wait(self) -> float:
        """Return the seconds that a question may wait for the backend."""
        lost_at = self._contact.lost_at
        if lost_at is None or self._clock() - lost_at > self._answer_age:
            return self._read_timeout
        return self._blind_wait

    def _read_once(self, wait: float) -> None:
        try:
            reading = self._read(wait)
        except exceptions.BackendError as error:
            self._lost(error)
        except Exception as error:
            LOG.exception('Unexpected error while reading %s', self._name)
            self._lost(exceptions.BackendError(self._name, repr(error)))
        else:
            self._confirmed(reading)
        self._due = self._clock() + self._refresh_interval

    def _confirmed(self, reading: membership.Reading) -> None:
        now = self._clock()
        self._contact.lost_at = None
        self.error = None
        blind_since = self._members.blind_since
        first = not self._counted
        changes = self._members.confirm(reading, now)
        if blind_since is not None:
            LOG.info(
                '%s: contact is back after %.1f s.',
                self._name,
                now - blind_since,
            )
        if reading.emptied and not self._emptied:
            LOG.info(
                '%s: the backend has forgotten it, or was emptied. Nobody is '
                'missing until it is known again.',
                self._name,
            )
        elif first and not reading.emptied:
            self._counted = True
            LOG.info('%s: %d members.', self._name, len(reading.present))
            changes = dataclasses.replace(changes, up=frozenset())
        self._emptied = reading.emptied
        # One after the other may be missing where a backend forgets some.
        self._log(
            changes, logging.INFO if reading.vouched else logging.WARNING
        )

    def _lost(self, error: exceptions.BackendError) -> None:
        now = self._clock()
        self._contact.lost_at = now
        self.error = error
        first = self._members.blind_since is None
        changes = self._members.lose(now)
        if first and self._members.confirmed is None:
            LOG.warning(
                '%s cannot be read (%s). It cannot be told who is '
                'alive; every member is presumed up at first.',
                self._name,
                error,
            )
        elif first:
            LOG.warning(
                '%s cannot be read any more (%s). Its %d members are '
                'held up until the hold time is over.',
                self._name,
                error,
                len(self._members),
            )
        self._log(changes)

    def _log(
        self, changes: membership.Changes, held: int = logging.WARNING
    ) -> None:
        self._log_hosts(logging.INFO, 'up', changes.up)
        self._log_hosts(logging.WARNING, 'down', changes.down)
        self._log_hosts(
            held,
            'missing, but held up: the backend may have lost them',
            changes.held,
        )
        reason = (
            'down: not seen for the hold time'
            if self._members.blind_since is None
            else 'down: blind, and not seen for the hold time'
        )
        self._log_hosts(logging.WARNING, reason, changes.expired)

    def _log_hosts(self, level: int, what: str, hosts: Iterable[str]) -> None:
        names = sorted(hosts)
        if names:
            more = len(names) - _NAMED
            LOG.log(
                level,
                '%s: %s%s: %s',
                self._name,
                ', '.join(names[:_NAMED]),
                f' and {more} more' if more > 0 else '',
                what,
            )
