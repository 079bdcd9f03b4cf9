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


import threading
from typing import Any
from unittest import mock

import fixtures

from nova_servicegroup import background
from nova_servicegroup import exceptions
from nova_servicegroup import fanout
from nova_servicegroup import process
from nova_servicegroup.tests import base

LONG = 20.0


class Server:
    """Answers, fails, or lets a question wait until it is released."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = 0
        self.threads: list[threading.Thread] = []
        self.begun = threading.Event()
        self.release = threading.Event()
        self.release.set()
        self.error: Exception | None = None

    def answer(self) -> str:
        self.asked += 1
        self.threads.append(threading.current_thread())
        self.begun.set()
        self.release.wait(LONG)
        if self.error is not None:
            raise self.error
        return f'{self.name} {self.asked}'


class FanoutTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(
            fixtures.MockPatchObject(
                background,
                '_threads',
                process.PerProcess(background._Threads),
            )
        )
        self.a, self.b = self.servers = [Server('a'), Server('b')]
        self.fanout = fanout.Fanout(self.servers)
        for server in self.servers:
            self.addCleanup(server.release.set)

    def ask(
        self, wait: float = LONG, question: Any = 'who', max_age: float = LONG
    ) -> list[str]:
        answers = self.fanout.ask(
            question, lambda server: server.answer(), wait, max_age
        )
        return [answer for _, answer in answers]

    def settle(self, server: Server) -> None:
        """Let a mute server answer, and wait until it has."""
        server.release.set()
        slot = self.fanout._slots[self.servers.index(server)]
        with self.fanout._changed:
            self.fanout._changed.wait_for(lambda: not slot.busy, LONG)
        self.assertFalse(slot.busy)

    def freeze(self, server: Server) -> None:
        server.release.clear()
        server.begun.clear()

    def test_every_server_answers(self) -> None:
        self.assertEqual(['a 1', 'b 1'], self.ask())
        self.assertEqual(['a 2', 'b 2'], self.ask())

    def test_one_that_is_mute_is_not_waited_for_long(self) -> None:
        self.freeze(self.b)
        self.assertEqual(['a 1'], self.ask())

    def test_and_afterwards_not_at_all(self) -> None:
        self.freeze(self.b)
        self.ask()
        self.assertEqual(['a'], self._awaited(self.fanout))
        self.assertEqual(['a 2'], self.ask())

    def _awaited(self, asked: fanout.Fanout[Server]) -> list[str]:
        return [slot.name for slot in asked._awaited()]

    def test_nor_for_another_question_that_shares_who_is_silent(self) -> None:
        silent = set[str]()
        self.fanout = fanout.Fanout(self.servers, silent)
        other = fanout.Fanout(self.servers, silent)
        self.freeze(self.b)
        self.ask()
        self.assertEqual(['a'], self._awaited(other))
        self.settle(self.b)
        self.ask()
        self.assertEqual(['a', 'b'], self._awaited(other))

    def test_one_that_fails_is_awaited_by_other_questions(self) -> None:
        silent = set[str]()
        self.fanout = fanout.Fanout(self.servers, silent)
        other = fanout.Fanout(self.servers, silent)
        self.b.error = exceptions.BackendError('b', 'a list that is too long')
        self.ask()
        self.assertEqual(['a'], self._awaited(self.fanout))
        self.assertEqual(['a', 'b'], self._awaited(other))

    def test_it_has_one_question_outstanding(self) -> None:
        self.freeze(self.b)
        for _ in range(3):
            self.ask()
        self.assertEqual(1, self.b.asked)

    def test_its_answer_is_taken_when_it_comes(self) -> None:
        self.freeze(self.b)
        self.ask()
        self.settle(self.b)
        self.assertEqual(['a 2', 'b 1'], self.ask())
        self.assertEqual(['a 3', 'b 2'], self.ask())

    def test_an_answer_that_is_too_old_is_not_taken(self) -> None:
        self.freeze(self.b)
        self.ask()
        self.settle(self.b)
        self.assertEqual('b 2', self._last(self.ask(max_age=-1.0)))

    def test_nor_one_to_another_question(self) -> None:
        self.freeze(self.b)
        self.ask()
        self.settle(self.b)
        self.assertEqual('b 2', self._last(self.ask(question='what')))

    def _last(self, answers: list[str]) -> str:
        """The second server still counts as mute: it may take two."""
        self.settle(self.b)
        return (answers if len(answers) == 2 else self.ask())[-1]

    def test_one_that_answers_is_enough(self) -> None:
        self.a.error = exceptions.BackendError('a', 'away')
        self.assertEqual(['b 1'], self.ask())

    def test_none_that_answers_is_an_error_that_says_why(self) -> None:
        for server in self.servers:
            server.error = exceptions.BackendError(server.name, 'away')
        error = self.assertRaises(exceptions.BackendError, self.ask)
        self.assertIn('away', str(error))

    def test_a_question_that_hangs_does_not_raise_the_last_error(self) -> None:
        for server in self.servers:
            server.error = exceptions.RecordDeleted('nova-compute', 'host')
        self.assertRaises(exceptions.RecordDeleted, self.ask)
        for server in self.servers:
            self.freeze(server)
        error = self.assertRaises(exceptions.BackendTimeout, self.ask, 0.01)
        self.assertIn('no answer yet', str(error))

    def test_without_a_wait_nothing_waits(self) -> None:
        for server in self.servers:
            self.freeze(server)
        self.assertRaises(exceptions.BackendTimeout, self.ask, 0.0)
        for server in self.servers:
            self.settle(server)
        self.assertEqual(['a 1', 'b 1'], self.ask(0.0))

    def test_an_unexpected_error_is_logged_and_is_no_answer(self) -> None:
        self.a.error = ValueError('odd')
        self.assertEqual(['b 1'], self.ask())
        self.assertIn('Unexpected error', self.log.output)

    def test_without_a_thread_it_fails_and_the_next_one_is_put(self) -> None:
        error = RuntimeError("can't start new thread")
        with mock.patch.object(threading.Thread, 'start', side_effect=error):
            caught = self.assertRaises(exceptions.BackendError, self.ask)
        self.assertIn("can't start new thread", str(caught))
        self.assertEqual(['a 1', 'b 1'], self.ask())

    def test_threads_are_kept(self) -> None:
        for _ in range(10):
            self.ask()
        self.assertLessEqual(len(set(self.a.threads + self.b.threads)), 2)

    def test_one_that_hangs_keeps_no_other_waiting(self) -> None:
        self.ask()
        self.freeze(self.b)
        self.assertEqual(['a 2'], self.ask())
        self.assertEqual(['a 3'], self.ask())
        self.assertNotIn(self.b.threads[-1], self.a.threads[-1:])

    def test_an_idle_thread_ends(self) -> None:
        for name in ('_MAX_IDLE', '_IDLE_WAIT'):
            with mock.patch.object(background, name, 0):
                self.ask()
                for each in self.a.threads + self.b.threads:
                    each.join(LONG)
                    self.assertFalse(each.is_alive())
