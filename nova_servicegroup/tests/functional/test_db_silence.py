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


"""Heartbeats that ask for no answer, through a real RabbitMQ and MariaDB."""

import contextlib
import time
from typing import Any

import fixtures

from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import routes
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import test_db_collector
from nova_servicegroup.tests.harness import process

TIMEOUT = 10.0
#: Seconds in which a heartbeat is written that nobody awaits.
SOON = 5.0


class Service(base.FakeService):
    """A service without a database, for which Nova can write, too."""

    def __init__(self, transport: Any, record: int, keeper: Any) -> None:
        super().__init__(1)
        self.record_id = record
        self._transport = transport
        self._keeper = keeper

    def transport(self) -> Any:
        return self._transport

    def save_heartbeat(self) -> None:
        self._keeper.beat([self.record_id])
        super().save_heartbeat()


class SilenceTest(test_db_collector.Collected):
    def setUp(self) -> None:
        super().setUp()
        (self.record,) = self.table.add(1)

    def make_service(self) -> Service:
        return Service(self.make_transport(), self.record, self.make_store())

    def make_client(self, timeout: float = TIMEOUT) -> Any:
        """Return a client that knows the database's time."""
        client = relay.Client(self.make_transport())
        self.assertTrue(client.beat(self.record, timeout))
        self.assertTrue(client.knows_time)
        return client

    def count(self) -> int:
        """Return how often a heartbeat was written."""
        return int(self.table.get(self.record)['report_count'])

    def wait_written(self, count: int) -> None:
        process.wait_until(
            lambda: self.count() == count, SOON, 0.1, 'it is not written'
        )

    def test_one_that_is_not_answered_is_one_message(self) -> None:
        self.make_collector(gather=0.2)
        chance = fixtures.MockPatchObject(routes.random, 'random', lambda: 1.0)
        self.useFixture(chance)
        route = routes.choose(self.make_service(), 'a', 60.0)
        self.connect(route)
        begun, count = self.queue.received(), self.count()
        for number in range(20):
            route.beat()
            self.wait_written(count + number + 1)
        # Asking RabbitMQ takes seconds on a busy machine.
        self.assert_fresh(self.record)
        self.assertEqual(20, self.queue.received() - begun)

    def test_it_is_written_like_any_other(self) -> None:
        self.make_collector(gather=0.2)
        client, count = self.make_client(), self.count()
        for _ in range(10):
            client.send(self.record, TIMEOUT)
        process.wait_until(lambda: self.count() > count, SOON, 0.1)
        self.assert_fresh(self.record)

    def test_where_nobody_listens_it_is_refused_at_once(self) -> None:
        self.stop(self._collector_of_one())
        self.delete_queue()
        begun = time.monotonic()
        error = self.assertRaises(
            exceptions.BackendError, self.client.send, self.record, TIMEOUT
        )
        self.assertIs(exceptions.BackendError, type(error))
        self.assert_within(time.monotonic() - begun, 1.0)

    def _collector_of_one(self) -> Any:
        """Return a collector; a client has heard of it."""
        made = self.make_collector(gather=0.2)
        self.client = self.make_client()
        return made

    def test_where_nobody_reads_it_expires(self) -> None:
        self.stop(self._collector_of_one())
        count = self.count()
        self.client.send(self.record, 2.0)
        self.assertEqual(1, self.waiting())
        process.wait_until(lambda: self.waiting() == 0, SOON, 0.2)
        self.make_collector(gather=0.2)
        time.sleep(1.0)
        self.assertEqual(count, self.count())

    def test_one_that_was_stuck_for_long_is_not_written(self) -> None:
        frozen = self.start_collector()
        client, (live,) = self.make_client(), self.table.add(1)
        count = self.count()
        frozen.freeze()
        client.send(self.record, 60.0)
        time.sleep(messages.MAX_AGE + 2.0)
        frozen.thaw()
        other = relay.Client(self.make_transport())
        self.assertTrue(other.beat(live, TIMEOUT))
        self.assertEqual(count, self.count())

    def test_a_queue_that_is_mute_does_not_hold_it_for_long(self) -> None:
        self._collector_of_one()
        self.queue.freeze()
        begun = time.monotonic()
        self.assertRaises(
            exceptions.BackendUnreachable, self.client.send, self.record, 2.0
        )
        self.assert_within(time.monotonic() - begun, 8.0)

    @base.only_long
    def test_collectors_that_are_killed_leave_nobody_down(self) -> None:
        down_time = 20.0
        collector = self.start_collector()
        service = self.make_service()
        service.report_interval = 2
        route = routes.choose(service, 'a', down_time)
        self.connect(route)
        oldest, begun = 0.0, time.monotonic()
        while time.monotonic() - begun < 5 * down_time:
            if time.monotonic() - begun > 1.4 * down_time:
                collector.kill()
            due = time.monotonic() + service.report_interval
            beating = self.in_background(self._beat, route)
            while time.monotonic() < due or not beating.done():
                oldest = max(oldest, self.table.ages([self.record])[0])
                time.sleep(0.1)
        self.measured('the oldest heartbeat', oldest)
        self.assertGreater(service.saved, 1)
        # The ages are in whole seconds, like the heartbeats.
        self.assert_within(oldest, down_time)

    def connect(self, route: routes.Route) -> None:
        """Beat until a collector answers: a busy machine may need long."""
        process.wait_until(
            lambda: self._beat(route), TIMEOUT, 0.1, 'a collector answers'
        )

    def _beat(self, route: routes.Route) -> bool:
        """Beat once; return whether the heartbeat was written or sent."""
        with contextlib.suppress(exceptions.BackendError):
            route.beat()
            return True
        return False
