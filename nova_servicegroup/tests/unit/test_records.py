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

"""Reading the services table in the background."""

from collections.abc import Callable
from concurrent import futures
import os
import threading
from typing import Any

from nova_servicegroup.drivers import record_cache
from nova_servicegroup import exceptions
from nova_servicegroup import services
from nova_servicegroup.tests import base

LONG = 60.0


class Owner:
    """Has a table."""

    def __init__(self, table: services.Table) -> None:
        self.table = table


def records_of(read: Callable[[str], list[Any]]) -> record_cache.Records:
    """Return the records that read returns, or raises why not."""
    return record_cache.Records(Owner(base.Table(read)))


class RecordsTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.gate = threading.Event()
        self.addCleanup(self.gate.set)

    def read_late(self, group: str) -> list[Any]:
        self.gate.wait(LONG)
        return [group]

    def test_records_are_read(self) -> None:
        records = records_of(lambda group: [group])
        self.assertEqual(['compute'], records.read('compute', LONG))

    def test_errors_are_raised(self) -> None:
        def read(group: str) -> list[Any]:
            raise exceptions.BackendError('services table', 'is away')

        error = self.assertRaises(
            exceptions.BackendError,
            records_of(read).read,
            'compute',
            LONG,
        )
        self.assertIn('is away', str(error))

    def test_a_database_that_hangs_is_awaited_once(self) -> None:
        records = records_of(self.read_late)
        for _ in range(100):
            self.assertRaises(
                exceptions.BackendTimeout, records.read, 'compute', 0.1
            )
        slot = records._reads.get()['compute']._slot
        self.assertLess(slot.outstanding, 5)

    def test_a_late_answer_is_used(self) -> None:
        records = records_of(self.read_late)
        self.assertRaises(
            exceptions.BackendTimeout, records.read, 'compute', 0.0
        )
        self.gate.set()
        slot = records._reads.get()['compute']._slot
        while slot.busy:
            os.sched_yield()
        self.assertEqual(['compute'], records.read('compute', 0.0))

    def test_several_threads_may_ask_at_once(self) -> None:
        together = threading.Barrier(4)
        records = records_of(lambda group: [group])

        def ask(group: str) -> list[Any]:
            together.wait(LONG)
            return records.read(group, LONG)

        asked = 2 * ['compute', 'conductor']
        with futures.ThreadPoolExecutor(len(asked)) as pool:
            for _ in range(20):
                found = pool.map(ask, asked)
                self.assertEqual([[each] for each in asked], list(found))
