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


from collections.abc import Callable
import threading

from nova_servicegroup import exceptions
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup.tests import base

LOST = exceptions.BackendError('the backend', 'is away')


class Backend:
    """Answers reads as it is told, and notes how long each would wait."""

    def __init__(self) -> None:
        self.answer: membership.Reading | Exception = membership.Reading(
            frozenset({'a', 'b'})
        )
        self.waits: list[float] = []
        self.during: Callable[[], None] = lambda: None

    def read(self, wait: float) -> membership.Reading:
        self.waits.append(wait)
        self.during()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def has(self, *hosts: str) -> None:
        self.answer = membership.Reading(frozenset(hosts))


class ObserverTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.backend = Backend()
        self.observer = self.make()

    def make(
        self, contact: observer.Contact | None = None
    ) -> observer.Observer:
        return observer.Observer(
            'Group compute',
            self.backend.read,
            lambda now: membership.Membership(now, 60.0, settle_time=20.0),
            refresh_interval=1.0,
            read_timeout=2.0,
            contact=contact,
            clock=self.clock,
        )

    def test_a_pass_reads_once(self) -> None:
        for _ in range(100):
            self.assertTrue(self.observer.is_up('a'))
        self.assertFalse(self.observer.is_up('c'))
        self.assertEqual([2.0], self.backend.waits)

    def test_what_is_young_is_recalled_without_reading(self) -> None:
        self.assertIsNone(self.observer.recall('a'))
        self.observer.is_up('a')
        self.assertIs(True, self.observer.recall('a'))
        self.assertIs(False, self.observer.recall('c'))
        self.clock.advance(1.0)
        self.assertIsNone(self.observer.recall('a'))
        self.assertEqual([2.0], self.backend.waits)

    def test_it_reads_again_when_due(self) -> None:
        self.observer.is_up('a')
        self.clock.advance(0.9)
        self.observer.is_up('a')
        self.backend.has('b')
        self.clock.advance(0.2)
        self.assertFalse(self.observer.is_up('a'))
        self.assertEqual(2, len(self.backend.waits))

    def test_only_the_first_question_of_an_outage_waits(self) -> None:
        self.observer.is_up('a')
        self.backend.answer = LOST
        for _ in range(5):
            self.clock.advance(1)
            self.assertTrue(self.observer.is_up('a'))
        self.assertEqual([2.0, 2.0, 0.0, 0.0, 0.0, 0.0], self.backend.waits)
        self.backend.has('a')
        self.clock.advance(1)
        self.observer.is_up('a')
        self.clock.advance(1)
        self.observer.is_up('a')
        self.assertEqual([0.0, 2.0], self.backend.waits[-2:])

    def test_who_asks_seldom_waits_each_time(self) -> None:
        """What nobody fetched in time is of no use to the next one."""
        self.observer.is_up('a')
        self.backend.answer = LOST
        for _ in range(3):
            self.clock.advance(6)
            self.assertTrue(self.observer.is_up('a'))
        self.assertEqual([2.0] * 4, self.backend.waits)

    def test_blind_and_not_asked_for_long_it_looks_first(self) -> None:
        contact = observer.Contact()
        groups = [self.make(contact) for _ in range(3)]
        for each in groups:
            each.is_up('a')
        self.backend.answer = LOST
        self.clock.advance(1)
        for each in groups:
            each.is_up('a')
        self.backend.has('a', 'b')
        self.clock.advance(100)
        del self.backend.waits[:]
        for each in groups:
            self.assertTrue(each.is_up('a'))
        self.assertEqual([2.0, 2.0, 2.0], self.backend.waits)
        self.assertNotIn('down', self.log.output)

    def test_nobody_waits_for_a_backend_that_another_group_lost(self) -> None:
        contact = observer.Contact()
        groups = [self.make(contact) for _ in range(3)]
        self.backend.answer = LOST
        for each in groups:
            self.assertTrue(each.is_up('a'))
        self.assertEqual([2.0, 0.0, 0.0], self.backend.waits)
        self.backend.has('a')
        self.clock.advance(1)
        for each in groups:
            each.is_up('a')
        self.assertEqual([0.0, 2.0, 2.0], self.backend.waits[3:])

    def test_an_outage_is_logged_once_and_so_is_its_end(self) -> None:
        self.observer.is_up('a')
        self.backend.answer = LOST
        for _ in range(5):
            self.clock.advance(1)
            self.observer.is_up('a')
        warning = self.log_lines('WARNING')
        self.assertEqual(1, len(warning))
        self.assertIn('the backend: is away', warning[0])
        self.backend.has('a', 'b')
        self.clock.advance(1)
        self.observer.is_up('a')
        self.assertIn('contact is back after 5.0 s', self.log.output)
        self.assertEqual(1, len(self.log_lines('WARNING')))

    def test_starting_blind_says_that_it_cannot_tell(self) -> None:
        self.backend.answer = LOST
        self.assertTrue(self.observer.is_up('a'))
        self.assertIn('It cannot be told who is alive', self.log.output)

    def test_an_unexpected_error_is_an_outage_too(self) -> None:
        self.observer.is_up('a')
        self.backend.answer = UnicodeError('a bug')
        self.clock.advance(1)
        self.assertTrue(self.observer.is_up('a'))
        self.assertIn('Unexpected error', self.log.output)

    def test_transitions_are_logged_once_with_host_and_reason(self) -> None:
        self.observer.is_up('a')
        self.assertEqual(['Group compute: 2 members.'], self.log_lines('INFO'))
        self.backend.has('a')
        for _ in range(3):
            self.clock.advance(1)
            self.observer.is_up('a')
        self.assertEqual(['Group compute: b: down'], self.log_lines('WARNING'))
        self.backend.has('a', 'b')
        self.clock.advance(1)
        self.observer.is_up('a')
        self.assertEqual('Group compute: b: up', self.log_lines('INFO')[-1])

    def test_a_mass_of_hosts_takes_one_line(self) -> None:
        self.backend.has(*(f'host{n:03}' for n in range(200)))
        self.observer.is_up('a')
        self.backend.has(*(f'host{n:03}' for n in range(100, 200)))
        self.clock.advance(1)
        self.observer.is_up('a')
        lines = self.log_lines('WARNING')
        self.assertEqual(1, len(lines))
        self.assertIn('host000, host001, ', lines[0])
        self.assertIn(' and 50 more: down', lines[0])

    def test_nothing_is_logged_while_all_is_well(self) -> None:
        self.observer.is_up('a')
        before = self.log.output
        for _ in range(10):
            self.clock.advance(1)
            self.observer.is_up('a')
        self.assertEqual(before, self.log.output)

    def test_a_second_thread_does_not_read_too(self) -> None:
        verdicts: list[bool] = []
        other = threading.Thread(
            target=lambda: verdicts.append(self.observer.is_up('a'))
        )

        def during() -> None:
            self.backend.during = lambda: None
            other.start()

        self.backend.during = during
        self.assertTrue(self.observer.is_up('a'))
        other.join(10)
        self.assertEqual([True], verdicts)
        self.assertEqual(1, len(self.backend.waits))

    def test_proof_age(self) -> None:
        self.assertEqual(0.0, self.observer.proof_age('a'))
        self.assertIsNone(self.observer.proof_age('c'))
        self.backend.answer = LOST
        self.clock.advance(3)
        self.assertEqual(3.0, self.observer.proof_age('a'))
