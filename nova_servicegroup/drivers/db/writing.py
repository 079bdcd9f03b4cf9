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

from collections.abc import Sequence
import dataclasses
import threading
import time
from typing import Any, NamedTuple

from oslo_log import log as logging

from nova_servicegroup.drivers.db import calls
from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import store as store_
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

#: So many batches are written at once.
WRITERS = 4
#: So many threads more answer each batch, and so many at most.
_ANSWERING = 4
MOST_ANSWERING = 16
#: What takes longer hangs, as where the sender has vanished (seconds). So many
#: threads may hang besides.
_ANSWER_HANGS = 3.0
MOST_UNANSWERED = 64


@dataclasses.dataclass(frozen=True)
class Answer:
    """What answers one message.

    :ivar until: when nobody waits for it any more, by the monotonic clock
    """

    message: Any
    content: dict[str, Any]
    until: float

    def send(self) -> None:
        """Send it, if anybody waits."""
        try:
            self.message.reply(self.content)
        except Exception as error:
            LOG.debug('A heartbeat cannot be answered: %r', error)


class Answers:
    """Sends answers in the background.

    Where there are too many, the last to come goes first: those that have
    waited for long would be too late, like all others after them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Answer] = []
        self._calls = calls.Calls(
            'servicegroup-collector-answer',
            MOST_ANSWERING,
            _ANSWER_HANGS,
            MOST_UNANSWERED,
        )

    def put(self, answers: Sequence[Answer]) -> None:
        """Have answers sent."""
        with self._lock:
            self._waiting += answers
            for _ in range(min(_ANSWERING, len(answers))):
                self._calls.start(self._run)

    def wait(self, timeout: float) -> None:
        """Wait until all are sent, for so many seconds at most."""
        self._calls.wait(0, timeout)

    def _run(self, call: object) -> None:
        while (answer := self._next(call)) is not None:
            answer.send()

    def _next(self, call: object) -> Answer | None:
        """Return the last that somebody waits for, and forget the others."""
        now = time.monotonic()
        with self._lock:
            while self._waiting:
                answer = self._waiting.pop()
                if answer.until > now:
                    self._calls.renew(call)
                    return answer
            self._calls.end(call)
        return None


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


class _Times(NamedTuple):
    """The database's time.

    :ivar now: None: it is not known
    :ivar unset: what it would be if it had not been set a while ago; None: it
        was not
    """

    now: float | None
    unset: float | None


def _was_young(heartbeat: messages.Heartbeat, unset: float | None) -> bool:
    """Tell whether a heartbeat is old only by a clock that was set since."""
    return (
        heartbeat.sure
        and unset is not None
        and messages.is_young(heartbeat.sent, unset)
    )


def _request(
    message: Any, heartbeat: messages.Heartbeat, times: _Times
) -> _Request:
    """Return a call, judged by the database's time."""
    sent, now, way = heartbeat.sent, times.now, 0.0
    young = messages.is_young(sent, now)
    if not young and _was_young(heartbeat, times.unset):
        # Who waits is told the right time, and sends it again.
        now, young = times.unset, not heartbeat.wait
    if heartbeat.sure and sent is not None and now is not None:
        way = max(0.0, now - sent)
    return _Request(message, heartbeat, young, way)


class Writer:
    """Turns batches of messages into an UPDATE each, and into answers.

    :param prompt: what was read later than so many seconds was not read at
        once
    :ivar dropped: the messages that were no heartbeats
    """

    def __init__(self, store: store_.Store, prompt: float) -> None:
        self.dropped = messages.Dropped()
        self.running = calls.Calls('servicegroup-collector-write', WRITERS)
        self._store = store
        self._prompt = prompt
        self._database = relay.Clock(store)
        self._answers = Answers()
        self._lost = False

    def take(self, incoming: Sequence[Any], waited: float) -> bool:
        """Write a batch in the background; tell whether that was begun.

        :param waited: the seconds for which it may have waited
        """
        since = time.monotonic() - waited
        return self.running.start(self._write, incoming, since)

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
    ) -> list[Answer]:
        """Write; return the answers to those who wait for one.

        :param since: when the first of them may have come
        """
        came_at, now = time.monotonic(), self._database.read()
        times = _Times(now, self._database.read_before_step())
        requests = self._requests(incoming, times)
        young = {each.heartbeat.record for each in requests if each.young}
        gone = self._store.beat(young, now) if young else set()
        behind = time.monotonic() - since > self._prompt
        now = self._database.read()
        return [
            Answer(
                each.message,
                {
                    'now': now,
                    'taken': each.young,
                    'gone': each.heartbeat.record in gone,
                    # The collector has more to do than it can.
                    'behind': behind,
                },
                came_at + each.heartbeat.wait - each.way,
            )
            for each in requests
            if each.heartbeat.wait
        ]

    def _requests(
        self, incoming: Sequence[Any], times: _Times
    ) -> list[_Request]:
        """Return the calls that can be understood."""
        requests = []
        for each in incoming:
            try:
                heartbeat = messages.read(each.message)
            except messages.Malformed as error:
                self.dropped.note(error)
            else:
                requests.append(_request(each, heartbeat, times))
        return requests

    def _log_lost(self, error: exceptions.BackendError) -> None:
        if not self._lost:
            self._lost = True
            LOG.warning('Heartbeats cannot be written: %s', error)

    def _log_recovered(self) -> None:
        if self._lost:
            self._lost = False
            LOG.info('Heartbeats can be written again.')
