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

"""Answers which hosts are up: reads a group on demand, in bounded time."""

import abc
from collections.abc import Callable
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


class Source(abc.ABC):
    """What an observer reads one group from."""

    @abc.abstractmethod
    def read(self, wait: float) -> evidence.Reading:
        """Read the group; called by one thread at a time.

        :param wait: seconds, at most
        :raises BackendError: nothing was confirmed
        """

    def request(self, host: str) -> bool:
        """Remember a host that was asked about and that no reading had.

        :returns: whether its absence is no evidence, since no reading has
            asked for it yet
        """
        return False

    def name(self, host: str) -> str:
        """Return a host's name as it has joined."""
        return host


class Observer(pace.Watched):
    """An observer of one group: answers which hosts are up, to all threads.

    The group is read at most once in each ``refresh_interval``, by the first
    thread that asks; others wait for that read. A question waits for the
    backend only when the membership is too old, and for as long as
    ``patience`` allows. While the backend does not answer, questions do not
    wait: it is asked in the background, and a later question fetches the
    answer.

    For some minutes after the last question the group is read in the
    background now and then, so that a process that asks seldom misses neither
    an outage nor new members.

    :param name: what to call the group in the log
    :param background: whether to read in the background
    :ivar members: the membership, as last read
    :ivar fitness: which of the members are unfit
    """

    def __init__(
        self,
        name: str,
        source: Source,
        members: membership.Membership,
        *,
        refresh_interval: float,
        patience: pace.Patience,
        background: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._clock = clock
        self.members = members
        self.fitness = fitness.Fitness()
        self._pace = pace.Pace(refresh_interval, patience)
        self._journal = journal.Journal(name)
        # Held while the membership changes, never while reading.
        self._changing = threading.Lock()
        self._watch = pace.Watch(self) if background else None

    def recall(self, host: str) -> bool | None:
        """Return whether host is up and not passed over; None: unknown.

        Uses memory only. So a forked child may ask its parent's observer: what
        was read before the fork is equally old for both.
        """
        now = self._clock()
        pace_ = self._pace
        if now >= pace_.due:
            return None
        # Reading in the background goes on as long as hosts are asked about.
        pace_.asked = now
        # Nova asks about every host, so the usual answer saves a call.
        if host in self.fitness.usable:
            return True
        return not self.fitness.is_passed_over(host) and self.members.recall(
            host, now
        )

    def is_up(self, host: str) -> bool:
        """Return whether host is up, after a read if needed. Never raises."""
        name, asked = membership.canonical(host), self._clock()
        if self._is_unread(name, asked):
            self._pace.hurry(asked)
        self.refresh()
        return self._judge(name, asked)

    def _is_unread(self, host: str, asked: float) -> bool:
        """Return whether host may have joined since the last reading."""
        if self.members.knows(host):
            return False
        return self._source.request(host) or self._pace.is_before(asked)

    @property
    def error(self) -> exceptions.BackendError | None:
        """Why the last read failed, or None."""
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
        """Return whether the membership is too old, so refresh would read."""
        return self._clock() >= self._pace.due

    def name(self, host: str) -> str:
        """Return a member's name as it has joined."""
        return self._source.name(host)

    def proof_age(self, host: str) -> float | None:
        """Return the seconds since host's proof of life, from memory."""
        return self._age_of(self.proof(host))

    def proof(self, host: str) -> float | None:
        """Return the time of host's proof of life, or None."""
        return self.members.proof(membership.canonical(host))

    def is_presumed(self, host: str) -> bool:
        """Return whether host is up, but missing, or nothing can be read."""
        name = membership.canonical(host)
        blind = self.members.contact.blind_since is not None
        without = blind or self.members.is_held(name)
        return without and self.members.is_up(name, self._clock())

    def last_up(self, host: str) -> float | None:
        """Return the time when host was last up, from memory, or None.

        Its proof of life; or now, if it is up without a recent one: some
        programs evacuate those that seem old.
        """
        name, now = membership.canonical(host), self._clock()
        if self._is_stale(now):
            up = self.members.recall(name, now) is not False
        else:
            doubt = self.members.is_in_doubt(now)
            up = doubt and self.members.is_up(name, now)
        return now if up else self.members.proof(name)

    def age(self) -> float | None:
        """Return the seconds since the group was confirmed; None: never."""
        return self._age_of(self.members.contact.confirmed)

    def asked_age(self) -> float | None:
        """Return the seconds since the last answer was asked for, at most."""
        return self._age_of(self._pace.answered)

    def _age_of(self, moment: float | None) -> float | None:
        return None if moment is None else max(0.0, self._clock() - moment)

    def close(self) -> None:
        """Stop reading in the background."""
        if self._watch is not None:
            self._watch.stop()

    def _read(self, wait: float) -> None:
        """Read the group, unless another thread has just read it."""
        begun = self._clock()
        if not self._pace.reading.acquire(timeout=wait):
            return
        try:
            left = max(0.0, begun + wait - self._clock())
            # After waiting for another thread's read, too little time may be
            # left for one of its own.
            if self.is_due() and left >= wait / 2:
                self._read_once(left)
                self._rest()
        finally:
            self._pace.reading.release()

    def _read_once(self, wait: float) -> bool:
        """Read the group; return whether it could be read."""
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
        blind_since = self.members.contact.blind_since
        had_doubt = self.members.is_in_doubt(now)
        with self._changing:
            changes = self.members.confirm(reading, now, begun)
            fit_changes = self.fitness.update(
                reading, self.members.is_held, now
            )
        # Later than the members: they must not seem newer than they are.
        self._pace.confirmed(begun)
        self._wake(had_doubt, now)
        blind = None if blind_since is None else now - blind_since
        self._journal.confirmed(reading, changes, blind, now)
        self._journal.unfit(fit_changes)

    def _lost(self, error: exceptions.BackendError, begun: float) -> None:
        now, contact = self._clock(), self.members.contact
        self._pace.lost(error, now - begun, now)
        had_doubt = self.members.is_in_doubt(now)
        with self._changing:
            changes = self.members.fail(now, begun)
            self.fitness.fail(self.members.present)
        self._wake(had_doubt, now)
        held = None if contact.confirmed is None else len(self.members)
        lasted = now - (contact.blind_since or now)
        self._journal.lost(error, held, changes, lasted)

    def _wake(self, had_doubt: bool, now: float) -> None:
        """Make the background read sooner if doubt has just begun."""
        begins = self.members.is_in_doubt(now) and not had_doubt
        if begins and self._watch is not None:
            self._watch.wake()

    def _judge(self, host: str, asked: float) -> bool:
        now = self._clock()
        stale = self._is_stale(now)
        # The next reading asks for the host; a read that fails cannot.
        unread = self.error is None and self._is_unread(host, asked)
        with self._changing:
            if self.members.judge(host, now, stale, unread):
                return True
            over = self.members.expire(now)
        blind = self.members.contact.blind_since is not None
        self._journal.expired(evidence.Changes(expired=over), blind)
        return False

    def _is_stale(self, now: float) -> bool:
        """Return whether a read under way takes too long; see judge."""
        age = now - self.members.contact.asked
        return age > pace.IDLE + self._pace.refresh_interval

    def read_if_due(self) -> None:
        """Read in the background, if it is due; see pace.Watched.

        Green threads may stand still between questions, so that an answer only
        lacks time. So after a failure here the next question reads all the
        same. It still counts as an outage, since there may have been one.
        """
        if self.is_due() and self._pace.reading.acquire(blocking=False):
            try:
                if self._read_once(self._pace.patience.read_timeout):
                    self._rest()
            finally:
                self._pace.reading.release()

    def pause(self) -> float | None:
        """See pace.Watched."""
        now = self._clock()
        return self._pace.pause(now, self.members.is_in_doubt(now))
