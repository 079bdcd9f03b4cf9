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

from nova_servicegroup.drivers.db import table
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

INTERVAL = 1.0


class TableTest(base.TestCase):
    """A table of one record, which takes as long to read as it is told."""

    def setUp(self) -> None:
        super().setUp()
        self.taken = 0.0
        self.error: Exception | None = None
        self.reads = 0
        self.table = table.Table(self._read, INTERVAL, clock=self.clock)

    def _read(self) -> list[dict[str, str]]:
        self.clock.advance(self.taken)
        self.reads += 1
        if self.error is not None:
            raise self.error
        return [{'host': f'host{self.reads}'}]

    def hosts(self) -> list[str]:
        return [each['host'] for each in self.table.read()]

    def test_it_is_read_once_in_an_interval(self) -> None:
        for _ in range(3):
            self.assertEqual(['host1'], self.hosts())
        self.clock.advance(INTERVAL)
        self.assertEqual(['host2'], self.hosts())

    def test_the_longer_it_takes_the_less_often(self) -> None:
        self.taken = 0.5
        self.hosts()
        self.clock.advance(4.4)
        self.assertEqual(['host1'], self.hosts())
        self.clock.advance(0.1)
        self.assertEqual(['host2'], self.hosts())

    def test_what_cannot_be_read_stays_and_grows_old(self) -> None:
        self.hosts()
        self.error = exceptions.BackendError('table', 'away')
        self.clock.advance(7)
        self.assertEqual(['host1'], self.hosts())
        self.assertIs(self.error, self.table.error)
        self.assertEqual(7, self.table.age())
        self.error = None
        self.clock.advance(INTERVAL)
        self.assertEqual(['host3'], self.hosts())
        self.assertIsNone(self.table.error)

    def test_before_it_was_read_it_has_no_age(self) -> None:
        self.assertIsNone(self.table.age())
