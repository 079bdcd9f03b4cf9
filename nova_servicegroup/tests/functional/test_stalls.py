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

"""The log of times in which the machine has stood still."""

import os
import pathlib
import sys
import time
from unittest import mock

from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import stalls


class StallsTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.file = pathlib.Path(self.create_tempfiles([('noted', '')])[0])
        named = mock.patch.dict(os.environ, {stalls.FILE: str(self.file)})
        named.start()
        self.addCleanup(named.stop)

    def test_one_that_is_late_takes_note(self) -> None:
        started = process.Process(
            [sys.executable, stalls.__file__, str(self.file)],
            self.file.parent / 'stalls',
        )
        begun = time.monotonic()
        self.addCleanup(started.kill)
        started.start()
        # It is not to take its own start for a standstill.
        time.sleep(1.0)
        before = stalls.stood_still(begun)
        started.freeze()
        time.sleep(1.0)
        started.thaw()
        process.wait_until(lambda: stalls.stood_still(begun) > before, 10)
        self.assertGreater(stalls.stood_still(begun) - before, 0.7)
        self.assertEqual(0.0, stalls.stood_still(time.monotonic()))

    def test_no_bound_counts_a_standstill(self) -> None:
        self.assertRaises(AssertionError, self.assert_within, 3.0, 2.0)
        self.file.write_text(f'{time.monotonic() + 1} 1.5\n')
        self.assert_within(3.0, 2.0)
        self.assertRaises(AssertionError, self.assert_within, 4.0, 2.0)

    def test_a_wait_goes_on_after_one(self) -> None:
        self.file.write_text(f'{time.monotonic() + 1} 0.2\n')
        begun = time.monotonic()
        self.assertRaises(TimeoutError, process.wait_until, lambda: False, 0.1)
        self.assertGreater(time.monotonic() - begun, 0.3)
