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


"""Heartbeats that ask for no answer, when all of them are lost.

The real route of a service runs, and the collectors end at any moment of it:
the record must still be written in time.
"""

import contextlib
import itertools
import math
import random
from typing import Any

import fixtures

from nova_servicegroup.drivers.db import messages
from nova_servicegroup.drivers.db import relay
from nova_servicegroup.drivers.db import routes
from nova_servicegroup.drivers.db import rules
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

#: Seconds for which a collector collects a batch.
GATHER = 1.0
#: report_interval and service_down_time.
OPTIONS = (
    (10, 60),
    (5, 60),
    (10, 45),
    (10, 40),
    (10, 30),
    (20, 60),
    (15, 60),
    (5, 20),
    (2, 15),
    (2, 12),
    (10, 300),
)
LATE = exceptions.BackendTimeout('collector', 'late')
AWAY = exceptions.BackendUnreachable('collector', 'away')


class Service(base.FakeService):
    """A service that notes when its record is written.

    :ivar wrote: when it was last written, in whole seconds as in the record
    :ivar gaps: the seconds between two writes
    :ivar save_time: the seconds that Nova takes to write
    :ivar lost: the number of Nova's next writes that fail
    """

    def __init__(self, interval: float, clock: base.Clock) -> None:
        super().__init__(interval)
        self.clock = clock
        self.wrote = clock()
        self.gaps: list[float] = []
        self.save_time = 0.05
        self.lost = 0

    def transport(self) -> Any:
        return 'a transport'

    def write(self, after: float = 0.0) -> None:
        """Write the record, in so many seconds from now."""
        now = self.clock() + after
        self.gaps.append(now - self.wrote)
        self.wrote = math.floor(now)

    def save_heartbeat(self) -> None:
        if self.lost:
            self.lost -= 1
            self.clock.advance(0.4 * self.report_interval)
            raise exceptions.BackendTimeout('nova-conductor', 'late')
        self.clock.advance(self.save_time)
        self.write()
        super().save_heartbeat()


class Queue:
    """A client whose collectors end at some time, though their queue remains.

    :ivar lost_at: when the collectors end
    :ivar paused: the seconds by which the clocks of the service are slow
        since its machine was paused with them; None: it knows the right time
    :ivar error: the error of each message from then on, if any
    """

    knows_time = True
    behind = False

    def __init__(self, service: Service) -> None:
        self.service = service
        self.clock = service.clock
        self.lost_at = math.inf
        self.paused: float | None = None
        self.error: Exception | None = None
        self.calls = self.casts = 0

    def beat(self, record: int, timeout: float) -> bool:
        self.calls += 1
        if self.clock() >= self.lost_at:
            if not isinstance(self.error, exceptions.BackendUnreachable):
                self.clock.advance(timeout)
            raise self.error or LATE
        # The answer has the right time, and the heartbeat is sent again.
        self.paused = None
        self.service.write(GATHER)
        self.clock.advance(GATHER)
        return True

    def send(self, record: int, timeout: float) -> None:
        self.casts += 1
        if self.clock() < self.lost_at:
            if (self.paused or 0.0) <= messages.MAX_AGE:
                self.service.write(GATHER)
        elif self.error is not None:
            raise self.error


class SilenceTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set_time()
        self.chance = random.Random(1)
        self.useFixture(
            fixtures.MockPatchObject(routes, 'random', self.chance)
        )

    def make(self, interval: float, down_time: float) -> None:
        self.service = Service(interval, self.clock)
        self.queue = Queue(self.service)
        self.useFixture(
            fixtures.MockPatchObject(relay, 'Client', lambda _: self.queue)
        )
        self.route = routes.choose(self.service, 'a', down_time)

    def beat_until(self, end: float) -> None:
        """Fire the timer of the service, a little late each time."""
        while (begun := self.clock()) < end:
            with contextlib.suppress(exceptions.BackendError):
                self.route.beat()
            late = self.chance.uniform(0, 0.05)
            due = begun + self.service.report_interval
            self.clock.now = max(self.clock(), due) + late

    def longest_gap(
        self, interval: float, down_time: float, lost_after: float
    ) -> float:
        self.make(interval, down_time)
        begun = self.clock()
        self.beat_until(begun + 4 * down_time)
        self.queue.lost_at = self.clock() + lost_after
        self.service.gaps.clear()
        self.beat_until(self.queue.lost_at + 4 * down_time)
        return max(self.service.gaps)

    def test_the_record_is_written_in_time_if_all_are_lost(self) -> None:
        for interval, down_time in OPTIONS:
            for number in range(60):
                after = number / 60 * down_time
                gap = self.longest_gap(interval, down_time, after)
                self.assertLess(gap, down_time, (interval, down_time, after))

    def test_the_record_is_written_in_time_after_a_pause(self) -> None:
        """Its heartbeats seem too old until one asks for an answer."""
        for pause in (5.0, 12.0, 20.0):
            for number in range(60):
                self.make(10, 60)
                self.beat_until(self.clock() + 240 + number)
                self.queue.paused = pause
                self.service.gaps.clear()
                self.clock.advance(pause)
                self.beat_until(self.clock() + 120)
                self.assertLess(max(self.service.gaps), 60, (pause, number))

    def test_the_record_is_written_in_time_by_a_slow_nova(self) -> None:
        for (interval, down_time), seed in itertools.product(
            OPTIONS, range(6)
        ):
            self.chance.seed(seed)
            save = 2 * max(1.0, 0.2 * interval)
            for number in range(0, 60, 4):
                self.make(interval, down_time)
                self.service.save_time = save
                self.beat_until(self.clock() + 4 * down_time)
                after = number / 60 * down_time
                self.queue.lost_at = self.clock() + after
                self.service.gaps.clear()
                while not self.service.saved:
                    self.beat_until(self.clock() + 0.1)
                gap = max(self.service.gaps)
                if rules.Timing(interval, down_time).silence:
                    self.assertLess(gap, down_time, (interval, down_time))

    def nova_writes(
        self, interval: float, down_time: float, after: float
    ) -> None:
        """Have Nova write all heartbeats, in place of collectors."""
        self.make(interval, down_time)
        self.queue.lost_at = self.clock()
        self.beat_until(self.clock() + 6 * down_time + after)
        self.service.gaps.clear()

    def test_the_record_is_written_in_time_if_nova_fails_once(self) -> None:
        """As a nova-conductor does that is killed."""
        for interval, down_time in OPTIONS:
            if down_time < 3 * interval:
                continue
            for number in range(20):
                self.nova_writes(interval, down_time, number / 20 * interval)
                self.service.lost = 1
                self.beat_until(self.clock() + 4 * down_time)
                gap = max(self.service.gaps)
                self.assertLess(gap, down_time, (interval, down_time))

    def test_nova_goes_on_when_the_queue_is_back(self) -> None:
        for outage in (1.0, 5.0, 12.0, 25.0):
            for number in range(20):
                self.nova_writes(10, 60, number / 2)
                self.queue.error = AWAY
                self.beat_until(self.clock() + outage)
                self.queue.error = None
                self.beat_until(self.clock() + 240)
                gap = max(self.service.gaps)
                self.assertLess(gap, outage + 30, (outage, number))

    def test_the_share_that_asks_is_small(self) -> None:
        for interval, down_time, most in (
            (10, 60, 0.34),
            (5, 60, 0.17),
            (10, 45, 0.51),
            (10, 40, 1.0),
            (10, 30, 1.0),
        ):
            self.make(interval, down_time)
            self.beat_until(self.clock() + 100 * down_time)
            calls, casts = self.queue.calls, self.queue.casts
            self.assertLessEqual(calls / (calls + casts), most)
            self.assertEqual(0, self.service.saved)

    def test_refused_heartbeats_are_written_by_nova_at_once(self) -> None:
        for number in range(60):
            self.make(10, 60)
            self.beat_until(self.clock() + 120)
            self.queue.lost_at = self.clock() + number
            self.queue.error = exceptions.BackendError('collector', 'none')
            self.service.gaps.clear()
            self.beat_until(self.queue.lost_at + 200)
            # At most, the first one waits for an answer before that.
            self.assertLess(max(self.service.gaps), 20.0)

    def test_nova_does_not_write_while_the_queue_is_unreachable(self) -> None:
        self.make(10, 60)
        self.beat_until(self.clock() + 120)
        self.queue.lost_at = self.clock()
        self.queue.error = AWAY
        self.beat_until(self.clock() + 250)
        self.assertEqual(0, self.service.saved)
        self.queue.lost_at = math.inf
        calls = self.queue.calls
        self.beat_until(self.clock() + 1)
        # The first heartbeat that arrives asks for an answer.
        self.assertEqual(calls + 1, self.queue.calls)

    def test_without_the_databases_time_all_ask(self) -> None:
        self.make(10, 60)
        self.queue.knows_time = False
        self.beat_until(self.clock() + 600)
        self.assertEqual(0, self.queue.casts)
        self.assertEqual(0, self.service.saved)

    def test_a_collector_that_is_behind_is_asked_each_time(self) -> None:
        self.make(10, 60)
        self.queue.behind = True
        self.beat_until(self.clock() + 600)
        self.assertEqual(0, self.queue.casts)
