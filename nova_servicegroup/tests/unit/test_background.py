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

import fixtures

from nova_servicegroup import background
from nova_servicegroup import exceptions
from nova_servicegroup import process
from nova_servicegroup.tests import base

LONG = 20.0


class OneAtATimeTest(base.TestCase):
    """A call that may hang, while time passes."""

    def setUp(self) -> None:
        super().setUp()
        self.calls = 0
        self.begun = threading.Event()
        self.release = threading.Event()
        self.release.set()
        self.addCleanup(self.release.set)
        self.error: Exception | None = None
        self.waits: list[float] = []
        self.set_time()
        self.one = self.make()

    def make(
        self, max_age: float = 0.0, **options: Any
    ) -> background.OneAtATime[int]:
        one = background.OneAtATime('a', self.call, max_age, **options)
        wait_for = one._changed.wait_for

        def note(predicate: Any, wait: float) -> Any:
            self.waits.append(wait)
            # Who is released answers; else nobody waits in earnest.
            return wait_for(predicate, LONG if self.release.is_set() else 0.0)

        self.useFixture(
            fixtures.MockPatchObject(one._changed, 'wait_for', note)
        )
        return one

    def call(self) -> int:
        self.calls += 1
        self.begun.set()
        self.release.wait(LONG)
        if self.error is not None:
            raise self.error
        return self.calls

    def hang(self) -> None:
        """Ask, and get no answer in 2 s."""
        self.release.clear()
        self.begun.clear()
        error = self.assertRaises(exceptions.BackendTimeout, self.one.ask, 2.0)
        self.assertIn('no answer yet', str(error))
        self.assertTrue(self.begun.wait(LONG))
        self.clock.advance(2.0)

    def finish(self) -> None:
        """Let a call end that no question waits for."""
        slot, changed = self.one._slot, self.one._changed
        self.release.set()
        with changed:
            changed.wait_for(lambda: not slot.busy, LONG)
        self.assertFalse(slot.busy)
        self.waits.clear()

    def test_each_question_makes_a_call(self) -> None:
        self.assertEqual([1, 2], [self.one.ask(2.0), self.one.ask(2.0)])

    def test_an_error_of_the_call_is_raised(self) -> None:
        self.error = exceptions.RecordDeleted('nova-compute', 'a')
        caught = self.assertRaises(exceptions.RecordDeleted, self.one.ask, 2.0)
        self.assertIs(self.error, caught)
        self.error = None
        self.assertEqual(2, self.one.ask(2.0))

    def test_one_that_hangs_is_not_repeated_and_awaited_once(self) -> None:
        self.hang()
        for _ in range(3):
            self.assertRaises(exceptions.BackendTimeout, self.one.ask, 2.0)
        self.assertEqual([2.0, 0.0, 0.0, 0.0], self.waits)
        self.assertEqual(1, self.calls)

    def test_what_is_left_of_the_time_is_waited(self) -> None:
        self.hang()
        self.assertRaises(exceptions.BackendTimeout, self.one.ask, 5.0)
        self.assertEqual([2.0, 3.0], self.waits)

    def test_or_the_whole_time_again_if_wanted(self) -> None:
        self.one = self.make(waits_again=True)
        self.hang()
        self.assertRaises(exceptions.BackendTimeout, self.one.ask, 2.0)
        self.assertEqual([2.0, 2.0], self.waits)
        self.assertEqual(1, self.calls)

    def test_after_a_standstill_it_has_a_moment(self) -> None:
        self.useFixture(
            fixtures.MockPatchObject(process, 'handler', lambda: 'eventlet')
        )
        self.hang()
        self.clock.advance(60.0)
        self.release.set()
        self.assertEqual(1, self.one.ask(2.0))
        self.assertEqual([2.0, process.blind_wait()], self.waits)

    def test_an_answer_that_comes_late_is_taken_while_it_is_young(
        self,
    ) -> None:
        self.one = self.make(max_age=60.0)
        for age, answer in ((60.0, 1), (60.1, 3)):
            self.hang()
            self.finish()
            self.clock.advance(age - 2.0)
            self.assertEqual(answer, self.one.ask(0.0))

    def test_threads_ask_one_after_the_other(self) -> None:
        self.one._lock.acquire()
        self.assertRaises(exceptions.BackendTimeout, self.one.ask, 0.0)
        self.one._lock.release()
        self.assertEqual(1, self.one.ask(0.0))
