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


"""Checks of a service that collectors write its record."""

from nova_servicegroup.drivers.db import audit
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

INTERVAL = 10.0


class AuditTest(base.TestCase):
    """A service with an answered heartbeat every ten seconds."""

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

    def test_a_written_record_is_believed(self) -> None:
        self.assertEqual({True}, set(self.beat(1000)))

    def test_the_record_is_read_seldom(self) -> None:
        self.beat(8640)
        self.assertLess(self.reads, 2 * 86400 / 240 + 3)

    def test_a_record_that_is_never_written_is_found_soon(self) -> None:
        found = self.beat(12, writes=False)
        self.assertIn(False, found)

    def test_a_record_that_is_no_longer_written_is_found_later(self) -> None:
        self.beat(100)
        self.assertIn(False, self.beat(50, writes=False))

    def test_each_check_finds_that_nothing_is_written(self) -> None:
        found = self.beat(100, writes=False)
        # A check takes two reads, with three heartbeats between them.
        self.assertGreater(found.count(False), 15)

    def test_a_record_that_cannot_be_read_proves_nothing(self) -> None:
        self.error = exceptions.BackendError('nova-conductor', 'away')
        self.assertEqual({True}, set(self.beat(100, writes=False)))

    def test_a_record_that_nova_wrote_meanwhile_proves_nothing(self) -> None:
        self.beat(100)
        for _ in range(100):
            self.audit.note_saved()
            self.assertEqual([True], self.beat(1, writes=False))

    def test_a_record_that_is_gone_is_an_error(self) -> None:
        self.error = exceptions.RecordDeleted('nova-compute', 'a')
        self.clock.advance(audit.INTERVAL)
        self.assertRaises(exceptions.RecordDeleted, self.audit.is_written)
