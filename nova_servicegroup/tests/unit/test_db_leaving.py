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


"""Leaving: by the last worker of a service, and by each route."""

from collections.abc import Callable
import datetime
import os
import threading
from typing import Any

import fixtures

from nova_servicegroup.drivers.db import registration
from nova_servicegroup.drivers.db import routes
from nova_servicegroup import exceptions
from nova_servicegroup import services
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import services_table

MEMBER = 'a', 'compute'
LONG = 20.0


class Worker:
    """A process that joins, and leaves when a test wants it."""

    def __init__(self, workers: registration.Workers) -> None:
        self._commands, commanding = os.pipe()
        answers, self._answering = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                self._run(workers)
            finally:
                os._exit(1)
        self._commanding, self._answers = commanding, answers
        self._read()

    def _run(self, workers: registration.Workers) -> None:
        workers.enter(*MEMBER)
        os.write(self._answering, b'?')
        os.read(self._commands, 1)
        os.write(self._answering, b'1' if workers.leave(*MEMBER) else b'0')
        os.read(self._commands, 1)

    def _read(self) -> bytes:
        return os.read(self._answers, 1)

    def leave(self) -> bool:
        """Make it leave; return whether it was the last."""
        os.write(self._commanding, b'.')
        return self._read() == b'1'

    def kill(self) -> None:
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        for each in (
            self._commands,
            self._commanding,
            self._answering,
            self._answers,
        ):
            os.close(each)


class WorkersTest(base.TestCase):
    """Workers that were forked from one process."""

    def setUp(self) -> None:
        super().setUp()
        self.workers = registration.Workers()

    def fork(self) -> Worker:
        made = Worker(self.workers)
        self.addCleanup(made.kill)
        return made

    def test_a_single_worker_is_the_last(self) -> None:
        self.workers.enter(*MEMBER)
        self.assertTrue(self.workers.leave(*MEMBER))
        self.workers.enter(*MEMBER)
        self.assertTrue(self.workers.leave(*MEMBER))

    def test_the_last_of_several_workers_knows_it(self) -> None:
        several = [self.fork() for _ in range(3)]
        self.assertEqual(
            [False, False, True], [each.leave() for each in several]
        )

    def test_a_dead_worker_does_not_count(self) -> None:
        dead, alive = Worker(self.workers), self.fork()
        dead.kill()
        self.assertTrue(alive.leave())

    def test_a_worker_of_another_member_does_not_count(self) -> None:
        self.fork()
        self.workers.enter('a', 'scheduler')
        self.assertTrue(self.workers.leave('a', 'scheduler'))
        self.workers.enter('b', 'compute')
        self.assertTrue(self.workers.leave('b', 'compute'))

    def test_a_worker_of_another_service_does_not_count(self) -> None:
        self.fork()
        other = registration.Workers()
        other.enter(*MEMBER)
        self.assertTrue(other.leave(*MEMBER))


class RecordedService(base.FakeService):
    """A service whose record Nova keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 0
        self.leaves: Callable[[], None] = lambda: None

    def save_departure(self) -> None:
        self.leaves()
        self.left += 1


class DepartureTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.service = RecordedService()
        self.workers = registration.Workers()

    def make(
        self, workers: registration.Workers | None = None
    ) -> registration.Departure:
        route = routes.choose(self.service, 'Member a', 60.0)
        made = registration.Departure(
            'Member a', MEMBER, route, workers or self.workers
        )
        made.enter()
        return made

    def test_nova_writes_it_for_a_service_without_a_database(self) -> None:
        self.make().leave()
        self.assertEqual(1, self.service.left)

    def test_it_is_not_written_while_another_worker_remains(self) -> None:
        made = self.make()
        other = Worker(self.workers)
        self.addCleanup(other.kill)
        made.leave()
        self.assertEqual(0, self.service.left)

    def test_a_service_without_save_departure_may_leave(self) -> None:
        self.service = base.FakeService()  # type: ignore[assignment]
        self.make().leave()

    def test_leaving_is_bounded_in_time(self) -> None:
        self.useFixture(fixtures.MockPatchObject(registration, '_LEAVE', 0.01))
        release = threading.Event()
        self.addCleanup(release.set)
        self.service.leaves = lambda: release.wait(LONG) and None
        self.assertRaises(exceptions.BackendTimeout, self.make().leave)

    def test_a_service_with_a_database_updates_its_record(self) -> None:
        made = self.useFixture(services_table.InMemory())
        self.service.database, table = made.engine, made.table
        self.service.record_id, other = table.add(2)
        before = table.get(other)
        self.make().leave()
        row = table.get(self.service.record_id)
        self.assertEqual(services.LEFT, _seconds(row))
        self.assertTrue(services.has_left(_seconds(row)))
        self.assertEqual(7, row['report_count'])
        self.assertEqual(before, table.get(other))
        self.assertFalse(services.has_left(_seconds(before)))


def _seconds(row: dict[str, Any]) -> float:
    """Return the time of the last heartbeat since the epoch."""
    seen = row['last_seen_up'].replace(tzinfo=datetime.timezone.utc)
    return float(seen.timestamp())
