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
from typing import Any

from oslo_log import log as logging

from nova_servicegroup.drivers.db import calls
from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import store as store_
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

#: The number of batches that are written at once.
WRITERS = 4
#: The threads that are started to reply to a batch, and the most in all.
_ANSWERING = 4
MOST_ANSWERING = 16
#: A reply that takes longer hangs, for example because its sender does not
#: exist any more (seconds); and the most threads that may hang besides.
_ANSWER_HANGS = 3.0
MOST_UNANSWERED = 64


@dataclasses.dataclass(frozen=True)
class Reply:
    """The reply to one message.

    :ivar content: see messages.Answer
    :ivar until: when the sender stops waiting, by the monotonic clock
    """

    message: Any
    content: dict[str, Any]
    until: float

    def send(self) -> None:
        """Send it, if its sender still exists."""
        try:
            self.message.reply(self.content)
        except Exception as error:
            LOG.debug('A heartbeat cannot be answered: %r', error)


class Replies:
    """Queue of replies, which are sent in the background.

    The newest is sent first: if there are too many, those that have waited for
    long would be too late, and so would all others after them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Reply] = []
        self._calls = calls.Calls(
            'servicegroup-collector-answer',
            MOST_ANSWERING,
            _ANSWER_HANGS,
            MOST_UNANSWERED,
        )

    def put(self, replies: Sequence[Reply]) -> None:
        """Have replies sent."""
        with self._lock:
            self._waiting += replies
            for _ in range(min(_ANSWERING, len(replies))):
                self._calls.start(self._run)

    def wait(self, timeout: float) -> None:
        """Wait until all are sent, at most so many seconds."""
        self._calls.wait(0, timeout)

    def _run(self, call: object) -> None:
        while (reply := self._next(call)) is not None:
            reply.send()

    def _next(self, call: object) -> Reply | None:
        """Return the newest reply that is waited for; drop the others."""
        now = time.monotonic()
        with self._lock:
            while self._waiting:
                reply = self._waiting.pop()
                if reply.until > now:
                    self._calls.renew(call)
                    return reply
            self._calls.end(call)
        return None


@dataclasses.dataclass(frozen=True)
class _Request:
    """One call that was received.

    :ivar young: whether its heartbeat is to be written, or its end was
    :ivar delay: the seconds that it took to arrive, by the sender's own word:
        so it proves nothing about other calls
    """

    message: Any
    heartbeat: messages.Heartbeat
    young: bool
    delay: float

    def reply(
        self, now: float | None, gone: bool, behind: bool, came_at: float
    ) -> Reply:
        """Return the reply: see messages.Answer.

        :param came_at: when it was received, by the monotonic clock
        """
        answer = messages.Answer(now, self.young, gone, behind)
        until = came_at + self.heartbeat.wait - self.delay
        return Reply(self.message, answer._asdict(), until)


def _request(
    message: Any,
    heartbeat: messages.Heartbeat,
    now: float | None,
    before_step: float | None,
) -> _Request:
    """Return a call as a request.

    :param now: the database's time, or None if unknown
    :param before_step: what it would be without a recent step of that clock,
        or None if there was none
    """
    sent, delay = heartbeat.sent, 0.0
    young = messages.is_young(sent, now)
    stepped = heartbeat.sure and before_step is not None
    if not young and stepped and messages.is_young(sent, before_step):
        # It is old only by the new time. A sender that waits for an answer
        # learns the new time and sends the heartbeat again.
        now, young = before_step, not heartbeat.wait
    if heartbeat.sure and sent is not None and now is not None:
        delay = max(0.0, now - sent)
    return _Request(message, heartbeat, young, delay)


class Writer:
    """Turns each batch of messages into one UPDATE, and into replies.

    :param prompt: the seconds after which a message was not read at once
    :ivar dropped: the messages that are not heartbeats
    :ivar running: the batches that are being written
    """

    def __init__(self, store: store_.Store, prompt: float) -> None:
        self.dropped = messages.Dropped()
        self.running = calls.Calls('servicegroup-collector-write', WRITERS)
        self._store = store
        self._prompt = prompt
        self._database = relay.Clock(store)
        self._replies = Replies()
        self._lost = False

    def write(self, incoming: Sequence[Any], waited: float) -> bool:
        """Write a batch in the background; return whether that has begun.

        :param waited: the seconds for which it may have been in the queue
        """
        since = time.monotonic() - waited
        return self.running.start(self._write, incoming, since)

    def wait(self, timeout: float) -> None:
        """Wait until all is written and answered, each at most so long."""
        self.running.wait(0, timeout)
        self._replies.wait(timeout)

    def _write(
        self, call: object, incoming: Sequence[Any], since: float
    ) -> None:
        failed = True
        try:
            replies = self._write_batch(incoming, since)
            failed = False
        except exceptions.BackendError as error:
            self.log_contact(error)
        except Exception:
            LOG.exception('Unexpected error while writing heartbeats')
        else:
            self.log_contact(None)
            self._replies.put(replies)
        finally:
            self.running.end(call, failed)

    def _write_batch(
        self, incoming: Sequence[Any], since: float
    ) -> list[Reply]:
        """Write a batch; return the replies to senders that wait for one.

        :param since: when the first message may have come
        """
        came_at, now = time.monotonic(), self._database.read()
        requests = self._requests(incoming, now)
        gone, left = self._beat(requests, now)
        requests = [
            self._ended(each)
            if each.heartbeat.record not in left
            else dataclasses.replace(each, young=False)
            for each in requests
        ]
        behind = time.monotonic() - since > self._prompt
        now = self._database.read()
        return [
            each.reply(now, each.heartbeat.record in gone, behind, came_at)
            for each in requests
            if each.heartbeat.wait
        ]

    def _beat(
        self, requests: Sequence[_Request], now: float | None
    ) -> tuple[set[int], set[int]]:
        """Write heartbeats, those of a known time apart from the others.

        :returns: the records that do not exist, and those that have just left,
            whose senders are to say when they sent their heartbeats
        """
        alive = [
            each.heartbeat
            for each in requests
            if each.young and not each.heartbeat.left
        ]
        sent = {
            each.record: each.sent
            for each in alive
            if each.sure and each.sent is not None
        }
        unsure = {each.record for each in alive} - sent.keys()
        gone: set[int] = set()
        if sent:
            gone |= self._store.beat(sent, now, min(sent.values()))
        if not unsure:
            return gone, set()
        gone |= self._store.beat(unsure, now)
        return gone, self._store.left(unsure)

    def _ended(self, request: _Request) -> _Request:
        """Write the end of a process; return what is to be answered."""
        asked = request.heartbeat
        # Only a time of the database's can be compared with a heartbeat's.
        certain = request.young and asked.sure
        if not asked.left or not certain or asked.sent is None:
            return request
        try:
            written = self._store.end(asked.record, asked.sent)
        except exceptions.BackendError as error:
            LOG.debug('The end of a process cannot be written: %s', error)
            written = False
        return dataclasses.replace(request, young=written)

    def _requests(
        self, incoming: Sequence[Any], now: float | None
    ) -> list[_Request]:
        """Return the messages that are heartbeats."""
        before_step = self._database.read_before_step()
        requests = []
        for each in incoming:
            try:
                heartbeat = messages.read(each.message)
            except messages.Malformed as error:
                self.dropped.note(error)
            else:
                requests.append(_request(each, heartbeat, now, before_step))
        return requests

    def log_contact(self, error: exceptions.BackendError | None) -> None:
        """Log, once, that the database does not write, or writes again."""
        lost = error is not None
        if lost == self._lost:
            return
        self._lost = lost
        if lost:
            LOG.warning('Heartbeats cannot be written: %s', error)
        else:
            LOG.info('Heartbeats can be written again.')
