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


"""Writes batches of heartbeats, a few at once, and never waits for a hang."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import threading
import time
from typing import Any

from oslo_log import log as logging

from nova_servicegroup.drivers.db import answering
from nova_servicegroup.drivers.db import clock as clocks
from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import store as store_
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

#: So many batches are written at once.
WRITERS = 4
#: What takes longer hangs, most likely in a connection that is dead (seconds).
HANG = relay.MAX_AGE / 2
#: So many threads may hang before nothing is begun any more.
MOST_HUNG = 16


class Running:
    """The calls that are under way, and which of them hang.

    :ivar failed: whether the last one that ended has failed; None: none has
        ended yet. Neither this nor trouble is about calls that were begun
        before forgive
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.failed: bool | None = None
        self._clock = clock
        self._changed = threading.Condition()
        self._begun: dict[object, float] = {}
        self._since = clock()

    def begin(self, most: int) -> object | None:
        """Return what stands for a call; None: there are enough.

        :param most: so many may be under way besides those that hang
        """
        with self._changed:
            hung = len(self._hung())
            if hung >= MOST_HUNG or len(self._begun) - hung >= most:
                return None
            call = object()
            self._begun[call] = self._clock()
            return call

    def end(self, call: object, failed: bool) -> None:
        """Take note that a call has ended."""
        with self._changed:
            if self._begun.pop(call) >= self._since:
                self.failed = failed
            self._changed.notify_all()

    def has_trouble(self) -> bool:
        """Tell whether the last one has failed, or one hangs."""
        with self._changed:
            hang = any(each >= self._since for each in self._hung())
            return hang or bool(self.failed)

    def forgive(self) -> None:
        """Forget what was begun so far, except that it is under way."""
        with self._changed:
            self.failed, self._since = None, self._clock()

    def wait(self, most: int, timeout: float) -> None:
        """Wait until no more than so many are under way."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._begun) <= most, timeout)

    def _hung(self) -> list[float]:
        """Return when those were begun that hang."""
        now = self._clock()
        return [each for each in self._begun.values() if now - each > HANG]


@dataclasses.dataclass(frozen=True)
class _Request:
    """One call that has come in, and what the database's clock says of it.

    :ivar way: the seconds that it was on its way, by the sender's own word:
        so it says nothing of others
    """

    message: Any
    heartbeat: messages.Heartbeat
    young: bool
    way: float

    def answer(self, now: float | None, gone: bool, behind: bool) -> None:
        """Answer, if anybody waits.

        :param behind: the collector has more to do than it can
        """
        answer = {
            'now': now,
            'taken': self.young,
            'gone': gone,
            'behind': behind,
        }
        try:
            self.message.reply(answer)
        except Exception as error:
            LOG.debug(
                'A heartbeat of %d cannot be answered: %r',
                self.heartbeat.record,
                error,
            )


def _request(
    message: Any, heartbeat: messages.Heartbeat, now: float | None
) -> _Request:
    """Return a call, judged by the database's time."""
    sent, way = heartbeat.sent, 0.0
    if heartbeat.sure and sent is not None and now is not None:
        way = max(0.0, now - sent)
    return _Request(message, heartbeat, relay.is_young(sent, now), way)


class Writer:
    """Turns batches of messages into an UPDATE each, and into answers.

    :param prompt: what was read later than so many seconds was not read at
        once
    :ivar dropped: the messages that were no heartbeats
    """

    def __init__(
        self,
        store: store_.Store,
        prompt: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dropped = messages.Dropped(clock=clock)
        self.running = Running(clock=clock)
        self._store = store
        self._prompt = prompt
        self._clock = clock
        self._database = clocks.Clock(store.now, clock=clock)
        self._answers = answering.Answers(clock=clock)
        self._lost = False

    def take(self, incoming: Sequence[Any], waited: float) -> bool:
        """Write a batch in the background; tell whether that was begun.

        :param waited: the seconds for which it may have waited
        """
        call = self.running.begin(WRITERS)
        if call is None:
            return False
        threading.Thread(
            target=self._write,
            args=(call, incoming, self._clock() - waited),
            daemon=True,
            name='servicegroup-collector-write',
        ).start()
        return True

    def wait(self, timeout: float) -> None:
        """Wait until all is written and answered, for so long at most."""
        self.running.wait(0, timeout)
        self._answers.wait(timeout)

    def _write(
        self, call: object, incoming: Sequence[Any], since: float
    ) -> None:
        failed = True
        try:
            answers = self._write_batch(incoming, since)
            failed = False
        except exceptions.BackendError as error:
            self._log_lost(error)
        except Exception:
            LOG.exception('Unexpected error while writing heartbeats')
        else:
            self._log_recovered()
            self._answers.put(answers)
        finally:
            self.running.end(call, failed)

    def _write_batch(
        self, incoming: Sequence[Any], since: float
    ) -> list[answering.Answer]:
        """Write; return the answer to each call.

        :param since: when the first of them may have come
        """
        came_at, now = self._clock(), self._database.read()
        requests = self._requests(incoming, now)
        young = {each.heartbeat.record for each in requests if each.young}
        gone = self._store.beat(young, now) if young else set()
        behind = self._clock() - since > self._prompt
        now = self._database.read()
        return [
            answering.Answer(
                functools.partial(
                    each.answer, now, each.heartbeat.record in gone, behind
                ),
                came_at + each.heartbeat.wait - each.way,
            )
            for each in requests
        ]

    def _requests(
        self, incoming: Sequence[Any], now: float | None
    ) -> list[_Request]:
        """Return the calls that can be understood."""
        requests = []
        for each in incoming:
            try:
                heartbeat = messages.read(each.message)
            except messages.Malformed as error:
                self.dropped.note(error)
            else:
                requests.append(_request(each, heartbeat, now))
        return requests

    def _log_lost(self, error: exceptions.BackendError) -> None:
        if not self._lost:
            self._lost = True
            LOG.warning('Heartbeats cannot be written: %s', error)

    def _log_recovered(self) -> None:
        if self._lost:
            self._lost = False
            LOG.info('Heartbeats can be written again.')
