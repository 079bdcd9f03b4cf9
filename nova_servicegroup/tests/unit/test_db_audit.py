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


"""When a service looks at its own record, and what it makes of it."""

from nova_servicegroup.drivers.db import audit
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

INTERVAL = 10.0


class AuditTest(base.TestCase):
    """A heartbeat every ten seconds that is answered."""

    def setUp(self) -> None:
        super().setUp()
        self.written = 0
        self.reads = 0
        self.error: Exception | None = None
        self.set_time()
        self.audit = audit.Audit(self, 3 * INTERVAL)

    def read_heartbeat(self) -> int:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.written

    def beat(self, times: int, writes: bool = True) -> list[bool]:
        found = []
        for _ in range(times):
            self.written += writes
            found.append(self.audit.is_written())
            self.clock.advance(INTERVAL)
        return found

    def test_one_that_is_written_is_believed(self) -> None:
        self.assertEqual({True}, set(self.beat(1000)))

    def test_looks_are_few(self) -> None:
        self.beat(8640)
        self.assertLess(self.reads, 2 * 86400 / 240 + 3)

    def test_what_is_never_written_is_found_out_soon(self) -> None:
        found = self.beat(12, writes=False)
        self.assertIn(False, found)

    def test_what_is_written_no_more_is_found_out_later(self) -> None:
        self.beat(100)
        self.assertIn(False, self.beat(40, writes=False))

    def test_and_if_that_goes_on_once_for_each_time(self) -> None:
        found = self.beat(100, writes=False)
        # A look for what the record shows, and three heartbeats later one
        # for whether it still does.
        self.assertGreater(found.count(False), 15)

    def test_a_record_that_cannot_be_read_tells_nothing(self) -> None:
        self.error = exceptions.BackendError('nova-conductor', 'away')
        self.assertEqual({True}, set(self.beat(100, writes=False)))

    def test_nor_does_one_that_nova_wrote_meanwhile(self) -> None:
        self.beat(100)
        for _ in range(100):
            self.audit.note_saved()
            self.assertEqual([True], self.beat(1, writes=False))

    def test_a_record_that_is_gone_is_told(self) -> None:
        self.error = exceptions.RecordDeleted('nova-compute', 'a')
        self.clock.advance(audit.INTERVAL)
        self.assertRaises(exceptions.RecordDeleted, self.audit.is_written)
