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


from collections.abc import Callable
import os
import signal
import threading
from typing import Any

from nova_servicegroup import process
from nova_servicegroup.tests import base

#: Seconds that no test takes.
LONG = 60.0


class PerProcessTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.objects = process.PerProcess(object)

    def test_one_object_made_at_first_use(self) -> None:
        self.assertIsNone(self.objects.peek())
        made = self.objects.get()
        self.assertIs(made, self.objects.get())
        self.assertIs(made, self.objects.peek())

    def test_a_forked_child_makes_its_own(self) -> None:
        made = self.objects.get()
        child = os.fork()
        if not child:
            fresh = self.objects.peek() is None
            os._exit(0 if fresh and self.objects.get() is not made else 1)
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        self.assertIs(made, self.objects.get())


class WaitTest(base.TestCase):
    def test_a_signal_that_another_thread_receives_is_handled(self) -> None:
        ended, late, done = (threading.Event() for _ in range(3))
        before = signal.signal(signal.SIGUSR1, lambda *_: ended.set())
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        other = threading.Thread(target=done.wait, args=(LONG,), daemon=True)
        other.start()
        self.addCleanup(done.set)

        def give_up() -> None:
            late.set()
            ended.set()

        self.later(0.1, signal.pthread_kill, other.ident, signal.SIGUSR1)
        self.later(10.0, give_up)
        process.wait(ended)
        self.assertFalse(late.is_set())

    def later(
        self, after: float, call: Callable[..., Any], *args: Any
    ) -> None:
        timer = threading.Timer(after, call, args)
        timer.daemon = True
        timer.start()
        self.addCleanup(timer.cancel)
