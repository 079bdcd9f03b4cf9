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

import abc
from collections.abc import Callable
import datetime
import math
import threading
import time

from oslo_log import log as logging

from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import fitness
from nova_servicegroup import journal
from nova_servicegroup import membership
from nova_servicegroup import pace

LOG = logging.getLogger(__name__)


class Dates:
    """The dates of moments. All who are present were proven at the same."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = -math.inf, time_ago(0.0)

    def date(self, moment: float | None) -> datetime.datetime | None:
        """Return the date of a moment of the clock, aware."""
        if moment is None:
            return None
        known, date = self._last
        if moment != known:
            date = time_ago(max(0.0, self._clock() - moment))
            self._last = moment, date
        return date


def time_ago(seconds: float) -> datetime.datetime:
    """Return the time of so many seconds ago, aware."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return now - datetime.timedelta(seconds=seconds)


class Source(abc.ABC):
    """Reads one group."""

    @abc.abstractmethod
    def read(self, wait: float) -> evidence.Reading:
        """Read the group; one thread at a time.

        :param wait: seconds, at most
        :raises BackendError: nothing was confirmed, this time
        """

    def want(self, host: str) -> bool:
        """Take note that somebody asks about a host that no reading had.

        :returns: whether its absence is no evidence, since no reading has
            asked for it yet
        """
        return False

    def name(self, host: str) -> str:
        """Return a host's name as it has joined."""
        return host


class Observer:
    """Answers who is up in one group, for every thread of a process.

    The group is read at most once in each ``refresh_interval``, by whoever
    asks first; the others await it. A question waits for the backend only when
    there is no membership young enough: as long as ``patience`` allows. While
    the backend does not answer, questions do not wait: it is asked in the
    background, and what one question has asked for, the next one fetches.

    For some minutes after the last question it is read in the background now
    and then, so that one who asks seldom misses neither an outage nor who has
    joined.

    :param name: what to call the group in the log
    :param members: the membership; started now
    :param background: whether to read in the background
    :ivar members: the membership, as it was last read
    :ivar fitness: which of them are of no use
    """

    def __init__(
        self,
        name: str,
        source: Source,
        members: Callable[[float], membership.Membership],
        *,
        refresh_interval: float,
        patience: pace.Patience,
        background: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._clock = clock
        self.members = members(clock())
        self.fitness = fitness.Fitness()
        self._pace = pace.Pace(refresh_interval, patience)
        self._journal = journal.Journal(name)
        # Who changes the membership, which takes no time, after having read.
        self._changing = threading.Lock()
        self._watch = (
            pace.Watch(self._look, self._pause) if background else None
        )

    def recall(self, host: str) -> bool | None:
        """Tell whether host is up, and not passed over, if that is known.

        Looks into memory and does nothing else, so a forked child may ask its
        parent's observer: what was read before is as young for both.
        """
        now = self._clock()
        pace_ = self._pace
        if now >= pace_.due:
            return None
        # As long as somebody asks, it is read in the background.
        pace_.asked = now
        # Nova asks about every host. What is true of most takes one call less.
        if host in self.fitness.usable:
            return True
        return not self.fitness.skips(host) and self.members.recall(host, now)

    def is_up(self, host: str) -> bool:
        """Tell whether host is up. Never raises."""
        name, asked = membership.canonical(host), self._clock()
        if self._is_unread(name, asked):
            self._pace.hurry(asked)
        self.refresh()
        return self._judge(name, asked)

    def _is_unread(self, host: str, asked: float) -> bool:
        """Tell whether a host that was not there may be since it was read."""
        if self.members.knows(host):
            return False
        return self._source.want(host) or self._pace.is_before(asked)

    @property
    def error(self) -> exceptions.BackendError | None:
        """Why the last read failed; None: it did not."""
        return self._pace.error

    def refresh(self) -> membership.Membership:
        """Return the membership, read again if that is due."""
        now = self._pace.asked = self._clock()
        if now >= self._pace.due:
            self._read(self._pace.wait(now))
        if self._watch is not None:
            self._watch.keep()
        return self.members

    def is_due(self) -> bool:
        """Tell whether the membership is so old that it must be refreshed."""
        return self._clock() >= self._pace.due

    def name(self, host: str) -> str:
        """Return a member's name as it has joined."""
        return self._source.name(host)

    def proof_age(self, host: str) -> float | None:
        """Return the seconds since host was last proven alive.

        Looks into memory only.
        """
        proof = self.proof(host)
        return None if proof is None else max(0.0, self._clock() - proof)

    def proof(self, host: str) -> float | None:
        """Return when host was last proven alive; None: never."""
        return self.members.proof(membership.canonical(host))

    def age(self) -> float | None:
        """Return the seconds since the group was confirmed; None: never."""
        confirmed = self.members.contact.confirmed
        return None if confirmed is None else self._clock() - confirmed

    def close(self) -> None:
        """Read no more in the background."""
        if self._watch is not None:
            self._watch.stop()

    def _read(self, wait: float) -> None:
        """Read the group, unless another thread just did."""
        begun = self._clock()
        if not self._pace.reading.acquire(timeout=wait):
            return
        try:
            left = max(0.0, begun + wait - self._clock())
            # Who has waited for another one's read has no time for its own.
            if self.is_due() and left >= wait / 2:
                self._read_once(left)
                self._rest()
        finally:
            self._pace.reading.release()

    def _read_once(self, wait: float) -> bool:
        """Read the group; tell whether it could be read."""
        begun = self._clock()
        try:
            reading = self._source.read(wait)
        except exceptions.BackendError as error:
            self._lost(error, begun)
            return False
        except Exception as error:
            name = self._journal.name
            LOG.exception('Unexpected error while reading %s', name)
            self._lost(exceptions.BackendError(name, repr(error)), begun)
            return False
        self._confirmed(reading, begun)
        return True

    def _rest(self) -> None:
        self._pace.rest(self._clock(), self.members.contact.present_until)

    def _confirmed(self, reading: evidence.Reading, begun: float) -> None:
        now = self._clock()
        self._pace.confirmed(begun)
        blind_since = self.members.contact.blind_since
        doubt = self.members.is_in_doubt(now)
        with self._changing:
            changes = self.members.confirm(reading, now, begun)
            noted = self.fitness.take(reading, self.members.is_held, now)
        self._wake(doubt, now)
        blind = None if blind_since is None else now - blind_since
        self._journal.confirmed(reading, changes, blind, now)
        self._journal.unfit(noted)

    def _lost(self, error: exceptions.BackendError, begun: float) -> None:
        now = self._clock()
        self._pace.lost(error, now - begun, now)
        contact = self.members.contact
        doubt = self.members.is_in_doubt(now)
        with self._changing:
            changes = self.members.lose(now, begun)
            self.fitness.lose(self.members.present)
        self._wake(doubt, now)
        held = None if contact.confirmed is None else len(self.members)
        lasted = now - (contact.blind_since or now)
        self._journal.lost(error, held, changes, lasted)

    def _wake(self, doubt: bool, now: float) -> None:
        """Have the background read sooner where doubt has just begun."""
        begins = self.members.is_in_doubt(now) and not doubt
        if begins and self._watch is not None:
            self._watch.wake()

    def _judge(self, host: str, asked: float) -> bool:
        now = self._clock()
        age = now - self.members.contact.asked
        stale = age > pace.IDLE + self._pace.refresh_interval
        # The next reading asks for it; one that fails cannot.
        unread = self.error is None and self._is_unread(host, asked)
        with self._changing:
            if self.members.judge(host, now, stale, unread):
                return True
            over = self.members.expire(now)
        blind = self.members.contact.blind_since is not None
        self._journal.expired(evidence.Changes(expired=over), blind)
        return False

    def _look(self) -> None:
        """Read in the background, if it is due.

        Where green threads stand still between questions, no answer may have
        come for lack of time. So whoever asks next reads all the same. That
        there was an outage is believed: there may have been one, and who is
        missing after it may be alive.
        """
        if self.is_due() and self._pace.reading.acquire(blocking=False):
            try:
                if self._read_once(self._pace.patience.read_timeout):
                    self._rest()
            finally:
                self._pace.reading.release()

    def _pause(self) -> float | None:
        now = self._clock()
        return self._pace.pause(now, self.members.is_in_doubt(now))
