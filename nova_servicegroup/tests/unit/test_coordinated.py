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


import os
import time

from nova_servicegroup.drivers import _coordinated
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup.tests import base

REFRESH_INTERVAL = 0.5


class FakeReader(observer.Observer):
    """Reads a group that has one member, and notes which process did."""

    def __init__(self) -> None:
        self.made_in = os.getpid()
        self.read_in: list[int] = []
        super().__init__(
            'Group compute',
            self._read_group,
            lambda now: membership.Membership(now, hold_time=60.0),
            refresh_interval=REFRESH_INTERVAL,
            read_timeout=1.0,
        )

    def _read_group(self, wait: float) -> membership.Reading:
        self.read_in.append(os.getpid())
        return membership.Reading({'host1'})


class FakeBackend:
    """Makes readers, and keeps them."""

    def __init__(self) -> None:
        self.readers: list[FakeReader] = []

    def reader(self, group: str) -> FakeReader:
        self.readers.append(FakeReader())
        return self.readers[-1]


class Driver(_coordinated.CoordinatedDriver):
    """A driver that only reads."""

    def __init__(self) -> None:
        self.backends: list[FakeBackend] = []
        super().__init__(None, None, self._connect)

    def _connect(self) -> FakeBackend:
        self.backends.append(FakeBackend())
        return self.backends[-1]


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

    def test_a_group_of_a_record_without_topic(self) -> None:
        record = {'host': 'host1', 'topic': None, 'binary': 'nova-compute'}
        self.assertTrue(self.driver.is_up(record))

    def test_a_forked_child_reads_with_a_reader_of_its_own(self) -> None:
        self.is_up()
        child = os.fork()
        if not child:
            os._exit(0 if self.child_is_well() else 1)
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def child_is_well(self) -> bool:
        parents = self.driver.backends[0].readers[0]
        # A lock that a thread of the parent held is held for ever.
        parents._lock.acquire()
        remembers = self.is_up() and len(self.driver.backends) == 1
        time.sleep(1.1 * REFRESH_INTERVAL)
        goes_on = self.is_up() and not self.is_up('host2')
        own = self.driver.backends[1].readers[0]
        return (
            remembers
            and goes_on
            and own.read_in == [os.getpid()]
            and os.getpid() not in parents.read_in
        )
