# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.
"""The base class of the drivers whose backend keeps the memberships."""

from collections.abc import Callable
import datetime
import os
import time
import types
from typing import Any

from nova_servicegroup import condition
from nova_servicegroup import dates
from nova_servicegroup.drivers.common import coordinated
from nova_servicegroup.drivers import views
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup import pace
from nova_servicegroup.tests import base

REFRESH_INTERVAL = 0.5


class FakeReader(observer.Source):
    """Reads a group with one member, and records the reading process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.read_in: list[int] = []
        self.unfit: dict[str, condition.Condition] = {}
        self.members = {'host1'}
        self.error: exceptions.BackendError | None = None
        self.observer = observer.Observer(
            'Group compute',
            self,
            membership.Membership(clock(), hold_time=60.0),
            refresh_interval=REFRESH_INTERVAL,
            patience=pace.Patience(1.0),
            background=False,
            clock=clock,
        )

    def read(self, wait: float) -> evidence.Reading:
        self.read_in.append(os.getpid())
        if self.error is not None:
            raise self.error
        return evidence.Reading(self.members, unfit=self.unfit)


class FakeBackend:
    """Makes readers, and stores them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.readers: list[FakeReader] = []
        self._clock = clock

    def reader(self, group: str) -> FakeReader:
        self.readers.append(FakeReader(self._clock))
        return self.readers[-1]


class Driver(coordinated.CoordinatedDriver):
    """A driver that only reads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.backends: list[FakeBackend] = []
        self._clock = clock
        super().__init__(
            None,
            types.SimpleNamespace(
                addresses=[], found_within=0.0, kept_for=0.0
            ),
        )

    def _register(self, host: str, group: str) -> Any:
        raise NotImplementedError

    def _connect(self) -> FakeBackend:
        self.backends.append(FakeBackend(self._clock))
        return self.backends[-1]


def ref(host: Any, topic: Any = 'compute') -> dict[str, Any]:
    return {'host': host, 'topic': topic, 'binary': 'nova-compute'}


def _aware(naive: datetime.datetime) -> datetime.datetime:
    return naive.replace(tzinfo=datetime.timezone.utc)


class IsUpTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.driver = Driver()

    def is_up(self, host: str = 'host1', group: str = 'compute') -> bool:
        return self.driver.is_up({'host': host, 'topic': group})

    def test_one_reader_for_each_group_made_at_the_first_question(
        self,
    ) -> None:
        self.assertEqual([], self.driver.backends)
        for _ in range(3):
            self.assertTrue(self.is_up())
            self.assertFalse(self.is_up('host2'))
            self.assertTrue(self.is_up(group='conductor'))
        self.assertEqual(2, len(self.driver.backends[0].readers))
        for reader in self.driver.backends[0].readers:
            self.assertEqual(1, len(reader.read_in))

    def publish(self, *hosts: str, state: str = condition.DEGRADED) -> None:
        """Make hosts unfit from now on."""
        self.driver = Driver(self.clock)
        self.is_up()
        reader = self.driver.backends[0].readers[0]
        found = condition.Condition(state, 'rpc', 5.0)
        reader.unfit = dict.fromkeys(hosts, found)
        # It counts after some seconds.
        self.clock.advance(5.0)

    def test_an_unfit_host_is_up(self) -> None:
        self.publish('host1')
        self.assertTrue(self.is_up())

    def test_an_unfit_host_is_down_where_those_are_passed_over(self) -> None:
        self.publish('host1')
        self.driver.passes_over_unfit = True
        for host in ('host1', 'HOST1', 'host2'):
            for _ in range(2):
                self.assertIs(False, self.is_up(host))
        self.assertTrue(self.is_up(group='conductor'))

    def test_other_hosts_are_not_passed_over(self) -> None:
        self.publish('host2')
        self.driver.passes_over_unfit = True
        self.assertTrue(self.is_up())

    def test_the_view_has_the_condition_in_every_process(self) -> None:
        for state in (condition.DEGRADED, condition.DRAINING):
            self.publish('host1', state=state)
            self.driver.passes_over_unfit = True
            seen = self.driver.backends[0].readers[0].observer
            (member,) = views.view_of(seen, 'compute', lambda _: ()).members
            self.assertTrue(member.up)
            self.assertEqual(state, member.state)
            self.assertEqual((state, 'rpc', 5.0), member.condition)
            self.assertIn('rpc', member.reason)

    def test_the_view_names_ignored_checks(self) -> None:
        self.publish('host1', 'host2', 'host3')
        self.is_up()
        seen = self.driver.backends[0].readers[0].observer
        view = views.view_of(seen, 'compute', lambda _: ())
        self.assertEqual(('rpc',), view.ignored)
        self.assertEqual({'up'}, {each.state for each in view.members})

    def test_the_states_held_and_down_take_precedence(self) -> None:
        found = condition.Condition(condition.DEGRADED, 'rpc', 5.0)
        for up, held, state in (
            (True, False, 'degraded'),
            (True, True, 'held'),
            (False, False, 'down'),
        ):
            member = views.Member('a', 'b', up, held, condition=found)
            self.assertEqual(state, member.state)

    def test_a_group_of_a_record_without_topic(self) -> None:
        record = {'host': 'host1', 'topic': None, 'binary': 'nova-compute'}
        self.assertTrue(self.driver.is_up(record))

    def test_is_up_never_raises(self) -> None:
        for host in (None, '', 5, '\udc80', 'x' * 5000, b'host1'):
            self.assertIs(False, self.driver.is_up(ref(host)), ascii(host))
        for record in ({}, {'host': 'a'}, {'topic': 'compute'}, ref('a', [])):
            self.assertIs(False, self.driver.is_up(record), record)

    def test_an_error_is_no_evidence(self) -> None:
        self.driver._reading.get = lambda: 1 // 0
        self.assertTrue(self.is_up())
        self.assertIn('ZeroDivisionError', self.log.output)

    def test_the_last_proof_of_a_present_member_is_now(self) -> None:
        proof = self.driver.updated_time(
            {**ref('HOST1'), 'updated_at': datetime.datetime(2020, 1, 1)}
        )
        age = dates.time_ago(0.0) - proof
        self.assertLess(age.total_seconds(), 10)

    def test_others_have_the_update_of_the_record_unchanged(self) -> None:
        naive = datetime.datetime(2020, 1, 1)
        for updated in (None, naive, _aware(naive), '2020-01-01', 'some day'):
            record = {**ref('host2'), 'updated_at': updated}
            self.assertIs(updated, self.driver.updated_time(record))

    def test_a_newer_update_of_the_record_is_unchanged(self) -> None:
        naive = datetime.datetime(2120, 1, 1)
        for updated in (naive, _aware(naive), naive.isoformat()):
            record = {**ref('host1'), 'updated_at': updated}
            self.assertIs(updated, self.driver.updated_time(record))

    def test_the_proof_is_aware_whatever_the_record_has(self) -> None:
        naive = datetime.datetime(2020, 1, 1)
        for updated in (None, '', naive, _aware(naive), naive.isoformat()):
            record = {**ref('host1'), 'updated_at': updated}
            proof = self.driver.updated_time(record)
            self.assertIs(datetime.timezone.utc, proof.tzinfo, repr(updated))

    def test_errors_of_a_record_reach_the_caller(self) -> None:
        for record in ({}, {'host': 'host1'}, ref('host1'), ref('host2')):
            self.assertRaises(KeyError, self.driver.updated_time, record)

    def updated(self, host: str) -> datetime.datetime | None:
        return self.driver.updated_time({**ref(host), 'updated_at': None})

    def ago(self, host: str) -> float:
        """Return how many seconds ago a host was updated."""
        self.driver._dates = dates.Dates(self.clock)
        return (dates.time_ago(0.0) - self.updated(host)).total_seconds()

    def test_who_is_held_in_an_outage_is_updated_now(self) -> None:
        """Programs take a host whose update is old for one that failed."""
        self.driver = Driver(self.clock)
        self.is_up()
        (reader,) = self.driver.backends[0].readers
        reader.error = exceptions.BackendError('the backend', 'is away')
        for _ in range(59):
            self.clock.advance(1.0)
            self.assertTrue(self.is_up())
            self.assertLess(self.ago('host1'), 1.0)
        self.clock.advance(3.0)
        self.assertFalse(self.is_up())
        self.assertAlmostEqual(62.0, self.ago('host1'), 1)

    def test_who_is_held_without_a_proof_is_updated_now(self) -> None:
        self.driver = Driver(self.clock)
        self.driver._reading.get()['compute'].error = exceptions.BackendError(
            'the backend', 'is away'
        )
        self.assertTrue(self.is_up('host2'))
        self.assertLess(self.ago('host2'), 1.0)

    def test_who_is_dead_is_updated_at_the_last_proof(self) -> None:
        self.driver = Driver(self.clock)
        self.is_up()
        (reader,) = self.driver.backends[0].readers
        reader.members = {'host3'}
        self.clock.advance(30.0)
        self.assertFalse(self.is_up())
        self.assertAlmostEqual(30.0, self.ago('host1'), 1)

    def test_one_read_serves_verdicts_and_proofs(self) -> None:
        self.is_up()
        for _ in range(3):
            self.driver.updated_time({**ref('host1'), 'updated_at': None})
        (reader,) = self.driver.backends[0].readers
        self.assertEqual(1, len(reader.read_in))

    def test_a_forked_child_reads_with_a_reader_of_its_own(self) -> None:
        self.driver = Driver(self.clock)
        self.is_up()
        child = os.fork()
        if not child:
            os._exit(0 if self.child_is_well() else 1)
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def child_is_well(self) -> bool:
        parents = self.driver.backends[0].readers[0]
        # A lock that a thread of the parent held is never released.
        parents.observer._pace.reading.acquire()
        parents.observer._changing.acquire()
        remembers = self.is_up() and len(self.driver.backends) == 1
        self.clock.advance(REFRESH_INTERVAL)
        goes_on = self.is_up() and not self.is_up('host2')
        own = self.driver.backends[1].readers[0]
        return (
            remembers
            and goes_on
            and own.read_in == [os.getpid()]
            and os.getpid() not in parents.read_in
        )
