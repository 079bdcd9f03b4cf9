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


"""Replies of a collector, when there are more than can be sent."""

import threading
import types

from nova_servicegroup.drivers.db import writing
from nova_servicegroup.tests import base

LONG = 20.0


class RepliesTest(base.TestCase):
    """Replies, each of which takes until the test lets it go."""

    def setUp(self) -> None:
        super().setUp()
        self.set_time()
        self.replies = writing.Replies()
        self.sent: list[int] = []
        self.message = types.SimpleNamespace(reply=self.send)
        self.started = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.addCleanup(self.go.release, 1000)

    def put(self, *numbers: int, left: float = 10.0) -> None:
        """Have replies sent whose senders wait for so many seconds."""
        until = self.clock() + left
        self.replies.put(
            [
                writing.Reply(self.message, {'number': number}, until)
                for number in numbers
            ]
        )

    def send(self, content: dict[str, int]) -> None:
        self.sent.append(content['number'])
        self.started.release()
        self.go.acquire(timeout=LONG)

    def fill(self) -> None:
        """Have every thread send a reply that takes long."""
        for _ in range(writing.MOST_ANSWERING):
            self.put(0)
            self.assertTrue(self.started.acquire(timeout=LONG))
        self.sent.clear()

    def finish(self) -> None:
        self.go.release(1000)
        self.replies.wait(LONG)

    def test_all_are_sent(self) -> None:
        self.put(*range(100))
        self.finish()
        self.assertEqual(list(range(100)), sorted(self.sent))

    def test_slow_replies_do_not_delay_others(self) -> None:
        self.put(1, 2, 3, 4)
        for _ in range(4):
            self.assertTrue(self.started.acquire(timeout=LONG))
        self.put(5)
        self.assertTrue(self.started.acquire(timeout=LONG))
        self.assertEqual(5, self.sent[-1])

    def test_the_number_of_threads_is_limited(self) -> None:
        self.fill()
        self.put(*range(1, 100))
        self.assertFalse(self.started.acquire(timeout=0.05))
        self.finish()
        self.assertEqual(99, len(self.sent))

    def test_hanging_replies_do_not_stop_others(self) -> None:
        self.fill()
        self.clock.advance(4.0)
        self.put(1, 2)
        for _ in range(2):
            self.assertTrue(self.started.acquire(timeout=LONG))
        self.assertEqual([1, 2], sorted(self.sent))

    def test_the_number_of_hanging_threads_is_limited(self) -> None:
        most = writing.MOST_ANSWERING + writing.MOST_UNANSWERED
        for _ in range(most):
            self.put(0, left=100.0)
            self.assertTrue(self.started.acquire(timeout=LONG))
            self.clock.advance(1.0)
        self.clock.advance(4.0)
        self.put(1)
        self.assertFalse(self.started.acquire(timeout=0.05))
        self.finish()
        self.assertEqual(most + 1, len(self.sent))

    def test_the_newest_reply_is_sent_first(self) -> None:
        self.fill()
        self.put(1, 2)
        self.put(3)
        self.go.release()
        for _ in range(3):
            self.assertTrue(self.started.acquire(timeout=LONG))
            self.go.release()
        self.finish()
        self.assertEqual([3, 2, 1], self.sent)

    def test_a_reply_whose_sender_has_given_up_is_dropped(self) -> None:
        self.fill()
        self.put(1, left=1.0)
        self.put(2, left=3.0)
        self.clock.advance(2.0)
        self.finish()
        self.assertEqual([2], self.sent)

    def test_waiting_is_bounded(self) -> None:
        self.put(1)
        self.replies.wait(0.01)
        self.assertLessEqual(len(self.sent), 1)
        self.finish()
